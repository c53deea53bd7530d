"""How far a batch is: told from its facts, with the live state of the workers where it is known."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from complyq_producer.activity import Activity, read_activity
from complyq_producer.facts import utc_now
from complyq_producer.forecast import end_of_job, end_of_queue, jobs_until
from complyq_producer.ledger import BatchView, JobPhase, JobView, Ledger
from complyq_producer.model import BatchId, BatchState, ComplianceType, Priority
from complyq_producer.parked import ParkedWork, parked_facts, parked_work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from complyq_producer.live import LivePlace, LiveView


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A job that carries or carried parts of the batch. `status` is X's word once the job is final, else our phase."""

    plan: int
    remote_id: str | None
    status: str
    error: str | None = None
    ids: int = 0
    """How many IDs it carries, of all its batches together."""
    batches: int = 0
    """How many batches share it."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What the workers are doing for the batch right now. Bytes are of the upload."""

    phase: str
    since: datetime | None = None
    """Since when the batch's job has the slot, while it has."""
    bytes_done: int = 0
    bytes_total: int = 0


class BatchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A batch's state, counts in IDs, jobs and times."""

    batch_id: BatchId
    type: ComplianceType
    name: str | None
    key: str | None
    labels: dict[str, str]
    priority: Priority
    deadline: datetime | None
    state: BatchState
    submitted: int
    invalid: int
    duplicates: int
    unique: int
    flagged: int
    rejected: int
    checked: int
    """IDs of the parts that have results: what is not flagged or rejected among them is compliant."""
    parts: int
    parts_done: int
    jobs: list[JobStatus]
    parked: list[ParkedWork]
    """What crashed whoever worked on it, and waits for somebody to look at it: see `Producer.release`."""
    position: int | None
    """Place in the queue, from 1, while it waits and workers run."""
    jobs_ahead: int | None
    """How many jobs of the queue run before the one that carries its last part, while a part waits and workers run."""
    progress: Progress | None
    estimate: datetime | None
    """When X may be done with its last part, from how long jobs of the type took; None where nothing is known to go by."""
    late: bool
    """Whether it has a deadline that the estimate passes, or that had passed before it ended."""
    cancel_requested: bool
    error: str | None
    accepted_at: datetime
    ended_at: datetime | None
    published: bool = False
    """Whether the results queue has confirmed all its events."""
    purged_at: datetime | None = None
    """When its IDs and results were removed."""


def batch_status(view: BatchView, ledger: Ledger, live: LiveView) -> BatchStatus:
    """Put together the status of a batch."""
    type_, marked = view.record.type, () if view.outcome else ledger.marked_jobs(view.record.type)
    activity = Activity(marked, redis_answers=False) if view.outcome else read_activity(type_, marked, live)
    return _status(view, ledger, live, activity, _carriers(marked))


def open_statuses(type_: ComplianceType, ledger: Ledger, live: LiveView) -> Iterator[BatchStatus]:
    """Put together the status of each open batch of a type; what they have in common is read once."""
    activity = read_activity(type_, ledger.marked_jobs(type_), live)
    carriers = _carriers(activity.jobs)
    for view in ledger.open_batches(type_):
        yield _status(view, ledger, live, activity, carriers)


def _status(
    view: BatchView, ledger: Ledger, live: LiveView, activity: Activity, carriers: Mapping[BatchId, list[JobView]]
) -> BatchStatus:
    record, now = view.record, utc_now()
    jobs = _jobs(view, ledger, carriers)
    checked = [part.results for part in view.counted_parts()]
    parked = [parked_work(view, fact) for fact in parked_facts(view, now)]
    waits = view.is_wanted and bool(_waiting_parts(view, jobs)) and activity.redis_answers
    place = live.position(record.type, record.batch_id) if waits else None
    estimate = _estimate(view, jobs, place, activity, now) if view.is_wanted and not parked else None
    return BatchStatus(
        batch_id=record.batch_id,
        type=record.type,
        name=record.name,
        key=record.key,
        labels=record.labels,
        priority=record.priority,
        deadline=record.deadline,
        state=_state(view, jobs, place),
        submitted=record.submitted,
        invalid=record.invalid,
        duplicates=record.duplicates,
        unique=record.unique,
        flagged=sum(part.count for part in checked),
        rejected=sum(part.rejected for part in checked),
        checked=sum(record.parts[part.part].count for part in checked),
        parts=len(record.parts),
        parts_done=len(checked),
        jobs=[_job_status(job) for job in jobs],
        parked=parked,
        position=place.place if place and not jobs else None,
        jobs_ahead=jobs_until(activity, place) - 1 if place else None,
        progress=None if view.outcome else _progress(jobs, activity),
        estimate=estimate,
        late=_is_late(view, estimate, now),
        cancel_requested=view.cancel_requested,
        error=view.outcome.error if view.outcome else None,
        accepted_at=view.accepted_at,
        ended_at=view.outcome.recorded_at if view.outcome else None,
        published=view.published,
        purged_at=view.purged.recorded_at if view.purged else None,
    )


def _carriers(jobs: Sequence[JobView]) -> dict[BatchId, list[JobView]]:
    """Return the jobs that carry each batch."""
    carriers: dict[BatchId, list[JobView]] = {}
    for job in jobs:
        for batch_id in job.plan.batch_ids if job.plan else ():
            carriers.setdefault(batch_id, []).append(job)
    return carriers


def _jobs(view: BatchView, ledger: Ledger, carriers: Mapping[BatchId, list[JobView]]) -> list[JobView]:
    """Read the jobs that carried the batch: those of its attempts and results, and the open ones that name it."""
    jobs = {job.keys.plan_number: job for job in carriers.get(view.record.batch_id, ())}
    past = {attempt.plan for attempts in view.attempts.values() for attempt in attempts if attempt.plan}
    past |= {part.plan for part in view.checked.values()}
    jobs |= {number: ledger.job(view.record.type, number) for number in past - jobs.keys()}
    return [jobs[number] for number in sorted(jobs)]


def _waiting_parts(view: BatchView, jobs: list[JobView]) -> set[int]:
    """Return the parts that are to be checked and that no job is at work on."""
    at_work = (job.plan for job in jobs if job.plan and job.phase not in {JobPhase.CLOSED, JobPhase.SPLIT})
    held = {part.part for plan in at_work for part in plan.parts if part.batch_id == view.record.batch_id}
    return set(view.unchecked_parts()) - held


def _state(view: BatchView, jobs: list[JobView], place: LivePlace | None) -> BatchState:
    if view.outcome:
        return BatchState(view.outcome.state)
    if jobs:
        return BatchState.RUNNING
    return BatchState.ACCEPTED if place is None else BatchState.WAITING


def _job_status(job: JobView) -> JobStatus:
    finished = job.finished
    return JobStatus(
        plan=job.keys.plan_number,
        remote_id=job.remote_id,
        status=finished.status if finished else str(job.phase),
        error=finished.error if finished else None,
        ids=job.count,
        batches=len(job.plan.batch_ids) if job.plan else 0,
    )


def _progress(jobs: list[JobView], activity: Activity) -> Progress | None:
    """Tell of the job that has the slot or will have it, else of the last one that is not closed."""
    left = [job for job in jobs if job.phase is not JobPhase.CLOSED]
    holding = [job for job in left if job.holds_slot]
    if not left:
        return None
    job = holding[0] if holding else left[-1]
    shown, since = activity.shown_of(job), activity.slot_since(job)
    if shown is None:
        return Progress(phase=str(job.phase), since=since)
    return Progress(phase=shown.phase, since=since, bytes_done=shown.bytes_done, bytes_total=shown.bytes_total)


def _estimate(
    view: BatchView, jobs: list[JobView], place: LivePlace | None, activity: Activity, now: datetime
) -> datetime | None:
    """Tell when the last part of a batch may be checked: parts may wait, while others are in a job."""
    if _waiting_parts(view, jobs):
        return end_of_queue(activity, jobs_until(activity, place), now) if place else None
    holding = [job.keys.plan_number for job in jobs if job.plan and job.holds_slot]
    return end_of_job(activity, max(holding), now) if holding else None


def _is_late(view: BatchView, estimate: datetime | None, now: datetime) -> bool:
    deadline = view.record.deadline
    ends = view.outcome.recorded_at if view.outcome else max(now, estimate or now)
    return deadline is not None and ends > deadline
