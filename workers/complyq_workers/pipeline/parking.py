"""Parks what crashes its process every time, so that it takes no worker with it again, and sees a parked job off.

A parked job is given up for good: it is cancelled where the contract allows, and its slot passes on once X shows it
final. Its parts wait until somebody releases them, or until their time is over and their batches fail.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from complyq_producer import task_names
from complyq_producer.facts import PARKED, Parked
from complyq_producer.model import RemoteId
from complyq_workers.coordination import Counter
from complyq_workers.pipeline.creating import remote_name, seconds_unanswered
from complyq_workers.pipeline.finishing import cancel_remote, finish, leave_uncollected, record_attempts, settle_alone
from complyq_workers.pipeline.hints import TASK_OF_PHASE, publish_hint
from complyq_workers.pipeline.pacing import wait_since
from complyq_workers.pipeline.slot import hold_slot, show
from complyq_workers.pipeline.step import Hint, Outcome, again, done
from complyq_workers.pipeline.windows import results_are_gone, upload_window_is_over
from complyq_workers.x import JobNotFoundError, is_final

if TYPE_CHECKING:
    from datetime import datetime

    from complyq_producer.ledger import JobView
    from complyq_producer.model import BatchId
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.x import Answer, ComplianceJob

log = structlog.get_logger(__name__)


def park_job(ports: Ports, job: JobView, task: str, starts: int) -> Outcome | None:
    """Give up a job whose step crashes its process every time; None where the job does not need that step any more."""
    if job.parked or TASK_OF_PHASE.get(job.phase) != task:
        return None
    number = job.keys.plan_number
    parked, ours = ports.facts.create(job.keys.parked, _parked(ports, str(number), number, task, starts))
    _say(ports, parked, ours=ours, type=job.keys.type, plan=number)
    return done(Hint(task_names.POLL_JOB, (str(job.keys.type), number)))


def park_publishing(ports: Ports, batch_id: BatchId, starts: int) -> Outcome | None:
    """Leave the publishing of a batch alone for a while, its results are safe; None where there is none to leave."""
    view = ports.ledger.batch(batch_id)
    if view is None or view.published or view.parked_publishing(ports.clock.now()):
        return None
    name = f"publish-{1 + sum(fact.plan is None for fact in view.parked.values())}"
    fact = _parked(ports, name, None, task_names.PUBLISH_BATCH, starts)
    parked, ours = ports.facts.create(view.keys.parked(name), fact)
    _say(ports, parked, ours=ours, batch=batch_id)
    return done(publish_hint(batch_id))  # an event says so


def see_off(ports: Ports, job: JobView, lease: StepLease) -> Outcome:
    """Follow a parked job until X shows it final, and pass its slot on. What X may have found is not collected."""
    if job.parked is None:
        return done()
    reason = job.parked.reason
    if job.finished:
        return leave_uncollected(ports, job, PARKED, error=reason, counted=False)
    record_attempts(ports, job, PARKED, error=reason, counted=False)
    hold_slot(ports, job)
    show(ports, job, PARKED)
    listing = ports.remote.list_jobs(job.keys.type)
    lease.check()
    if _is_over(ports, job, listing):
        return finish(ports, job, PARKED, error=reason)
    return again(wait_since(job.parked.recorded_at, ports.clock.now(), ports.limits), *settle_alone(job))


def _say(ports: Ports, parked: Parked, *, ours: bool, **what: object) -> None:
    log.error("step_parked", step=parked.step, starts=parked.starts, **what)
    if ours:
        ports.coordination.count(Counter.STEPS_PARKED, parked.step)


def _parked(ports: Ports, name: str, plan: int | None, task: str, starts: int) -> Parked:
    step, now = task.removeprefix("complyq."), ports.clock.now()
    return Parked(
        name=name,
        plan=plan,
        step=step,
        starts=starts - 1,
        reason=f"{step} crashed its process {starts - 1} times in a row without getting on",
        until=now + timedelta(hours=ports.limits.max_parked_hours),
        recorded_at=now,
    )


def _is_over(ports: Ports, job: JobView, listing: Answer[list[ComplianceJob]]) -> bool:
    """Whether X has no active job of the plan and will have none. One that is active is asked to end."""
    now = listing.date or ports.clock.now()
    listed = [remote for remote in listing.value if _is_ours(job, remote)]
    over = [_has_ended(ports, job, remote, now) for remote in listed]
    if job.remote_id is None:
        return all(over) and (bool(over) or seconds_unanswered(ports, job) <= 0)
    if job.remote_id in {remote.id for remote in listed}:
        return all(over)
    return all(over) and _unlisted_has_ended(ports, job, job.remote_id, now)


def _is_ours(job: JobView, remote: ComplianceJob) -> bool:
    return remote.id == job.remote_id or (job.plan is not None and remote.name == remote_name(job.plan))


def _has_ended(ports: Ports, job: JobView, remote: ComplianceJob, now: datetime) -> bool:
    if is_final(remote.status) or results_are_gone(job, now, remote):
        return True
    cancel_remote(ports, RemoteId(remote.id))
    return False


def _unlisted_has_ended(ports: Ports, job: JobView, remote_id: RemoteId, now: datetime) -> bool:
    """Ask for a job that X does not list: one that it does not know either is believed gone once its window is over."""
    try:
        remote = ports.remote.get_job(remote_id).value
    except JobNotFoundError:
        return upload_window_is_over(job, now)
    return _has_ended(ports, job, remote, now)
