"""Sorts any number of IDs, without duplicates, in bounded memory.

A million at a time are sorted and, unless duplicates made them few, spooled as a run. To read all in order, the range
of values is cut into buckets, at edges from an even sample of every run; of each run, which is sorted, a bucket is one
slice. So sorted, reversed, skewed and random input all give buckets of about the same size, and a value that comes
again and again is there at most once per run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from complyq_producer.ids.spool import Spool
from complyq_producer.ids.values import IdArray

_RUN_IDS = 1_000_000
_BUCKET_IDS = 500_000
_STRIDE = 1024  # a bucket may be larger than meant by one stride of each run


class Sorter:
    """Takes IDs in any order and gives them back ascending and once each.

    Attributes:
        added: how many were added, duplicates included.
    """

    def __init__(
        self, spool: Spool, run_ids: int = _RUN_IDS, bucket_ids: int = _BUCKET_IDS, stride: int = _STRIDE
    ) -> None:
        self.added = 0
        self._spool = spool
        self._run_ids = run_ids
        self._bucket_samples = max(1, bucket_ids // stride)
        self._stride = stride
        self._waiting: list[IdArray] = []
        self._waiting_ids = 0
        self._runs: list[_Run] = []

    @property
    def in_memory(self) -> bool:
        """Whether nothing has been spooled."""
        return not self._runs

    def add(self, values: IdArray) -> None:
        """Take some IDs."""
        if not len(values):
            return
        self.added += len(values)
        self._waiting.append(values)
        self._waiting_ids += len(values)
        if self._waiting_ids >= self._run_ids:
            self._compact()

    def ascending(self) -> Iterator[IdArray]:
        """Yield all IDs, some hundred thousand at a time; may be called once."""
        rest = self._taken()
        if self.in_memory:
            yield rest
            return
        self._spill(rest)
        for edge in self._edges():
            yield _sorted_unique([run.below(edge, self._spool) for run in self._runs])

    def _compact(self) -> None:
        values = self._taken()
        if len(values) > self._run_ids // 2:
            self._spill(values)
        else:
            self._waiting, self._waiting_ids = [values], len(values)

    def _taken(self) -> IdArray:
        values = _sorted_unique(self._waiting)
        self._waiting, self._waiting_ids = [], 0
        return values

    def _spill(self, values: IdArray) -> None:
        start = self._spool.append(values)
        self._runs.append(_Run(start, start + len(values), self._stride, values[:: self._stride].copy()))

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

    def below(self, edge: np.uint64 | None, spool: Spool) -> IdArray:
        """Read on to the first ID that is not below the edge."""
        length = self.end - self.start
        if edge is None:
            return spool.read(self.start + self.read, self.end)
        bound = min(length, int(np.searchsorted(self.samples, edge)) * self.stride)
        values = spool.read(self.start + self.read, self.start + max(bound, self.read))
        values = values[: np.searchsorted(values, edge)]
        self.read += len(values)
        return values


def _sorted_unique(arrays: list[IdArray]) -> IdArray:
    if not arrays:
        return np.empty(0, np.uint64)
    values = np.concatenate(arrays)
    arrays.clear()
    values.sort()
    keep = np.empty(len(values), np.bool_)
    keep[:1] = True
    np.not_equal(values[1:], values[:-1], out=keep[1:])
    return values if keep.all() else values[keep]
