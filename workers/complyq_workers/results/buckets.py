"""Lines spread over files by the value of their ID, so that each file can be sorted in memory."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from complyq_workers.results.index import IdArray

RowArray = npt.NDArray[np.void]

# How strongly a line speaks for its ID: X's own order, then actions we do not know, then errors.
REJECTED_RANK = 0
OTHER_RANK = 1
RANKS = {"scrub_geo": 2, "rehydrate": 3, "delete": 4}

_FLUSH_BYTES = 8 << 20
_IN_MEMORY_BYTES = 32 << 20
_ROWS_AT_ONCE = 262_144
_STORED_ROW = np.dtype([("id", "<u8"), ("length", "<u4"), ("rank", "u1")])
_ROW = np.dtype([("id", "<u8"), ("length", "<u4"), ("rank", "u1"), ("offset", "<u8")])


class Buckets:
    """Appends lines to one pair of files for each range of IDs: their bytes, and a row of numbers for each."""

    def __init__(self, folder: Path, edges: IdArray) -> None:
        self._folder = folder
        self._edges = edges
        self._pending: dict[int, list[tuple[bytes, bytes]]] = {}
        self._pending_bytes = 0

    def add(self, ids: list[int], ranks: list[int], lines: list[bytes]) -> None:
        """Put each line into the bucket of its ID.

        Args:
            ids: the ID of each line.
            ranks: how strongly each line speaks for its ID; the strongest line of an ID wins.
            lines: what to store, each with its newline.
        """
        rows = np.empty(len(ids), _STORED_ROW)
        rows["id"], rows["rank"], rows["length"] = np.array(ids, np.uint64), ranks, list(map(len, lines))
        buckets = np.searchsorted(self._edges, rows["id"], side="right")
        order = np.argsort(buckets, kind="stable")
        numbers, starts = np.unique(buckets[order], return_index=True)
        for bucket, chosen in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
            data = b"".join([lines[i] for i in chosen.tolist()])
            self._pending.setdefault(bucket, []).append((rows[chosen].tobytes(), data))
            self._pending_bytes += len(data)
        if self._pending_bytes > _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending; to be called before the first `load`."""
        for bucket, pending in self._pending.items():
            _append(self._rows_path(bucket), b"".join(rows for rows, _ in pending))
            _append(self._lines_path(bucket), b"".join(data for _, data in pending))
        self._pending, self._pending_bytes = {}, 0

    def load(self, bucket: int) -> "BucketContent | None":
        """The bucket's content, None if no line fell into it."""
        if not self._rows_path(bucket).exists():
            return None
        return BucketContent(self._rows_path(bucket), self._lines_path(bucket))

    def _rows_path(self, bucket: int) -> Path:
        return self._folder / f"{bucket:05d}.rows"

    def _lines_path(self, bucket: int) -> Path:
        return self._folder / f"{bucket:05d}.lines"


class BucketContent:
    """One bucket's lines. Deletes its files when it is closed."""

    def __init__(self, rows_path: Path, lines_path: Path) -> None:
        self._rows_path = rows_path
        self._lines_path = lines_path
        self._file = lines_path.open("rb")
        # A bucket of usual size is read at once; one of gigabytes (very long lines, endless copies) line by line.
        self._data = self._file.read() if lines_path.stat().st_size <= _IN_MEMORY_BYTES else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._rows_path.unlink()
        self._lines_path.unlink()

    def rows(self) -> Iterator[RowArray]:
        """Rows in order of arrival, at most 262,144 at a time: `id`, `rank`, and where the line is."""
        end = 0
        with self._rows_path.open("rb") as file:
            while stored := file.read(_ROWS_AT_ONCE * _STORED_ROW.itemsize):
                rows = _located(np.frombuffer(stored, _STORED_ROW), end)
                end = int(rows["offset"][-1]) + int(rows["length"][-1])
                yield rows

    @staticmethod
    def no_rows() -> RowArray:
        """What `strongest` starts from."""
        return np.empty(0, _ROW)

    def lines(self, rows: RowArray) -> Iterator[bytes]:
        """The lines of `rows`, in their order."""
        for offset, length in zip(rows["offset"].tolist(), rows["length"].tolist(), strict=True):
            yield self._line(offset, length)

    def strongest(self, rows: RowArray) -> RowArray:
        """One row for each ID, ascending by ID: the highest rank, of equal ones the line that sorts first.

        So the outcome depends on the lines alone, not on the order in which X sent them.
        """
        rows = rows[np.lexsort((-rows["rank"].astype(np.int8), rows["id"]))]
        first = np.ones(len(rows), bool)
        first[1:] = rows["id"][1:] != rows["id"][:-1]
        heads = np.flatnonzero(first)
        head_of = np.repeat(heads, np.diff(heads, append=len(rows)))
        rivals = np.flatnonzero(~first & (rows["rank"] == rows["rank"][head_of]))
        best: dict[int, int] = {}
        for head, rival in zip(head_of[rivals].tolist(), rivals.tolist(), strict=True):
            best[head] = self._first_in_order(rows, best.get(head, head), rival)
        return rows[[best.get(head, head) for head in heads.tolist()]] if best else rows[heads]

    def _first_in_order(self, rows: RowArray, one: int, other: int) -> int:
        line, other_line = self.lines(rows[[one, other]])
        return one if line <= other_line else other

    def _line(self, offset: int, length: int) -> bytes:
        if self._data is None:
            return os.pread(self._file.fileno(), length, offset)
        return self._data[offset : offset + length]


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _located(stored: RowArray, start: int) -> RowArray:
    """Rows with the offset of each line; lines follow each other from `start`."""
    rows = np.empty(len(stored), _ROW)
    for name in ("id", "length", "rank"):
        rows[name] = stored[name]
    ends = np.cumsum(stored["length"], dtype=np.uint64) + np.uint64(start)
    rows["offset"] = ends - stored["length"]
    return rows
