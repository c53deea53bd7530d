"""Decides what the next job of a type carries, and how a batch ends. Pure: views in, decisions out.

One job carries the waiting parts of one batch; a plan lists parts, so that merging batches needs no new format.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from complyq_producer.facts import Attempt, PlannedPart
from complyq_producer.ledger import BatchView, JobPhase, JobView
from complyq_producer.model import EndState, Priority

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from complyq_producer.facts import Parked

PRIORITY_SHIFT = {
    Priority.LOW: timedelta(hours=1),
    Priority.NORMAL: timedelta(0),
    Priority.HIGH: timedelta(hours=-1),
    Priority.URGENT: timedelta(hours=-6),
}
"""How much later (or earlier) than it was a batch counts as accepted. Bounded, so nobody is starved."""
MISSING = "missing"
"""The status of an attempt at a part whose object is gone: nothing can mend that."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the next job should carry."""

    parts: list[PlannedPart]

    @property
    def count(self) -> int:
        """The number of IDs."""
        return sum(part.count for part in self.parts)

    @property
    def bytes(self) -> int:
        """The size of the payload."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class End:
    """How a batch ends."""

    state: EndState
    error: str | None = None


def draft_plan(
    batches: Iterable[BatchView], jobs: Iterable[JobView], *, max_bytes: int, max_attempts: int
) -> Draft | None:
    """Choose the parts of the next job, or None if nothing waits.

    Args:
        batches: the open batches of the type.
        jobs: the marked plans of the type, read before the batches.
        max_bytes: the most bytes that a job may carry; a single part is never refused for it.
        max_attempts: after so many counted failures a part is not tried again.
    """
    planned = parts_in_open_plans(jobs)
    for view in queue(batches, max_attempts=max_attempts):
        parts = [part for part in _plannable(view) if (view.record.batch_id, part) not in planned]
        if parts:
            return Draft(_fitting(view, parts, max_bytes))
    return None


def queue(batches: Iterable[BatchView], *, max_attempts: int) -> list[BatchView]:
    """Order the batches that wait to be checked: first accepted, first served, shifted by priority."""
    wanted = (view for view in batches if view.is_wanted and _plannable(view) and not exhausted(view, max_attempts))
    return sorted(wanted, key=lambda view: (_rank(view), view.record.batch_id))


def parts_in_open_plans(jobs: Iterable[JobView]) -> set[tuple[str, int]]:
    """Return the parts, as (batch id, part), that some plan is still about to check."""
    open_plans = (job.plan for job in jobs if job.plan and job.phase is not JobPhase.CLOSED)
    return {(part.batch_id, part.part) for plan in open_plans for part in plan.parts}


def decide_end(view: BatchView, *, max_attempts: int, now: datetime) -> End | None:
    """Decide how a batch ends, or None if it goes on (or has ended already)."""
    if view.outcome:
        return None
    if not view.unchecked_parts():
        return End("completed")
    attempt = exhausted(view, max_attempts)
    if attempt:
        return End("failed", _reason(view, attempt))
    if view.cancel_requested:
        return End("cancelled", "cancelled on request")
    overdue = next((parked for parked in view.parked_jobs() if parked.until <= now), None)
    return End("failed", _parked_reason(overdue)) if overdue else None


def exhausted(view: BatchView, max_attempts: int) -> Attempt | None:
    """Return the attempt that ends the batch: one at a part that is gone, or the last that a part may have."""
    for part in view.unchecked_parts():
        attempts = view.attempts.get(part, [])
        fatal = next((attempt for attempt in attempts if attempt.status == MISSING), None)
        if fatal or view.failures(part) >= max_attempts:
            return fatal or [attempt for attempt in attempts if attempt.counted][-1]
    return None


def next_number(jobs: Sequence[JobView]) -> int:
    """Return the number of the next plan: plans have no gaps, and a marker without a plan is a number not yet used."""
    if not jobs:
        return 1
    highest = jobs[-1]
    return highest.keys.plan_number + (1 if highest.plan else 0)


def _plannable(view: BatchView) -> list[int]:
    """Return the parts that are to be checked and not parked."""
    return [part for part in view.unchecked_parts() if view.parking(part) is None]


def _rank(view: BatchView) -> datetime:
    return view.accepted_at + PRIORITY_SHIFT[view.record.priority]


def _fitting(view: BatchView, parts: list[int], max_bytes: int) -> list[PlannedPart]:
    """Take parts in order while they fit, at least one."""
    limit = min([max_bytes, *_refused_sizes(view, parts)])
    fitting: list[PlannedPart] = []
    for part in parts:
        planned = _planned(view, part)
        if fitting and sum(taken.bytes for taken in fitting) + planned.bytes > limit:
            break
        fitting.append(planned)
    return fitting


def _refused_sizes(view: BatchView, parts: list[int]) -> list[int]:
    attempts = (attempt for part in parts for attempt in view.attempts.get(part, ()))
    return [attempt.max_bytes for attempt in attempts if attempt.max_bytes is not None]


def _planned(view: BatchView, part: int) -> PlannedPart:
    info = view.record.parts[part]
    attempt = len(view.attempts.get(part, ())) + 1
    return PlannedPart(batch_id=view.record.batch_id, part=part, attempt=attempt, count=info.count, bytes=info.bytes)


def _parked_reason(parked: Parked) -> str:
    since = f"{parked.recorded_at:%Y-%m-%d %H:%M} UTC"
    return f"{parked.reason} (plan {parked.plan}); it was parked since {since} and nobody released it"


def _reason(view: BatchView, attempt: Attempt) -> str:
    if attempt.status == MISSING:
        return attempt.error or "a part of the batch is missing in the store"
    failures = max(view.failures(part) for part in view.unchecked_parts())
    return f"gave up after {failures} failed jobs; the last one {attempt.status}: {attempt.error or 'X gave no reason'}"
