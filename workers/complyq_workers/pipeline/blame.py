"""Who is to blame for a failed job: a batch of it, or X."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from complyq_workers.planner import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.facts import Finished
    from complyq_producer.ledger import JobView
    from complyq_producer.model import ComplianceType
    from complyq_workers.pipeline.ports import Ports

LOOKED_BACK = 50
"""So many ended jobs are looked at for how the last ones that say something ended."""
PATIENCE = timedelta(days=7)
"""A batch that has waited so long is not spared any more: it ends, even if X never completes a job again."""


def judge(ports: Ports, job: JobView) -> Trouble:
    """Judge a job that failed: no batch is to blame if two of the failed jobs in a row had none in common."""
    suspects, failures = set(job.plan.batch_ids if job.plan else ()), 1
    for earlier, finished in _ended_before(ports, job.keys.type, job.keys.plan_number):
        failures = max(failures, 1 + finished.failures)
        view = ports.ledger.job(job.keys.type, earlier)
        suspects &= set(view.plan.batch_ids if view.plan else ())
        if finished.x_at_fault or not suspects:
            return Trouble(failures, x_at_fault=True)
    return Trouble(failures)


def trouble_of(ports: Ports, type_: ComplianceType, number: int) -> Trouble:
    """Return how the last jobs before plan `number` ended."""
    for _, finished in _ended_before(ports, type_, number):
        return Trouble(finished.failures, finished.x_at_fault, finished.recorded_at)
    return Trouble()


def counts(ports: Ports, job: JobView, verdict: Trouble) -> bool:
    """Whether a failure counts against the only batch of a job."""
    if not verdict.x_at_fault or job.plan is None:
        return True
    accepted = ports.ledger.accepted(job.plan.parts[0].batch_id)
    return accepted is not None and ports.clock.now() > accepted[1] + PATIENCE


def _ended_before(ports: Ports, type_: ComplianceType, number: int) -> Iterator[tuple[int, Finished]]:
    """Yield the failed jobs before a plan, the last one first, back to the last one that X completed.

    What was cancelled or lapsed says nothing.
    """
    for earlier in range(number - 1, max(0, number - 1 - LOOKED_BACK), -1):
        finished = ports.ledger.finished(type_, earlier)
        if finished and finished.has_results:
            return
        if finished and finished.failed:
            yield earlier, finished
