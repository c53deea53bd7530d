"""Virtual time: it jumps from one event to the next, and flows while a step works, as fast as the work really is."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class VirtualClock:
    """The time of whoever works just now; a `Clock` for steps. Several work at once in virtual time, so it may go back.

    Attributes:
        epoch: the time of day at second 0.
    """

    def __init__(self, epoch: datetime, *, charge: float = 1.0) -> None:
        """Stand at second 0.

        Args:
            epoch: the time of day then.
            charge: how many virtual seconds a second of real work takes; 0 for work that costs nothing.
        """
        self.epoch = epoch
        self._charge = charge
        self._since = 0.0
        self._begun = perf_counter()

    def begin(self, at: float) -> None:
        """Have somebody begin to work at this second."""
        self._since, self._begun = at, perf_counter()

    def seconds(self) -> float:
        """Return the seconds since the epoch."""
        return self._since + (perf_counter() - self._begun) * self._charge

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return self.epoch + timedelta(seconds=self.seconds())

    def monotonic(self) -> float:
        """Return the seconds since the epoch."""
        return self.seconds()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._since += seconds

    @contextmanager
    def side_by_side(self, threads: int) -> Iterator[None]:
        """Do what so many threads do together: what one of them waits for, the others do meanwhile."""
        since = self._since
        try:
            yield
        finally:
            self._since = since + (self._since - since) / threads

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Do what is no work of the one who works just now: it takes no time."""
        stopped_at = perf_counter()
        try:
            yield
        finally:
            self._begun += perf_counter() - stopped_at
