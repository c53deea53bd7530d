"""Creates the remote job of a plan, exactly one, or adopts the one that a lost answer left behind."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from complyq_producer.facts import Created, Creating
from complyq_producer.ledger import JobPhase, JobView
from complyq_producer.model import ComplianceType, RemoteId
from complyq_workers.pipeline.finishing import cancel_remote, finish
from complyq_workers.pipeline.hints import job_hints
from complyq_workers.pipeline.lease import LeaseLostError
from complyq_workers.pipeline.pacing import MAX_REFUSALS, wait_after_refusal, wait_since
from complyq_workers.pipeline.remote import BudgetError
from complyq_workers.pipeline.slot import hold_slot, is_wanted, show
from complyq_workers.pipeline.step import SOON_SECONDS, Outcome, again, done
from complyq_workers.x import (
    AmbiguousAnswerError,
    RefusedError,
    ResumableRefusedError,
    SlotBusyError,
    UnauthorizedError,
    UnreachableError,
    is_active,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from complyq_producer.facts import Plan
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.x import ComplianceJob

log = structlog.get_logger(__name__)

NAME_PREFIX = "complyq"
UNANSWERED_SECONDS = 90.0
"""While a create may be under way (longer than its time-outs) no other is sent."""
KNOWN_SECONDS = 86_400.0
"""For how long it is remembered that the last create is not under way any more, or waited for. A Redis that was lost
does not remember it: then a create may be under way."""
LOST_ANSWER_SECONDS = 15.0
"""After a lost answer to a create the list is believed only when so much time has passed without the job in it."""
FRESH_SECONDS = 1.0
"""A list is believed for so long before a create is sent. A Redis that was lost meanwhile may have let others create."""


def create(ports: Ports, job: JobView, lease: StepLease) -> Outcome:
    """Create or adopt the remote job of a plan once its turn has come."""
    if job.plan is None or job.phase is not JobPhase.PLANNED:
        return done(*job_hints(job))
    if not is_wanted(ports, job.plan):
        return finish(ports, job, "cancelled", error="no batch of the plan is wanted any more")
    if _lower_plan_is_open(ports, job):
        return done()  # the step that ends it hints at this one, which must not be postponed by then
    if not hold_slot(ports, job):
        show(ports, job, "waiting_for_slot")
        return again(_patience(ports, job))
    try:
        return _list_and_create(ports, job, job.plan, lease, resumable=True)
    except ResumableRefusedError:  # the list is asked for again: it is old by now
        return _list_and_create(ports, replace(job, creates=job.creates + 1), job.plan, lease, resumable=False)


def remote_name(plan: Plan) -> str:
    """Name the remote job: at most 64 characters, from which the plan is found again."""
    return f"{NAME_PREFIX}.{plan.number}.{plan.job_id}"


def seconds_unanswered(ports: Ports, job: JobView) -> float:
    """Return for how long a create that was sent for the plan may still be under way.

    Where Redis has forgotten that one was sent, the wait begins anew.
    """
    seconds = ports.coordination.seconds_until_due(_unanswered(job))
    if seconds > SOON_SECONDS:
        return seconds
    # Asked last, and not trusted to keep what it is told now: Redis may be lost between any two questions.
    if job.creates and ports.coordination.seconds_until_due(_known(job)) <= 0:  # Redis has forgotten it
        _guard(ports, job)
        return UNANSWERED_SECONDS
    return 0.0


def _list_and_create(ports: Ports, job: JobView, plan: Plan, lease: StepLease, *, resumable: bool) -> Outcome:
    listing = ports.remote.list_jobs(plan.type).value
    look = partial(_look_again, ports, lease, ports.clock.monotonic())
    lease.check()
    ours = [remote for remote in listing if remote.name == remote_name(plan)]
    if ours:
        return _record(ports, job, _preferred(ours), adopted=True, others=ours)
    active = [remote for remote in listing if is_active(remote.status)]
    if active:
        return _wait_for(ports, job, active)
    unanswered = seconds_unanswered(ports, job)
    if unanswered > 0:
        return again(unanswered)
    return _create(ports, job, plan, look, resumable=resumable)


def _create(ports: Ports, job: JobView, plan: Plan, look: Callable[[], None], *, resumable: bool) -> Outcome:
    _guard(ports, replace(job, creates=job.creates + 1))
    _, ours = ports.facts.create(job.keys.creating(job.creates), Creating())
    if not ours:
        return again(FRESH_SECONDS)  # somebody else has asked since our step began
    try:
        answer = ports.remote.create_job(plan.type, remote_name(plan), resumable=resumable, last_look=look)
    except _OldListError:
        _forget_unanswered(ports, job)
        return again(FRESH_SECONDS)
    except (BudgetError, LeaseLostError, ResumableRefusedError, UnauthorizedError, UnreachableError):
        _forget_unanswered(ports, job)
        raise
    except AmbiguousAnswerError as error:
        ports.coordination.postpone(_unanswered(job), LOST_ANSWER_SECONDS)
        log.warning("create_unanswered", plan=plan.number, job=plan.job_id, error=str(error))
        raise  # the list will tell, after a delay that grows
    except SlotBusyError:
        _forget_unanswered(ports, job)
        log.info("slot_busy_elsewhere", type=plan.type, plan=plan.number)
        show(ports, job, "waiting_for_slot")
        return again(_patience(ports, job))
    except RefusedError as error:
        _forget_unanswered(ports, job)
        return _refused(ports, job, error)
    # The guard stays until it lapses: dying before the job is recorded must not lead to a second create.
    return _record(ports, job, answer.value, adopted=False)


class _OldListError(Exception):
    """X's list was asked for too long ago to be believed before a create."""


def _look_again(ports: Ports, lease: StepLease, listed_at: float) -> None:
    """Make sure of what can change, for the last time: a create cannot be taken back."""
    lease.check_sure()
    if ports.clock.monotonic() - listed_at > FRESH_SECONDS:
        raise _OldListError


def _record(
    ports: Ports, job: JobView, remote: ComplianceJob, *, adopted: bool, others: Iterable[ComplianceJob] = ()
) -> Outcome:
    """Fix which remote job is the plan's. Others of its name are strays, and so is one that comes after the plan's end."""
    created = Created(
        remote_id=RemoteId(remote.id),
        adopted=adopted,
        sealed_upload_url=ports.sealer.seal(remote.upload_url) if remote.upload_url else None,
        sealed_download_url=ports.sealer.seal(remote.download_url) if remote.download_url else None,
        upload_expires_at=remote.upload_expires_at,
        download_expires_at=remote.download_expires_at,
    )
    standing, ours = ports.facts.create(job.keys.created, created)
    is_late = ours and not ports.ledger.job(job.keys.type, job.keys.plan_number).holds_slot
    for candidate in {remote.id: remote, **{other.id: other for other in others}}.values():
        if is_late or candidate.id != standing.remote_id:
            _end_stray(ports, candidate)
    log.info("job_created", type=job.keys.type, plan=job.keys.plan_number, remote=standing.remote_id, adopted=adopted)
    return done(*job_hints(JobView(job.keys, plan=job.plan, created=standing)))


def _wait_for(ports: Ports, job: JobView, active: list[ComplianceJob]) -> Outcome:
    """Wait until the slot is free at X; end what is ours but belongs to no open plan."""
    for remote in active:
        if _is_stray(ports, job.keys.type, remote):
            _end_stray(ports, remote)
        else:
            log.info("foreign_job_active", type=job.keys.type, remote=remote.id, name=remote.name)
    show(ports, job, "waiting_for_foreign_job")
    return again(_patience(ports, job))


def _end_stray(ports: Ports, remote: ComplianceJob) -> None:
    """Cancel a job of ours that nobody will upload to. Where X cannot, it expires."""
    if is_active(remote.status):
        log.warning("stray_job", remote=remote.id, name=remote.name)
        cancel_remote(ports, RemoteId(remote.id))


def _is_stray(ports: Ports, type_: ComplianceType, remote: ComplianceJob) -> bool:
    """Whether an active job was made by us for a plan that no longer needs it."""
    prefix, _, rest = (remote.name or "").partition(".")
    number, _, job_id = rest.partition(".")
    if prefix != NAME_PREFIX or not number.isdecimal():
        return False
    owner = ports.ledger.job(type_, int(number))
    return owner.plan is not None and owner.plan.job_id == job_id and not owner.holds_slot


def _preferred(ours: list[ComplianceJob]) -> ComplianceJob:
    """Choose among several jobs of our name: an active one, the oldest."""
    return min(ours, key=lambda remote: (not is_active(remote.status), len(remote.id), remote.id))


def _lower_plan_is_open(ports: Ports, job: JobView) -> bool:
    jobs = ports.ledger.marked_jobs(job.keys.type)
    return any(other.plan and other.holds_slot and other.keys.plan_number < job.keys.plan_number for other in jobs)


def _refused(ports: Ports, job: JobView, error: RefusedError) -> Outcome:
    """Bear a refusal a few times; then the batch learns of it, and others get the slot."""
    refusals = ports.coordination.count_failure(f"create_refusals:{job.keys.type}:{job.keys.plan_number}")
    log.warning("create_refused", plan=job.keys.plan_number, refusals=refusals, error=str(error))
    if refusals < MAX_REFUSALS:
        return again(wait_after_refusal(refusals, ports.limits))
    return finish(ports, job, "failed", error=f"X refused to create the job: {error}", failed=True)


def _patience(ports: Ports, job: JobView) -> float:
    """Ask again as often as a poll would."""
    now = ports.clock.now()
    return wait_since(job.plan.recorded_at if job.plan else now, now, ports.limits)


def _guard(ports: Ports, job: JobView) -> None:
    """Have all workers wait for as long as the last create may be under way."""
    ports.coordination.postpone(_unanswered(job), UNANSWERED_SECONDS)
    ports.coordination.postpone(_known(job), KNOWN_SECONDS)


def _forget_unanswered(ports: Ports, job: JobView) -> None:
    """X has answered, or was never asked: nothing is under way."""
    ports.coordination.postpone(_unanswered(job), SOON_SECONDS)


def _known(job: JobView) -> str:
    return f"known_create:{job.keys.type}:{job.keys.plan_number}:{job.creates}"


def _unanswered(job: JobView) -> str:
    return f"unanswered_create:{job.keys.type}:{job.keys.plan_number}"
