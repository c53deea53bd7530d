"""How long jobs take: learnt from those that ended, and what to expect of the next one. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

NEIGHBOURS = 9
"""So many jobs of about the same size, the newest first, are asked."""
ENOUGH = 4
"""Of so many the fastest and the slowest are not believed."""
CLOSE = 0.05
"""Knowing to this share of it when a job ended is knowing it."""


class JobDuration(msgspec.Struct, frozen=True):
    """How long X took over a job of `count` IDs, in seconds from the end of its upload.

    When exactly it ended X does not say: after `least`, when it was last seen at work (0 if it never was), and by
    `most`, when it was seen final.
    """

    count: int
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long a job may take, in seconds from the end of its upload."""

    early: float
    likely: float
    late: float


def expect(durations: Sequence[JobDuration], count: int) -> Expectation | None:
    """Tell from earlier jobs how long one of `count` IDs will take; None if there were none."""
    seconds = sorted(likely_seconds(durations, count))
    if not seconds:
        return None
    believed = seconds[1:-1] if len(seconds) >= ENOUGH else seconds
    return Expectation(early=believed[0], likely=median(seconds), late=believed[-1])


def likely_seconds(durations: Sequence[JobDuration], count: int) -> list[float]:
    """Tell of the jobs most like one of `count` IDs how long each took; `durations` has the newest first.

    Where a job was first looked at when it had ended, others of its kind that were seen at work tell the least.
    As long as that is not known closely the middle is taken, so that looks at the next jobs come nearer to the truth.
    """
    alike = sorted(durations, key=lambda duration: _distance(duration.count, count))[:NEIGHBOURS]
    leasts = [duration.least for duration in alike if duration.least > 0]
    least = median(leasts) if leasts else 0.0
    return [_likely(duration, least) for duration in alike]


def _likely(duration: JobDuration, least_of_others: float) -> float:
    least = duration.least or (least_of_others if least_of_others < duration.most else 0.0)
    known = duration.most - least <= CLOSE * duration.most
    return duration.most if known else (least + duration.most) / 2


def _distance(one: int, other: int) -> float:
    """Compare sizes by their ratio: a job of ten million is more like one of five than like one of ten."""
    return abs(math.log((one + 1) / (other + 1)))
