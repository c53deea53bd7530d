"""How far a batch is: told from its facts, with the live state of the workers where it is known."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from complyq_producer.estimates import expect
from complyq_producer.facts import utc_now
from complyq_producer.ledger import BatchView, JobPhase, JobView, Ledger
from complyq_producer.model import BatchId, BatchState, ComplianceType, Priority
from complyq_producer.parked import ParkedWork, parked_facts, parked_work

if TYPE_CHECKING:
    from complyq_producer.live import LivePlace, LiveView


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A job that carries or carried parts of the batch. `status` is X's word once the job is final, else our phase."""

    plan: int
    remote_id: str | None
    status: str
    error: str | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What the workers are doing for the batch right now. Bytes are of the upload."""

    phase: str
    since: datetime | None = None
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
    progress: Progress | None
    estimate: datetime | None
    """When it may end, from how long jobs of the type took lately; None where nothing is known to go by."""
    late: bool
    """Whether it has a deadline that the estimate passes, or that has passed."""
    cancel_requested: bool
    error: str | None
    accepted_at: datetime
    ended_at: datetime | None


def batch_status(view: BatchView, ledger: Ledger, live: LiveView) -> BatchStatus:
    """Put together the status of a batch."""
    record = view.record
    jobs = _jobs(view, ledger)
    checked = [part.results for part in view.counted_parts()]
    parked = [parked_work(view, fact) for fact in parked_facts(view, utc_now())]
    place = None if view.outcome else live.position(record.type, record.batch_id)
    estimate = None if view.outcome or parked else _estimate(view, jobs, place, live)
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
        progress=None if view.outcome else _progress(view, jobs, live),
        estimate=estimate,
        late=_is_late(view, estimate),
        cancel_requested=view.cancel_requested,
        error=view.outcome.error if view.outcome else None,
        accepted_at=view.accepted_at,
        ended_at=view.outcome.recorded_at if view.outcome else None,
    )


def _jobs(view: BatchView, ledger: Ledger) -> list[JobView]:
    """Read the jobs that carried the batch: those of its attempts and results, and the open ones that name it."""
    type_ = view.record.type
    past = {attempt.plan for attempts in view.attempts.values() for attempt in attempts if attempt.plan}
    past |= {part.plan for part in view.checked.values()}
    jobs = {number: ledger.job(type_, number) for number in past}
    if view.outcome is None:
        for job in ledger.marked_jobs(type_):
            if job.plan and view.record.batch_id in job.plan.batch_ids:
                jobs[job.keys.plan_number] = job
    return [jobs[number] for number in sorted(jobs)]


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
    )


def _progress(view: BatchView, jobs: list[JobView], live: LiveView) -> Progress | None:
    running = next((job for job in jobs if job.phase is not JobPhase.CLOSED), None)
    if running is None:
        return None
    now = live.job(view.record.type)
    if now is None or now.plan != running.keys.plan_number:
        return Progress(phase=str(running.phase))
    return Progress(phase=now.phase, since=now.since, bytes_done=now.bytes_done, bytes_total=now.bytes_total)


def _estimate(view: BatchView, jobs: list[JobView], place: LivePlace | None, live: LiveView) -> datetime | None:
    """Tell when the last part of a batch may be checked, from how long jobs like those before it took."""
    durations = live.durations(view.record.type)
    running = next((job for job in jobs if job.plan and job.holds_slot), None)
    current = live.job(view.record.type)
    expected = expect(durations, running.count if running else view.record.unique)
    if expected is None or (place is None and running is None):
        return None
    to_come = place.jobs_ahead + 1 if place else 0
    return estimated_end(
        utc_now(), expected.likely, since=current.since if current else None, jobs_to_come=to_come
    )


def _is_late(view: BatchView, estimate: datetime | None) -> bool:
    deadline = view.record.deadline
    ends = view.outcome.recorded_at if view.outcome else max(utc_now(), estimate or utc_now())
    return deadline is not None and ends > deadline


def estimated_end(now: datetime, job_seconds: float, *, since: datetime | None, jobs_to_come: int) -> datetime:
    """Estimate when the last of some jobs ends.

    Args:
        now: the time.
        job_seconds: how long a job takes.
        since: when the job that has the slot began, if one has it.
        jobs_to_come: how many follow it, the last one of interest included.
    """
    begun = (now - since).total_seconds() if since else job_seconds
    return now + timedelta(seconds=max(0.0, job_seconds - begun) + jobs_to_come * job_seconds)
