"""When work may be done: told from how long jobs like it took, and None where nothing is known to go by. Pure.

What X takes is counted, from the end of an upload. Uploads and the collecting of results come on top.
"""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from complyq_producer.estimates import likely_seconds
from complyq_producer.ledger import JobPhase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from complyq_producer.activity import Activity
    from complyq_producer.estimates import JobDuration
    from complyq_producer.ledger import JobView
    from complyq_producer.live import LivePlace

LOST = 2.0
"""A job that takes so many times longer than the longest one like it may end any time, or never."""


def end_of_job(activity: Activity, plan: int, now: datetime) -> datetime | None:
    """Tell when the job of a plan may be done that has the slot or gets it next."""
    return _after(now, (_seconds_in_slot(activity, job, now) for job in activity.in_slot if _number(job) <= plan))


def end_of_queue(activity: Activity, jobs: int, now: datetime) -> datetime | None:
    """Tell when so many jobs of the queue may be done: after those that are planned, one at a time."""
    each = usual_seconds_of_next(activity)
    planned = [_seconds_in_slot(activity, job, now) for job in activity.in_slot]
    return _after(now, [*planned, jobs * each if each is not None else None])


def jobs_until(activity: Activity, place: LivePlace) -> int:
    """Return how many jobs of the queue it takes until a waiting batch is done, its own included."""
    return max(1, place.jobs_ahead + 1 - len(activity.planned_since))


def usual_seconds_of_next(activity: Activity) -> float | None:
    """Return how long the next job may take, from how much waits; None where that is not known."""
    waiting = activity.waiting
    return _usual(activity.durations, waiting.ids // max(1, waiting.jobs)) if waiting else None


def seconds_left(job: JobView, durations: Sequence[JobDuration], now: datetime) -> float | None:
    """Tell for how many seconds X will still be at work on a job; 0 if it may end any moment."""
    if job.uploaded is None:
        return _usual(durations, job.count)
    waited = max(0.0, (now - job.uploaded.recorded_at).total_seconds())
    known = likely_seconds(durations, job.count)
    longer = [seconds for seconds in known if seconds > waited]
    if longer:
        return median(longer) - waited
    return 0.0 if waited <= LOST * max(known, default=-1.0) else None


def _seconds_in_slot(activity: Activity, job: JobView, now: datetime) -> float | None:
    """Tell for how long a job will hold up those behind it; nobody knows of one that X, or another program, has to let go."""
    shown = activity.shown_of(job)
    gives_results = job.phase is not JobPhase.PARKED and (job.uploaded is None or job.uploaded.complete)
    if not gives_results or (shown and shown.phase == "waiting_for_foreign_job"):
        return None
    return seconds_left(job, activity.durations, now)


def _usual(durations: Sequence[JobDuration], count: int) -> float | None:
    known = likely_seconds(durations, count)
    return median(known) if known else None


def _after(now: datetime, seconds: Iterable[float | None]) -> datetime | None:
    total = 0.0
    for some in seconds:
        if some is None:
            return None
        total += some
    return now + timedelta(seconds=total)


def _number(job: JobView) -> int:
    return job.keys.plan_number
