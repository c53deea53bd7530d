"""Results as they are stored in Parquet objects: which columns these have, and how they are read.

A table holds what the lines of `results` hold, so that the same lines can be read from it. pyarrow belongs to the extra
`parquet`. It is imported where a table is read, not before: it takes thirty megabytes.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from complyq_config.errors import ConfigurationError
from complyq_producer.results import DamagedResultsError, KnownFields, join_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_config.settings import ResultsFormat

COLUMNS = {
    "id": "uint64",
    "type": "string",
    "action": "string",
    "reason": "string",
    "created_at": "timestamp[ms, tz=UTC]",
    "redacted_at": "timestamp[ms, tz=UTC]",
    "extras": "string",
}
"""Names and types. `extras` is the JSON object of the fields that X added, null where there are none."""

_ROWS_AT_ONCE = 4_096


def require_pyarrow() -> None:
    """Look whether pyarrow is installed, without importing it.

    Raises:
        ConfigurationError: it is not.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigurationError("Parquet needs pyarrow, which is not installed: pip install 'complyq[parquet]'")


def require_format(results_format: ResultsFormat) -> None:
    """Look whether results can be stored like that on this machine.

    Raises:
        ConfigurationError: pyarrow is needed, and not installed.
    """
    if results_format != "jsonl":
        require_pyarrow()


def table_lines(file: BinaryIO) -> Iterator[bytes]:
    """Read the results of a table, which can be sought in, as stored lines, each with its newline.

    Raises:
        ConfigurationError: pyarrow is not installed.
        DamagedResultsError: the table is not what was written.
    """
    require_pyarrow()
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as table:
            if not {field.name: str(field.type) for field in table.schema_arrow}.items() >= COLUMNS.items():
                raise _damaged("it has other columns")
            missing = table.metadata.num_rows
            for rows in table.iter_batches(_ROWS_AT_ONCE, columns=list(COLUMNS), use_threads=False):
                missing -= len(rows)
                yield from _lines(rows)
            if missing:  # pages have checksums, what stands between them has none
                raise _damaged(f"{missing} of its rows are missing")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(str(error)) from error


def _damaged(why: str) -> DamagedResultsError:
    return DamagedResultsError(f"A stored results object is not the table it should be: {why}")


def _lines(rows: Any) -> Iterator[bytes]:
    ids, types, actions, reasons, created, redacted, extras = (rows.column(name) for name in COLUMNS)
    numbers = map(str, ids.to_pylist())
    words = (column.to_pylist() for column in (types, actions, reasons))
    for *fields, extra in zip(numbers, *words, _texts(created), _texts(redacted), extras.to_pylist(), strict=True):
        yield join_line(KnownFields(*fields), extra.encode() if extra else b"") + b"\n"


def _texts(column: Any) -> list[str | None]:
    """Times as stored lines have them."""
    # Not `to_numpy`, which imports pandas where that is installed.
    instants = column.view("int64").to_pylist()
    texts = np.datetime_as_string(np.array([instant or 0 for instant in instants], "M8[ms]")).tolist()
    return [None if instant is None else f"{text}Z" for instant, text in zip(instants, texts, strict=True)]
