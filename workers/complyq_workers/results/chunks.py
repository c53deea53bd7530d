"""Rows on disk, sorted by a key chunk by chunk, so that what belongs together can be read into memory."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
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
    """Appends rows in whatever order they come, sorted by key as far as they are written at once, which is a chunk.

    So the rows between two edges are one stretch of each chunk. Which edges these are may be decided last.
    """

    def __init__(self, path: Path, keys: npt.DTypeLike, *, in_order: bool = False) -> None:
        """Make the files.

        Args:
            path: of the rows; their keys are beside it.
            keys: the type of keys.
            in_order: whether rows of one key must keep the order in which they came.
        """
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._keys_file = _keys_of(path).open("wb", buffering=0)
        self._keys_type: np.dtype[Any] = np.dtype(keys)
        self._sort: Literal["stable"] | None = "stable" if in_order else None
        self._pending: list[RowArray] = []
        self._pending_keys: list[Keys] = []
        self._pending_rows = 0
        self._ends = [0]  # of each chunk, counted in rows

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

    def stored(self) -> "StoredChunks":
        """All that was added, to be read in whatever process."""
        self._flush()
        return StoredChunks(self._path, self._keys_type, tuple(self._ends))

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


@dataclass(frozen=True, slots=True)
class StoredChunks:
    """Where chunks of rows are: the file, the type of keys, and where each chunk ends, counted in rows."""

    path: Path
    keys: "np.dtype[Any]"
    ends: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.ends[-1]


class Stretches:
    """The rows of some files, divided by their keys; several threads may read."""

    def __init__(self, files: Iterable[StoredChunks], edges: Keys) -> None:
        """Open the files: stretch n ends before the key `edges[n]`, the last one is open."""
        self._opened = ExitStack()
        self._chunks: list[tuple[int, IntArray]] = []  # of each its file, and where in it the stretches begin
        for stored in files:
            with _keys_of(stored.path).open("rb", buffering=0) as keys:
                bounds = [_cut(keys.fileno(), stored.keys, edges, *chunk) for chunk in pairwise(stored.ends)]
            file = self._opened.enter_context(stored.path.open("rb", buffering=0)).fileno()
            self._chunks += [(file, of_chunk) for of_chunk in bounds]

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def rows(self, stretch: int) -> Iterator[RowArray]:
        """The rows of a stretch, file by file and those of one chunk after those of another, at most 32,768 at a time."""
        pieces: list[RowArray] = []
        for file, bounds in self._chunks:
            start, end = bounds[stretch : stretch + 2].tolist()
            for first, stop in pairwise([*range(start, end, _ROWS_AT_ONCE), end]):
                if sum(map(len, pieces)) + stop - first > _ROWS_AT_ONCE:
                    yield joined(pieces)
                    pieces = []
                pieces.append(_read(file, first, stop))
        if pieces:
            yield joined(pieces)


def _keys_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.keys")


def _cut(file: int, keys_type: "np.dtype[Any]", edges: Keys, start: int, end: int) -> IntArray:
    size = keys_type.itemsize
    keys = np.frombuffer(os.pread(file, (end - start) * size, start * size), keys_type)
    return np.concatenate([[start], start + np.searchsorted(keys, edges), [end]])


def _read(file: int, first: int, stop: int) -> RowArray:
    data = os.pread(file, (stop - first) * ROW.itemsize, first * ROW.itemsize)
    return np.frombuffer(data, ROW)
