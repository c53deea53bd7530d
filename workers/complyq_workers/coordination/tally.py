"""What is counted for metrics: names, and the counts of a process that wait to be told.

A count is one field of a hash: its name and labels, with `|` between them. A histogram is several: one for each bucket
that a value fell into, and the sum of all values in milliseconds. So all of them only ever grow by whole numbers.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter as Sums
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUCKETS = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0, inf)
"""Seconds: up to what each bucket of a histogram reaches."""
SUM = "sum"
SEPARATOR = "|"


class Counter(StrEnum):
    """What is counted, each with its labels."""

    BATCHES_ENDED = "batches_ended"
    """Type and state."""
    BATCHES_ENDED_LATE = "batches_ended_late"
    """Type."""
    EVENTS_PUBLISHED = "events_published"
    """The kind of event."""
    ANSWERS = "answers"
    """Endpoint and status, `none` where there was no answer."""
    BYTES = "bytes"
    """Endpoint and direction: `sent` or `received`."""
    STEP_FAILURES = "step_failures"
    """Step and kind of error."""
    STEPS_PARKED = "steps_parked"
    """Step."""


class Histogram(StrEnum):
    """What is measured in seconds, each by type."""

    DELIVERY = "delivery"
    """From the acceptance of a batch until its last event was confirmed."""
    JOB = "job"
    """From the end of an upload until X called the job complete."""


def counted_as(counter: Counter, *labels: str) -> str:
    """Name the field of a count."""
    return SEPARATOR.join((counter, *labels))


def observed_as(histogram: Histogram, label: str, seconds: float) -> Iterator[tuple[str, int]]:
    """Name the fields of a histogram to which a value adds, and what it adds to each."""
    bucket = BUCKETS[bisect_left(BUCKETS, seconds)]
    yield SEPARATOR.join((histogram, label, str(bucket))), 1
    yield SEPARATOR.join((histogram, label, SUM)), max(0, round(seconds * 1000))


class Tally:
    """Counts that one process has not told yet. Safe for threads."""

    def __init__(self) -> None:
        self._counts: Sums[str] = Sums()
        self._lock = threading.Lock()

    def add(self, field: str, amount: int = 1) -> None:
        """Count."""
        with self._lock:
            self._counts[field] += amount

    def take(self) -> Mapping[str, int]:
        """Return what was counted since it was last taken."""
        with self._lock:
            taken, self._counts = self._counts, Sums()
        return taken

    def give_back(self, counts: Mapping[str, int]) -> None:
        """Keep what could not be told until next time."""
        with self._lock:
            self._counts.update(counts)
