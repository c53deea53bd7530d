"""Sorts any number of IDs, without duplicates, in bounded memory.

A million at a time are sorted and, unless duplicates made them few, spooled as a run. To read all in order, the range
of values is cut into buckets, at edges from an even sample of every run; of each run, which is sorted, a bucket is one
slice. So sorted, reversed, skewed and random input all give buckets of about the same size, and a value that comes
again and again is there at most once per run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from complyq_producer.ids.background import Background
from complyq_producer.ids.spool import Spool
from complyq_producer.ids.values import EMPTY, IdArray

_RUN_IDS = 1_000_000
_BUCKET_IDS = 250_000
_FIRST_IDS = 16_384
_PIECE = 65_536
_STRIDE = 1024  # a bucket may be larger than meant by one stride of each run


class Sorter:
    """Takes IDs in any order and gives them back ascending and once each.

    Args:
        background: sorts and spools while more IDs are read; None to do it in between.

    Attributes:
        added: how many were added, duplicates included.
    """

    def __init__(
        self,
        spool: Spool,
        run_ids: int = _RUN_IDS,
        bucket_ids: int = _BUCKET_IDS,
        stride: int = _STRIDE,
        *,
        background: Background | None = None,
    ) -> None:
        self.added = 0
        self._spool = spool
        self._run_ids = run_ids
        self._bucket_samples = max(1, bucket_ids // stride)
        self._stride = stride
        self._background = background or Background(apart=False)
        self._run, self._next_run = EMPTY, EMPTY
        self._filled = 0
        self._few = EMPTY  # ascending; what so many duplicates left of runs that they need no spool
        self._runs: list[_Run] = []

    @property
    def in_memory(self) -> bool:
        """Whether nothing has been spooled; known once all is settled."""
        return not self._runs

    def add(self, values: IdArray) -> None:
        """Take some IDs."""
        self.added += len(values)
        left = values
        while len(left):
            if self._filled == len(self._run):
                self._grow()
            fitting = left[: len(self._run) - self._filled]
            self._run[self._filled : self._filled + len(fitting)] = fitting
            self._filled += len(fitting)
            left = left[len(fitting) :]
            if self._filled == self._run_ids:
                self._hand_over()

    def settle(self) -> None:
        """Have all that was added sorted, in memory or in the spool."""
        self._background.wait()
        if self._filled:
            self._few = self._with_few(self._run[: self._filled])
        self._run, self._next_run, self._filled = EMPTY, EMPTY, 0
        if self._runs and len(self._few):
            self._spill(self._few)
            self._few = EMPTY

    def ascending(self) -> Iterator[IdArray]:
        """Yield all IDs, some hundred thousand at a time; nothing may be added any more."""
        self.settle()
        if self.in_memory:
            yield self._few
            return
        for run in self._runs:
            run.read = 0
        for edge in self._edges():
            yield self._bucket(edge)

    def _grow(self) -> None:
        """Make room in the run, up to its full size: most batches are small."""
        larger = _new(min(self._run_ids, max(_FIRST_IDS, 4 * self._filled)))
        larger[: self._filled] = self._run
        self._run = larger

    def _hand_over(self) -> None:
        """Have the run that is full sorted, and fill the other one: nobody works on that any more."""
        self._background.run(self._keep, self._run)
        self._run, self._next_run = self._next_run, self._run
        self._filled = 0
        if not len(self._run):
            self._run = _new(self._run_ids)

    def _keep(self, run: IdArray) -> None:
        values = self._with_few(run)
        if len(values) > self._run_ids // 2:
            self._spill(values)
            self._few = EMPTY
        else:
            self._few = values.copy()

    def _with_few(self, values: IdArray) -> IdArray:
        return _sorted_unique(np.concatenate([values, self._few]) if len(self._few) else values)

    def _spill(self, values: IdArray) -> None:
        start = self._spool.append(values)
        self._runs.append(_Run(start, start + len(values), self._stride, values[:: self._stride].copy()))

    def _bucket(self, edge: np.uint64 | None) -> IdArray:
        values = _new(sum(run.bound(edge) - run.read for run in self._runs))
        filled = 0
        for run in self._runs:
            filled += run.read_below(edge, self._spool, values[filled:])
        return _sorted_unique(values[:filled])

    def _edges(self) -> list[np.uint64 | None]:
        """Return where each bucket ends, itself excluded; None for the last one."""
        samples = np.sort(np.concatenate([run.samples for run in self._runs]))
        return [*np.unique(samples[self._bucket_samples :: self._bucket_samples]), None]


@dataclass(slots=True)
class _Run:
    """A sorted run in the spool from place `start` to `end`; `samples` holds every stride-th of its IDs."""

    start: int
    end: int
    stride: int
    samples: IdArray
    read: int = 0

    def bound(self, edge: np.uint64 | None) -> int:
        """Return a place in the run, not before what was read, behind which no ID is below the edge."""
        if edge is None:
            return self.end - self.start
        place = int(np.searchsorted(self.samples, edge)) * self.stride
        return max(self.read, min(place, self.end - self.start))

    def read_below(self, edge: np.uint64 | None, spool: Spool, into: IdArray) -> int:
        """Read on to the first ID that is not below the edge; return how many IDs that were."""
        values = into[: self.bound(edge) - self.read]
        spool.read(self.start + self.read, values)
        count = len(values) if edge is None else int(np.searchsorted(values, edge))
        self.read += count
        return count


def _new(length: int) -> IdArray:
    return np.empty(length, np.uint64)


def _sorted_unique(values: IdArray) -> IdArray:
    """Sort the values and bring each to the front once; return these."""
    values.sort()
    keep = np.empty(len(values), np.bool_)
    keep[:1] = True
    np.not_equal(values[1:], values[:-1], out=keep[1:])
    if keep.all():
        return values
    kept = 0
    for start in range(0, len(values), _PIECE):
        piece = values[start : start + _PIECE][keep[start : start + _PIECE]]
        values[kept : kept + len(piece)] = piece
        kept += len(piece)
    return values[:kept]
