"""What time went by with, from when facts were recorded. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Times:
    """When the facts of a job of one batch were recorded, in seconds since the epoch."""

    planned: float
    created: float
    uploaded: float
    finished: float
    collected: float
    published: float


def shares(jobs: Sequence[Times]) -> dict[str, float]:
    """Tell how long the slot was held, and how long batches took from there to their end; waiting for a process counts.

    Args:
        jobs: in the order in which they had the slot.
    """
    seconds = max(job.published for job in jobs) - jobs[0].planned
    held = sum(_held(jobs))
    collecting = sum(job.collected - job.finished for job in jobs)
    publishing = sum(job.published - job.collected for job in jobs)
    return {
        "seconds, from the first plan": seconds,
        "seconds the slot was held": held,
        "share the slot was held": held / seconds,
        "seconds of uploads": sum(job.uploaded - job.created for job in jobs),
        "seconds of collection": collecting,
        "seconds of publication": publishing,
        "batches behind the slot": (collecting + publishing) / seconds,
    }


def _held(jobs: Sequence[Times]) -> Iterator[float]:
    """Yield for how long each job had the slot: one planned ahead has it when the job before it is final."""
    yield jobs[0].finished - jobs[0].planned
    for before, job in pairwise(jobs):
        yield job.finished - max(job.planned, before.finished)
