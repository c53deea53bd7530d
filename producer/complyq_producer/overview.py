"""What is going on: the slot, the queue and the estimate of each type, and the request budget at X.

Which job has the slot, and which comes next, the facts tell. What waits, and how a job gets on, the workers show in
Redis; where that is lost, or nobody works, less is known, and the overview says so. Reading it costs little, however
many batches are open.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from complyq_producer.activity import Activity, read_activity
from complyq_producer.forecast import end_of_queue
from complyq_producer.ledger import JobPhase
from complyq_producer.live import LiveBudget, usual_seconds
from complyq_producer.model import ComplianceType

if TYPE_CHECKING:
    from complyq_producer.ledger import JobView, Ledger
    from complyq_producer.live import LiveQueue, LiveView

LAST_PLANS = 4
"""So many of the last plans are read: the one that has the slot and the next are among them, with one that is collected."""
MOST_COUNTED = 10_000
"""Markers of open batches are counted up to here."""
FRESH = timedelta(minutes=2)
"""Where workers run and anything is open they show the queue more often than this."""


class Source(StrEnum):
    """Who tells something."""

    WORKERS = "workers"
    """The workers show it, in Redis."""
    FACTS = "facts"
    """The facts in the store, where the workers show nothing."""


class JobOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has the slot of its type, or gets it next. Bytes are of the upload."""

    plan: int
    remote_id: str | None
    """X's id, once the job exists there."""
    phase: str
    """As in `Progress`: the workers' word, else that of the facts."""
    since: datetime | None
    """Since when it has the slot; None while it is to get it next."""
    bytes_done: int
    bytes_total: int
    ids: int
    """How many IDs it carries. Until they are merged, those count twice that its batches have in common."""
    batches: int
    """How many batches share it."""
    known_from: Source
    """Who tells phase and bytes; all else is told by the facts."""


class QueueOverview(msgspec.Struct, frozen=True, kw_only=True):
    """What waits of a type, as the workers showed it."""

    batches: int
    ids: int
    jobs: int
    """How many jobs it takes to carry all of it."""
    oldest: datetime | None
    """When the batch that waits longest was accepted."""
    late: int
    """How many batches may miss their deadline."""
    shown_at: datetime


class TypeOverview(msgspec.Struct, frozen=True, kw_only=True):
    """What is going on with a type."""

    slot: JobOverview | None
    """The job that has it; None while it is free."""
    next: JobOverview | None
    """The job that is made ready behind it."""
    collecting: list[int]
    """The last plans whose results are being collected; they have no slot any more."""
    queue: QueueOverview | None
    """What waits; None where the workers do not show it."""
    open_batches: int | None
    """Batches that have not ended or are not published to the end, in a job or not, by their markers in the store, which
    are counted up to 10,000. None where the workers have just shown the queue: then it is not asked."""
    estimate: datetime | None
    """When all that is planned and waits now may be done; None if that is nothing, or nothing is known to go by."""
    job_seconds: float | None
    """How long X usually takes over a job, from the end of its upload; None if that is not known."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What is going on."""

    redis_answers: bool
    """Whether Redis could be asked. Where not, all of this is told by the facts."""
    types: dict[ComplianceType, TypeOverview]
    budgets: dict[str, LiveBudget]
    """The budget of requests at X by endpoint (create, get, list, cancel), of those of which something is known."""


def read_overview(ledger: Ledger, live: LiveView, now: datetime) -> Overview:
    """Read what is going on."""
    activities = {type_: read_activity(type_, _last_jobs(ledger, type_), live) for type_ in ComplianceType}
    redis_answers = all(activity.redis_answers for activity in activities.values())
    return Overview(
        redis_answers=redis_answers,
        types={type_: _of_type(ledger, type_, activity, now) for type_, activity in activities.items()},
        budgets=live.budgets() if redis_answers else {},
    )


def _last_jobs(ledger: Ledger, type_: ComplianceType) -> list[JobView]:
    return [ledger.job(type_, number) for number in ledger.marked_plans(type_)[-LAST_PLANS:]]


def _of_type(ledger: Ledger, type_: ComplianceType, activity: Activity, now: datetime) -> TypeOverview:
    slot, following = (*activity.in_slot, None, None)[:2]
    waiting = activity.waiting
    is_fresh = waiting is not None and now - waiting.shown_at < FRESH
    return TypeOverview(
        slot=_job(activity, slot) if slot else None,
        next=_job(activity, following) if following else None,
        collecting=[job.keys.plan_number for job in activity.jobs if job.phase is JobPhase.FINISHED],
        queue=_queue(waiting) if waiting else None,
        open_batches=None if is_fresh else _count_markers(ledger, type_),
        estimate=_estimate(activity, waiting, now),
        job_seconds=usual_seconds(activity.durations),
    )


def _job(activity: Activity, job: JobView) -> JobOverview:
    shown = activity.shown_of(job)
    return JobOverview(
        plan=job.keys.plan_number,
        remote_id=job.remote_id,
        phase=shown.phase if shown else str(job.phase),
        since=activity.slot_since(job),
        bytes_done=shown.bytes_done if shown else 0,
        bytes_total=shown.bytes_total if shown else 0,
        ids=job.count,
        batches=len(job.plan.batch_ids) if job.plan else 0,
        known_from=Source.WORKERS if shown else Source.FACTS,
    )


def _queue(waiting: LiveQueue) -> QueueOverview:
    return QueueOverview(
        batches=waiting.batches,
        ids=waiting.ids,
        jobs=waiting.jobs,
        oldest=waiting.oldest,
        late=waiting.late,
        shown_at=waiting.shown_at,
    )


def _estimate(activity: Activity, waiting: LiveQueue | None, now: datetime) -> datetime | None:
    """Tell when the queue may be empty; what a worker of an older version shows of it does not tell."""
    if waiting is None or (waiting.batches and not waiting.jobs):
        return None
    return end_of_queue(activity, waiting.jobs, now) if waiting.jobs or activity.in_slot else None


def _count_markers(ledger: Ledger, type_: ComplianceType) -> int:
    return sum(1 for _ in islice(ledger.marked_batches(type_), MOST_COUNTED))
