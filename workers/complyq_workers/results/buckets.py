"""Rows spread over buckets on disk, so that what belongs together can be sorted in memory."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from complyq_workers.results.lines import IntArray, RowArray, joined, pick
from complyq_workers.results.rows import ROW

_FLUSH_BYTES = 4 << 20
_ROWS_AT_ONCE = 32_768


class Buckets:
    """Appends rows to any number of buckets, at most 65,536, in one file.

    What is pending is written from time to time as a chunk, in order of the buckets; so a bucket is one stretch of
    each chunk.
    """

    def __init__(self, path: Path, count: int) -> None:
        """Make the file."""
        self._file = path.open("w+b", buffering=0)
        self._count = count
        self._pending: list[RowArray] = []
        self._pending_buckets: list[npt.NDArray[np.uint16]] = []
        self._pending_rows = 0
        self._written = 0
        self._bounds: list[IntArray] = []  # of each chunk: the place of each bucket's first row, and of the end

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(self, buckets: npt.NDArray[np.uint16], rows: RowArray) -> None:
        """Put each row into the bucket with its number."""
        self._pending.append(rows)
        self._pending_buckets.append(buckets)
        self._pending_rows += len(rows)
        if self._pending_rows * ROW.itemsize > _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending; to be called before buckets are read."""
        if not self._pending_rows:
            return
        rows, buckets = joined(self._pending), np.concatenate(self._pending_buckets)
        self._pending, self._pending_buckets, self._pending_rows = [], [], 0
        order = np.argsort(buckets, kind="stable")
        self._file.write(pick(rows, order).data)
        bounds = np.searchsorted(buckets[order], np.arange(self._count + 1))
        self._bounds.append(self._written + bounds)
        self._written += len(rows)

    def rows(self, bucket: int) -> Iterator[RowArray]:
        """Rows of a bucket in order of arrival, at most 32,768 at a time. Several threads may read."""
        pieces: list[RowArray] = []
        for bounds in self._bounds:
            start, end = bounds[bucket : bucket + 2].tolist()
            for first, stop in pairwise([*range(start, end, _ROWS_AT_ONCE), end]):
                if sum(map(len, pieces)) + stop - first > _ROWS_AT_ONCE:
                    yield joined(pieces)
                    pieces = []
                pieces.append(self._read(first, stop))
        if pieces:
            yield joined(pieces)

    def _read(self, first: int, stop: int) -> RowArray:
        data = os.pread(self._file.fileno(), (stop - first) * ROW.itemsize, first * ROW.itemsize)
        return np.frombuffer(data, ROW)
