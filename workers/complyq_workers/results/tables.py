"""Writes tables, for `TableProcess`: `python -m complyq_workers.results.tables`.

It is told what rows refer to, and then for each table a file of rows and the path of the table.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from complyq_workers.results.child import serve
from complyq_workers.results.columns import Columns, Source, TimeArray, Words, row_groups
from complyq_workers.results.kinds import Kinds
from complyq_workers.results.lines import ByteArray, IntArray, RowArray
from complyq_workers.results.outputs import Packed
from complyq_workers.results.rows import ROW
from complyq_workers.results.shapes import Shapes
from complyq_workers.results.table_process import Begin, Make
from complyq_workers.results.writing import LineWriter

_WORD = pa.dictionary(pa.int32(), pa.string())
_TIME = pa.timestamp("ms", "UTC")
_SCHEMA = pa.schema(
    [
        pa.field("id", pa.uint64(), nullable=False),
        pa.field("type", _WORD, nullable=False),
        pa.field("action", _WORD),
        pa.field("reason", _WORD),
        pa.field("created_at", _TIME),
        pa.field("redacted_at", _TIME),
        pa.field("extras", pa.string()),
    ]
)
_WORD_COLUMNS = ["type", "action", "reason"]
# IDs ascend, and so do the times that are in them. Neighbours of other times are near enough to save a tenth.
_DELTA_COLUMNS = ["id", "created_at", "redacted_at"]
_ROWS_AT_ONCE = 32_768


def write_table(groups: Iterable[Columns], job_type: str, path: Path) -> Packed:
    """Write results to a new file, a row group each; nothing but them and pyarrow's version decides its bytes."""
    count = 0
    with pq.ParquetWriter(
        path,
        _SCHEMA,
        compression="zstd",
        compression_level=1,
        use_dictionary=_WORD_COLUMNS,
        column_encoding=dict.fromkeys(_DELTA_COLUMNS, "DELTA_BINARY_PACKED"),
        store_schema=False,  # else readers that know Arrow would find categories instead of text
        write_page_checksum=True,
    ) as writer:
        for columns in groups:
            writer.write_table(_table(columns, job_type))
            count += len(columns.ids)
    with path.open("rb") as file:
        return Packed(count, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _table(columns: Columns, job_type: str) -> pa.Table:
    """The columns as they are, without a copy.

    `pa.array` would do, but it imports pandas where that is installed, which takes a second and fifty megabytes.
    """
    types = Words(np.zeros(len(columns.ids), np.int32), [job_type])
    return pa.Table.from_arrays(
        [
            _array(pa.uint64(), columns.ids),
            *map(_words, (types, columns.actions, columns.reasons)),
            *map(_times, (columns.created_at, columns.redacted_at)),
            _texts(columns.extras, columns.extras_lengths),
        ],
        schema=_SCHEMA,
    )


def _words(words: Words) -> pa.DictionaryArray:
    different = [word.encode() for word in words.different]
    lengths = np.array(list(map(len, different)), np.int64)
    texts = _array(pa.string(), _offsets(lengths), None, np.frombuffer(b"".join(different), np.uint8))
    return pa.DictionaryArray.from_arrays(_array(pa.int32(), words.places, words.places >= 0), texts)


def _times(times: TimeArray) -> pa.Array:
    return _array(_TIME, times, ~np.isnat(times))


def _texts(text: ByteArray, lengths: IntArray) -> pa.Array:
    """Texts that follow each other; those of no length are null."""
    return _array(pa.string(), _offsets(lengths), lengths > 0, text)


def _offsets(lengths: IntArray) -> npt.NDArray[np.int32]:
    return np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])


def _array(
    type_: pa.DataType,
    values: npt.NDArray[Any],
    known: npt.NDArray[np.bool_] | None = None,
    text: ByteArray | None = None,
) -> pa.Array:
    """An array that is null where nothing is known; a text's `values` are where it begins, and the last one's end."""
    bits = None if known is None else pa.py_buffer(np.packbits(known, bitorder="little"))
    buffers = [bits, pa.py_buffer(values)]
    if text is None:
        return pa.Array.from_buffers(type_, len(values), buffers)
    return pa.Array.from_buffers(type_, len(values) - 1, [*buffers, pa.py_buffer(text)])


class _Tables:
    """Does what `TableProcess` asks for: `Begin`, and then as often as it wants `Make`."""

    def __init__(self, files: ExitStack) -> None:
        self._files = files
        self._job_type = ""
        self._source: Source

    def answer(self, request: Begin | Make) -> Packed | None:
        if isinstance(request, Begin):
            self._begin(request)
            return None
        return write_table(row_groups(_rows(request.rows), self._source), self._job_type, request.table)

    def _begin(self, begin: Begin) -> None:
        kinds = Kinds()
        shapes = Shapes(begin.job_type, kinds)
        kinds.learn(begin.kinds)
        shapes.learn(begin.shapes)
        writer = self._files.enter_context(closing(LineWriter(shapes, begin.odd_lines, None)))
        writer.learn(begin.shares)
        self._job_type, self._source = begin.job_type, Source(shapes, kinds, writer)


def _rows(path: Path) -> Iterator[RowArray]:
    with path.open("rb") as file:
        while len(rows := np.fromfile(file, ROW, _ROWS_AT_ONCE)):
            yield rows


if __name__ == "__main__":
    with ExitStack() as opened:
        serve(_Tables(opened).answer)
