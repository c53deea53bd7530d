"""Decides how a batch ends. Pure: a view in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from complyq_producer.model import EndState

if TYPE_CHECKING:
    from datetime import datetime

    from complyq_producer.facts import Attempt, Parked
    from complyq_producer.ledger import BatchView

MISSING = "missing"
"""The status of an attempt at a part whose object is gone or damaged: nothing can mend that."""


@dataclass(frozen=True, slots=True)
class End:
    """How a batch ends."""

    state: EndState
    error: str | None = None


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


def _parked_reason(parked: Parked) -> str:
    since = f"{parked.recorded_at:%Y-%m-%d %H:%M} UTC"
    return f"{parked.reason} (plan {parked.plan}); it was parked since {since} and nobody released it"


def _reason(view: BatchView, attempt: Attempt) -> str:
    if attempt.status == MISSING:
        return attempt.error or "a part of the batch is missing in the store"
    failures = max(view.failures(part) for part in view.unchecked_parts())
    return f"gave up after {failures} failed jobs; the last one {attempt.status}: {attempt.error or 'X gave no reason'}"
