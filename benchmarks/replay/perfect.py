"""What a scheduler could reach that knows all arrivals beforehand. Pure.

Its jobs take exactly X's time: no upload, no poll, no planning, no limit on the size of a job, and it is told at once when
a job is done. A batch is answered when the first job ends that began when the batch was there or later.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


def never_waiting(arrivals: Sequence[float], job_seconds: float) -> list[float]:
    """Return the latency of each batch if a job begins whenever none runs and a batch is there.

    Args:
        arrivals: when batches arrive, ascending.
        job_seconds: how long a job takes.
    """
    latencies: list[float] = []
    free = 0.0
    while len(latencies) < len(arrivals):
        start = max(free, arrivals[len(latencies)])
        free = start + job_seconds
        carried = arrivals[len(latencies) : bisect_right(arrivals, start)]
        latencies += [free - at for at in carried]
    return latencies


def least_total(arrivals: Sequence[float], job_seconds: float, grid: float = 1.0) -> list[float]:
    """Return the latency of each batch (one at least) if jobs begin when that makes the sum of all latencies least.

    It may leave the slot free for a while, because it knows that more is about to come. Jobs begin on a grid of times,
    and take a whole number of its steps: the true optimum is at most one step a batch better.

    Args:
        arrivals: when batches arrive, ascending.
        job_seconds: how long a job takes.
        grid: seconds between two times at which a job may begin.
    """
    search = _Search(np.asarray(arrivals, np.float64), job_seconds, grid)
    starts = search.starts()
    carried_by = np.searchsorted(starts, arrivals, side="left")
    return [float(latency) for latency in starts[carried_by] + search.job_seconds - arrivals]


class _Search:
    """Finds the best starts from behind: the best way on after a start depends on nothing that was before it."""

    def __init__(self, arrivals: Floats, job_seconds: float, grid: float) -> None:
        self._steps = math.ceil(job_seconds / grid)
        self.job_seconds = self._steps * grid
        self._arrivals = arrivals
        self._grid = grid
        self._times = np.arange(math.ceil(arrivals[-1] / grid) + self._steps + 1) * grid
        self._there = np.searchsorted(arrivals, self._times, side="right")
        self._sums = np.concatenate([[0.0], np.cumsum(arrivals)])
        self._costs = np.zeros(len(self._times))
        """By the place of a start: the latencies of all that come after it, added up."""
        self._following = np.zeros(len(self._times), np.int64)

    def starts(self) -> Floats:
        """Return when jobs begin."""
        for place in range(int(np.searchsorted(self._there, len(self._arrivals))) - 1, -1, -1):
            done = int(self._there[place])
            self._costs[place], self._following[place] = self._best(done, place + self._steps)
        places = [self._best(0, 0)[1]]
        while self._there[places[-1]] < len(self._arrivals):
            places.append(int(self._following[places[-1]]))
        return self._times[places]

    def _best(self, done: int, free: int) -> tuple[float, int]:
        """Choose the next start, once `done` batches have been carried and the slot is free from a place on.

        Waiting longer than a job takes is never better than another job in between.
        """
        first = max(free, math.ceil(self._arrivals[done] / self._grid))
        choice = slice(first, first + self._steps + 1)
        there = self._there[choice]
        ends = (there - done) * (self._times[choice] + self.job_seconds)
        costs = ends - (self._sums[there] - self._sums[done]) + self._costs[choice]
        best = int(np.argmin(costs))
        return float(costs[best]), first + best
