"""What is promised of plans and jobs, looked at from outside at the end of a history."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from complyq_producer.facts import Attempt, CollectedPage, Outcome, Plan
from complyq_producer.layout import BatchKeys
from complyq_producer.ledger import BatchView, JobView, Ledger
from complyq_producer.model import BatchId, ComplianceType
from simulation.shape import MAX_ATTEMPTS
from simulation.world import World

PATIENCE = timedelta(days=7)
SKEW = timedelta(hours=3)
"""Clocks may be wrong by an hour, and X's and the store's too."""
SAID_SO = frozenset({"missing", "parked"})
"""Why a batch may fail beside jobs of its own that failed."""

PartKey = tuple[BatchId, int]


@dataclass(frozen=True)
class PlanLog:
    """All plans of a type, and what became of them."""

    ledger: Ledger
    type: ComplianceType

    @cached_property
    def jobs(self) -> list[JobView]:
        """All jobs, in order."""
        folder = f"jobs/{self.type}/"
        plans = [info.key for info in self.ledger.store.list(folder) if info.key.endswith("/plan.json")]
        return [self.ledger.job(self.type, int(key.split("/")[2])) for key in plans]

    @cached_property
    def plans(self) -> list[Plan]:
        """All plans, in order."""
        return [job.plan for job in self.jobs if job.plan]

    @cached_property
    def results(self) -> dict[int, set[PartKey]]:
        """The parts of which each plan gave results."""
        return {job.keys.plan_number: self._results_of(job) for job in self.jobs}

    def _results_of(self, job: JobView) -> set[PartKey]:
        if job.collected is None or not job.collected.available:
            return set()
        pages = (self.ledger.facts.read(job.keys.page(n), CollectedPage) for n in range(len(job.collected.pages)))
        parts = [*job.collected.parts, *(part for page in pages if page for part in page.parts)]
        return {(part.batch_id, part.part) for part in parts}


def check_jobs(world: World) -> None:
    """One upload a plan; plans without gaps; parts accounted for; nobody blamed for what others did."""
    uploads: Counter[str] = Counter(job.name or "" for job in world.x.jobs.values() if job.received or job.uploaded)
    for name, count in uploads.items():
        if count > 1:
            world.violated(f"{count} jobs of {name} were uploaded to")
    if world.x.refused:
        world.violated(f"{world.x.refused} requests were more than X allows")
    for type_ in ComplianceType:
        log = PlanLog(Ledger(world.store), type_)
        numbers = [plan.number for plan in log.plans]
        if numbers != list(range(1, len(numbers) + 1)):
            world.violated(f"plans of {type_} are numbered {numbers}")
        _check_parts(world, log)
        _check_blame(world, log)


def _check_parts(world: World, log: PlanLog) -> None:
    """Every part of a plan has results, an attempt, or a later plan, unless its batch ended meanwhile; results come once."""
    planned_last = {(part.batch_id, part.part): plan.number for plan in log.plans for part in plan.parts}
    gave = defaultdict(list)
    for plan in log.plans:
        if plan.is_merged and not world.shape.merge:
            world.violated(f"plan {plan.number} of {log.type} merges batches")
        for key in log.results[plan.number]:
            gave[key].append(plan.number)
        for key in {(part.batch_id, part.part) for part in plan.parts} - log.results[plan.number]:
            if not _is_accounted_for(log, plan, key, planned_last):
                world.violated(f"plan {plan.number} of {log.type} left part {key[1]} of {key[0]} without a word")
    for (batch_id, part), plans in gave.items():
        if len(plans) > 1:
            world.violated(f"part {part} of {batch_id} was checked by plans {plans}")


def _is_accounted_for(log: PlanLog, plan: Plan, key: PartKey, planned_last: Mapping[PartKey, int]) -> bool:
    keys = BatchKeys(key[0])
    if log.ledger.facts.read(keys.attempt(key[1], plan.number), Attempt):
        return True
    outcome = log.ledger.facts.read(keys.outcome, Outcome)
    return plan.is_merged and (
        planned_last[key] > plan.number or (outcome is not None and outcome.state != "completed")
    )


def _check_blame(world: World, log: PlanLog) -> None:
    """Only jobs of one batch count, and none that failed in a row with jobs without it; who failed had its attempts."""
    carried = {batch_id for plan in log.plans for batch_id in plan.batch_ids}
    for view in filter(None, map(log.ledger.batch, sorted(carried))):
        counted = [attempt for some in view.attempts.values() for attempt in some if attempt.counted]
        for attempt in counted:
            if attempt.plan and not _is_just(log, view, attempt):
                world.violated(f"plan {attempt.plan} of {log.type} counts against {view.record.batch_id}")
        failures = max((view.failures(part) for part in view.unchecked_parts()), default=0)
        said_so = any(attempt.status in SAID_SO for some in view.attempts.values() for attempt in some)
        is_failed = view.outcome is not None and view.outcome.state == "failed"
        if is_failed and failures < MAX_ATTEMPTS and not said_so:
            world.violated(f"batch {view.record.batch_id} failed after {failures} failures of its own")


def _is_just(log: PlanLog, view: BatchView, attempt: Attempt) -> bool:
    """Whether a failure may count: X may have been well, or has been ill for a week."""
    ended = log.jobs[: attempt.plan]
    if len(log.plans[attempt.plan - 1].batch_ids) > 1:
        return False
    if attempt.recorded_at > view.accepted_at + PATIENCE - SKEW:
        return True
    return bool(_suspects(ended, view.record.batch_id))


def _suspects(ended: Sequence[JobView], batch_id: BatchId) -> set[BatchId]:
    """Return the batches that were in each of the last failed jobs, back to the last one that X completed."""
    suspects = {batch_id}
    for job in reversed(ended):
        if job.finished and job.finished.has_results and job is not ended[-1]:
            break
        if job.finished and job.finished.failed and job.plan:
            suspects &= set(job.plan.batch_ids)
    return suspects
