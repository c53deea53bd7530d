"""Rows on disk, sorted by a key chunk by chunk, so that what belongs together can be read into memory."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from complyq_workers.results.lines import IntArray, RowArray, joined, pick
from complyq_workers.results.rows import ROW

_CHUNK_BYTES = 4 << 20
_ROWS_AT_ONCE = 32_768

Keys = npt.NDArray[Any]


class Chunks:
    """Appends rows in whatever order they come, and gives those back whose keys lie between two edges.

    What is pending is sorted by key and written from time to time as a chunk; so the rows between two edges are one
    stretch of each chunk. Which edges these are may be decided last.
    """

    def __init__(self, path: Path, keys: npt.DTypeLike, *, in_order: bool = False) -> None:
        """Make the files.

        Args:
            path: of the rows; their keys are beside it.
            keys: the type of keys.
            in_order: whether rows of one key must keep the order in which they came.
        """
        self._file = path.open("w+b", buffering=0)
        self._keys_file = path.with_name(f"{path.name}.keys").open("w+b", buffering=0)
        self._keys_type: np.dtype[Any] = np.dtype(keys)
        self._sort: Literal["stable"] | None = "stable" if in_order else None
        self._pending: list[RowArray] = []
        self._pending_keys: list[Keys] = []
        self._pending_rows = 0
        self._ends = [0]  # of each chunk, counted in rows
        self._bounds: list[IntArray] = []  # of each chunk, once edges are known: where the rows between them begin

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._keys_file.close()

    def add(self, keys: Keys, rows: RowArray) -> None:
        """Take rows, and the key of each."""
        self._pending.append(rows)
        self._pending_keys.append(keys)
        self._pending_rows += len(rows)
        if self._pending_rows * ROW.itemsize > _CHUNK_BYTES:
            self._flush()

    def cut(self, edges: Keys) -> None:
        """Divide what was added: stretch n ends before the key `edges[n]`, the last one is open."""
        self._flush()
        self._bounds = [self._cut(edges, *chunk) for chunk in pairwise(self._ends)]

    def rows(self, stretch: int) -> Iterator[RowArray]:
        """The rows of a stretch, those of one chunk after those of another, at most 32,768 at a time.

        Several threads may read.
        """
        pieces: list[RowArray] = []
        for bounds in self._bounds:
            start, end = bounds[stretch : stretch + 2].tolist()
            for first, stop in pairwise([*range(start, end, _ROWS_AT_ONCE), end]):
                if sum(map(len, pieces)) + stop - first > _ROWS_AT_ONCE:
                    yield joined(pieces)
                    pieces = []
                pieces.append(self._read(first, stop))
        if pieces:
            yield joined(pieces)

    def _flush(self) -> None:
        if not self._pending_rows:
            return
        rows, keys = joined(self._pending), np.concatenate(self._pending_keys)
        self._pending, self._pending_keys, self._pending_rows = [], [], 0
        if (keys[1:] < keys[:-1]).any():
            order = np.argsort(keys, kind=self._sort)
            rows, keys = pick(rows, order), keys[order]
        self._file.write(rows.data)
        self._keys_file.write(keys.data)
        self._ends.append(self._ends[-1] + len(rows))

    def _cut(self, edges: Keys, start: int, end: int) -> IntArray:
        size = self._keys_type.itemsize
        keys = np.frombuffer(os.pread(self._keys_file.fileno(), (end - start) * size, start * size), self._keys_type)
        return np.concatenate([[start], start + np.searchsorted(keys, edges), [end]])

    def _read(self, first: int, stop: int) -> RowArray:
        data = os.pread(self._file.fileno(), (stop - first) * ROW.itemsize, first * ROW.itemsize)
        return np.frombuffer(data, ROW)
