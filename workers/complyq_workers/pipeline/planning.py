"""Plans the next job of a type, and looks which batches need a decision or their events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from complyq_producer.errors import UnknownSchemaError
from complyq_producer.facts import Attempt, Plan
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_producer.ledger import JobPhase, JobView
from complyq_producer.model import BatchId, ComplianceType, new_job_id
from complyq_workers.payload import payload_objects
from complyq_workers.pipeline.hints import job_hints, plan_hint, publish_hint
from complyq_workers.pipeline.step import Hint, Outcome, again, done
from complyq_workers.planner import MISSING, Draft, decide_end, draft_plan, next_number, queue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from complyq_producer.facts import PlannedPart
    from complyq_producer.ledger import BatchView
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)


def plan(ports: Ports, type_: ComplianceType, lease: StepLease) -> Outcome:
    """Create the next plan of a type if no plan holds its slot and something waits."""
    # The order matters: what is read of the batches after the plans cannot be in a plan that we do not know, or
    # else that plan has the number that we are about to use, and creating ours fails. A plan that only a newer version
    # can read may hold the slot, so that the type waits.
    jobs = ports.ledger.marked_jobs(type_)
    batches = list(_readable_batches(ports, type_))
    lease.check()
    _close_markers(ports, jobs)
    settle = [publish_hint(view.record.batch_id) for view in batches if _needs_settling(ports, view)]
    current = next((job for job in jobs if job.plan and job.holds_slot), None)
    if current:
        _show_queue(ports, type_, batches, current.plan)
        return done(*settle, *job_hints(current))
    return _plan_next(ports, type_, jobs, batches).with_hints(settle)


def _readable_batches(ports: Ports, type_: ComplianceType) -> Iterator[BatchView]:
    """What a newer version has accepted is left to it: a part that nobody here plans is in no job twice."""
    for batch_id in ports.ledger.marked_batches(type_):
        try:
            view = ports.ledger.batch(batch_id)
        except UnknownSchemaError as error:
            log.error("batch_not_readable", batch=batch_id, error=str(error))  # noqa: TRY400 - no bug of ours
        else:
            if view is not None:
                yield view


def _plan_next(ports: Ports, type_: ComplianceType, jobs: Sequence[JobView], batches: Sequence[BatchView]) -> Outcome:
    limits = ports.limits
    draft = draft_plan(batches, jobs, max_bytes=limits.max_upload_bytes, max_attempts=limits.max_attempts)
    if draft is None:
        _show_queue(ports, type_, [], None)
        return done()
    missing = [part for part in draft.parts if ports.store.info(_ids_key(part)) is None]
    if missing:
        return done(*_record_missing(ports, missing), plan_hint(type_))
    created, ours = _create_plan(ports, JobKeys(type_, next_number(jobs)), draft)
    _show_queue(ports, type_, batches, created)
    if not ours:
        return again(0.0)  # somebody else planned meanwhile: read again
    return done(*job_hints(JobView(JobKeys(type_, created.number), plan=created)))


def _create_plan(ports: Ports, keys: JobKeys, draft: Draft) -> tuple[Plan, bool]:
    plan_fact = Plan(
        type=keys.type,
        number=keys.plan_number,
        job_id=new_job_id(),
        parts=draft.parts,
        payload=payload_objects([(BatchKeys(part.batch_id), part.part) for part in draft.parts]),
        count=draft.count,
        bytes=draft.bytes,
    )
    ports.store.create(keys.marker, b"")
    created, ours = ports.facts.create(keys.plan, plan_fact)
    if ours:
        log.info("job_planned", type=keys.type, plan=keys.plan_number, job=created.job_id, ids=created.count,
                 bytes=created.bytes, batches=len(created.batch_ids))  # fmt: skip
    return created, ours


def _needs_settling(ports: Ports, view: BatchView) -> bool:
    """Whether a batch has something to publish or to decide."""
    end = decide_end(view, max_attempts=ports.limits.max_attempts, now=ports.clock.now())
    return bool(view.outcome or view.checked or view.parked or end)


def _close_markers(ports: Ports, jobs: Sequence[JobView]) -> None:
    """Remove the markers of closed plans, but never the highest: it keeps numbers from being used twice."""
    for job in jobs[:-1]:
        if job.phase is JobPhase.CLOSED:
            ports.store.delete(job.keys.marker)


def _record_missing(ports: Ports, missing: Iterable[PlannedPart]) -> Iterable[Hint]:
    for part in missing:
        keys = BatchKeys(part.batch_id)
        error = f"part {part.part} of the batch is missing in the store ({_ids_key(part)})"
        log.error("part_missing", batch=part.batch_id, part=part.part)
        ports.facts.create(keys.attempt(part.part, 0), Attempt(plan=0, status=MISSING, error=error, counted=True))
        yield publish_hint(part.batch_id)


def _ids_key(part: PlannedPart) -> str:
    return BatchKeys(part.batch_id).ids(part.part)


def _show_queue(ports: Ports, type_: ComplianceType, batches: Iterable[BatchView], current: Plan | None) -> None:
    running: set[BatchId] = set(current.batch_ids) if current else set()
    waiting = [view.record.batch_id for view in queue(batches, max_attempts=ports.limits.max_attempts)]
    ports.coordination.show_queue(type_, [batch_id for batch_id in waiting if batch_id not in running])
