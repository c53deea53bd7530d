"""Lines spread over files, so that what belongs together can be sorted in memory."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

RowArray = npt.NDArray[np.void]

# How strongly a line speaks for its ID: X's own order, then actions we do not know, then errors.
REJECTED_RANK = 0
OTHER_RANK = 1
RANKS = {"scrub_geo": 2, "rehydrate": 3, "delete": 4}

_BUFFER_BYTES = 1 << 16
_FLUSH_BYTES = 8 << 20
_IN_MEMORY_BYTES = 32 << 20
_WINDOW_BYTES = 4 << 20
_WINDOW_LINES = 8_192
_ROWS_AT_ONCE = 262_144
_STORED_ROW = np.dtype([("key", "<u8"), ("length", "<u4"), ("rank", "u1")])
_ROW = np.dtype([("key", "<u8"), ("length", "<u4"), ("rank", "u1"), ("offset", "<u8")])


class Buckets:
    """Appends lines to one pair of files for each bucket: their bytes, and a row of numbers for each.

    A row has the line's `key`, by which lines of a bucket are told apart (an ID, or the place of a part), and its `rank`.
    """

    def __init__(self, folder: Path) -> None:
        """The files are made in `folder`, which is made too."""
        folder.mkdir()
        self._folder = folder
        self._pending: dict[int, list[tuple[bytes, bytes]]] = {}
        self._pending_bytes = 0

    def add(self, buckets: npt.NDArray[np.integer[Any]], rows: RowArray, lines: list[bytes]) -> None:
        """Put each line into its bucket.

        Args:
            buckets: the number of each line's bucket.
            rows: `key` and `rank` of each line, as `new_rows` makes them.
            lines: what to store, each with its newline.
        """
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
            _append(self._path(bucket, "rows"), (rows for rows, _ in pending))
            _append(self._path(bucket, "lines"), (data for _, data in pending))
        self._pending, self._pending_bytes = {}, 0

    def load(self, bucket: int) -> "BucketContent":
        """The bucket's content, which may be no line."""
        return BucketContent(self._path(bucket, "rows"), self._path(bucket, "lines"))

    def _path(self, bucket: int, kind: str) -> Path:
        return self._folder / f"{bucket:05d}.{kind}"


def new_rows(keys: npt.ArrayLike, ranks: npt.ArrayLike, lines: list[bytes]) -> RowArray:
    """Rows for `Buckets.add`."""
    rows = np.empty(len(lines), _STORED_ROW)
    rows["key"], rows["rank"], rows["length"] = keys, ranks, list(map(len, lines))
    return rows


class BucketContent:
    """One bucket's lines. Deletes its files when it is closed."""

    def __init__(self, rows_path: Path, lines_path: Path) -> None:
        self._rows_path = rows_path
        self._lines_path = lines_path
        self._file = lines_path.open("a+b")  # a bucket without lines has no files yet
        # A bucket of usual size is read at once; one of gigabytes (very long lines, endless copies) piece by piece.
        size = lines_path.stat().st_size
        self._data = os.pread(self._file.fileno(), size, 0) if size <= _IN_MEMORY_BYTES else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._rows_path.unlink(missing_ok=True)
        self._lines_path.unlink()

    def rows(self) -> Iterator[RowArray]:
        """Rows in order of arrival, at most 262,144 at a time: `key`, `rank`, and where the line is."""
        end = 0
        with self._rows_path.open("a+b") as file:
            file.seek(0)
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
        for start in range(0, len(rows), _WINDOW_LINES):
            yield from self._lines(rows[start : start + _WINDOW_LINES])

    def strongest(self, rows: RowArray) -> RowArray:
        """One row for each key, ascending: the highest rank, of equal ones the line that sorts first.

        So the outcome depends on the lines alone, not on the order in which X sent them.
        """
        rows = rows[np.lexsort((-rows["rank"].astype(np.int8), rows["key"]))]
        first = np.ones(len(rows), bool)
        first[1:] = rows["key"][1:] != rows["key"][:-1]
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

    def _lines(self, rows: RowArray) -> Iterator[bytes]:
        """Lines that are near each other are read at once, others one by one."""
        starts = rows["offset"].tolist()
        places = list(zip(starts, rows["length"].tolist(), strict=True))
        first, end = min(starts), max(map(sum, places))
        if self._data is not None:
            first, data = 0, self._data
        elif end - first <= _WINDOW_BYTES:
            data = os.pread(self._file.fileno(), end - first, first)
        else:
            return (os.pread(self._file.fileno(), length, start) for start, length in places)
        return (data[start - first : start - first + length] for start, length in places)


def _append(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("ab", buffering=_BUFFER_BYTES) as file:
        file.writelines(pieces)


def _located(stored: RowArray, start: int) -> RowArray:
    """Rows with the offset of each line; lines follow each other from `start`."""
    rows = np.empty(len(stored), _ROW)
    for name in ("key", "length", "rank"):
        rows[name] = stored[name]
    ends = np.cumsum(stored["length"], dtype=np.uint64) + np.uint64(start)
    rows["offset"] = ends - stored["length"]
    return rows
