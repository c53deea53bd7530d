"""Plans the next job of a type: when its slot is free, or will be soon."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import structlog

from complyq_producer.facts import Attempt, Plan
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_producer.ledger import JobPhase, JobView
from complyq_producer.model import ComplianceType, new_job_id
from complyq_workers.endings import MISSING
from complyq_workers.pipeline.blame import trouble_of
from complyq_workers.pipeline.durations import ends_soon
from complyq_workers.pipeline.hints import job_hints, plan_hint, publish_hint
from complyq_workers.pipeline.looking import look, needs_settling
from complyq_workers.pipeline.queue_display import is_queue_shown, show_queue
from complyq_workers.pipeline.step import Hint, Outcome, again, done
from complyq_workers.planner import LOOK_AT_ONCE, Candidates, Draft, Rules, decide_next, next_number
from complyq_workers.ranking import ranked
from complyq_workers.tracing import planned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from complyq_producer.facts import PlannedPart
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)


def plan(ports: Ports, type_: ComplianceType, lease: StepLease) -> Outcome:
    """Create the next plan of a type if something waits and no plan holds its slot, or the one that does ends soon."""
    # The order matters: what is read of the batches after the plans cannot be in a plan that we do not know, or
    # else that plan has the number that we are about to use, and creating ours fails. A plan that only a newer version
    # can read may hold the slot, so that the type waits.
    jobs = ports.ledger.marked_jobs(type_)
    running = [job for job in jobs if job.plan and job.holds_slot]
    is_busy = len(running) > 1 or any(not ends_soon(ports, job) for job in running)
    if is_busy and is_queue_shown(ports, type_):
        return done(*_needed_hints(ports, running))
    batches = ports.known.open(type_)
    lease.check()
    _close_markers(ports, [job for job in jobs[:-1] if job.phase is JobPhase.CLOSED])
    ordered = ranked(batches)
    if is_busy:
        show_queue(ports, type_, batches, ports.known.waiting(type_, ordered, jobs), len(running))
        return done(*_needed_hints(ports, running))
    ahead = LOOK_AT_ONCE if ports.limits.merge else 1
    candidates = Candidates(ordered, partial(look, ports), ports.limits.max_attempts, ahead)
    outcome, planned = _plan_next(ports, type_, jobs, candidates, ahead=bool(running))
    waiting = ports.known.waiting(type_, ordered, [*jobs, *planned])
    show_queue(ports, type_, batches, waiting, len(running) + len(planned))
    return outcome.with_hints(_settle_hints(ports, candidates))


def _needed_hints(ports: Ports, running: Iterable[JobView]) -> list[Hint]:
    """Hint at jobs that nobody is at work on. Who is hints on by himself; hinting too would have every step run twice."""
    return [hint for job in running for hint in job_hints(job) if ports.coordination.is_idle(hint.step)]


def _plan_next(
    ports: Ports, type_: ComplianceType, jobs: Sequence[JobView], candidates: Candidates, *, ahead: bool
) -> tuple[Outcome, list[JobView]]:
    """Create the next plan, if there is something for one; return what follows, and the job that was planned, if any."""
    keys = JobKeys(type_, next_number(jobs))
    trouble = trouble_of(ports, type_, keys.plan_number)
    if ahead and trouble.failures:
        return done(), []  # first let the job that runs show who is to blame
    decision = decide_next(candidates, jobs, _rules(ports), trouble, ports.clock.now())
    _close_markers(ports, [job for job in decision.resolved if job is not jobs[-1]])
    if decision.draft is None:
        return done(), []
    missing = _missing(ports, decision.draft)
    if missing:
        return done(*_record_missing(ports, missing), plan_hint(type_)), []
    created, ours = _create_plan(ports, keys, decision.draft)
    if not ours:
        return again(0.0), []  # somebody else planned meanwhile: read again
    planned = JobView(keys, plan=created)
    return done(*job_hints(planned)), [planned]


def _rules(ports: Ports) -> Rules:
    limits = ports.limits
    pause = timedelta(seconds=limits.poll_min_seconds)
    return Rules(limits.max_upload_bytes, limits.max_attempts, merge=limits.merge, pause=pause)


def _settle_hints(ports: Ports, candidates: Candidates) -> list[Hint]:
    """Hint at the batches that have something to publish or to decide, of those that were looked at."""
    views = (view for view in candidates.seen.values() if view)
    return [publish_hint(view.record.batch_id) for view in views if needs_settling(ports, view)]


def _create_plan(ports: Ports, keys: JobKeys, draft: Draft) -> tuple[Plan, bool]:
    fact = Plan(
        type=keys.type,
        number=keys.plan_number,
        job_id=new_job_id(),
        parts=draft.parts,
        payload=[_ids_key(part) for part in draft.parts],
        count=draft.count,
        bytes=draft.bytes,
    )
    fact = msgspec.structs.replace(fact, traceparent=planned(ports, keys.type, fact.number, fact.batch_ids))
    if fact.is_merged:
        fact = msgspec.structs.replace(fact, payload=[keys.payload])
    ports.store.create(keys.marker, b"")
    created, ours = ports.facts.create(keys.plan, fact)
    if ours:
        log.info("job_planned", type=keys.type, plan=keys.plan_number, job=created.job_id, ids=created.count,
                 bytes=created.bytes, batches=len(created.batch_ids))  # fmt: skip
    return created, ours


def _close_markers(ports: Ports, jobs: Iterable[JobView]) -> None:
    """Remove the markers of plans of which nothing is left; never the highest, which keeps numbers from being used twice."""
    for job in jobs:
        ports.store.delete(job.keys.marker)


def _missing(ports: Ports, draft: Draft) -> list[PlannedPart]:
    """Find the parts that are not in the store. Merging looks for those of several batches."""
    if len({part.batch_id for part in draft.parts}) > 1:
        return []
    return [part for part in draft.parts if ports.store.info(_ids_key(part)) is None]


def _record_missing(ports: Ports, missing: Iterable[PlannedPart]) -> Iterable[Hint]:
    for part in missing:
        keys = BatchKeys(part.batch_id)
        error = f"part {part.part} of the batch is missing in the store ({_ids_key(part)})"
        log.error("part_missing", batch=part.batch_id, part=part.part)
        ports.facts.create(keys.attempt(part.part, 0), Attempt(plan=0, status=MISSING, error=error, counted=True))
        yield publish_hint(part.batch_id)


def _ids_key(part: PlannedPart) -> str:
    return BatchKeys(part.batch_id).ids(part.part)
