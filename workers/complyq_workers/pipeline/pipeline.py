"""Runs the step that a hint asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from complyq_producer import task_names
from complyq_workers.pipeline.arguments import arguments_of
from complyq_workers.pipeline.collecting import collect
from complyq_workers.pipeline.creating import create
from complyq_workers.pipeline.merging import merge
from complyq_workers.pipeline.parking import park_job, park_publishing
from complyq_workers.pipeline.planning import plan
from complyq_workers.pipeline.polling import poll
from complyq_workers.pipeline.publishing import publish
from complyq_workers.pipeline.purging import purge
from complyq_workers.pipeline.replaying import replay
from complyq_workers.pipeline.step import MAX_STARTS, Hint, Outcome, run_step
from complyq_workers.pipeline.sweeping import sweep
from complyq_workers.pipeline.uploading import upload
from complyq_workers.tracing import traced, work_on_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from complyq_producer.ledger import JobView
    from complyq_producer.model import BatchId, ComplianceType
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.pipeline.step import Action

    JobStep = Callable[[Ports, JobView, StepLease], Outcome]

STEPS: dict[str, Callable[..., Outcome]] = {
    task_names.PLAN: plan,
    task_names.SWEEP: sweep,
    task_names.REPLAY: replay,
    task_names.PURGE: purge,
}
"""Steps that are about no one job or batch, so that they are never parked."""
JOB_STEPS: dict[str, JobStep] = {
    task_names.MERGE_JOB: merge,
    task_names.CREATE_JOB: create,
    task_names.UPLOAD_JOB: upload,
    task_names.POLL_JOB: poll,
    task_names.COLLECT_JOB: collect,
}


class Pipeline:
    """Runs steps over the ports, each under its lease."""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports

    def run(self, hint: Hint) -> Outcome:
        """Run the step of a hint, if it is due and nobody else runs it.

        Raises:
            MalformedHintError: if no step can be meant by it.
        """
        with traced(hint.task):
            return run_step(self.ports, hint, self._action(hint))

    def _action(self, hint: Hint) -> Action:
        arguments = arguments_of(hint)
        if hint.task in JOB_STEPS:
            return self._job_action(hint.task, *arguments)
        if hint.task == task_names.PUBLISH_BATCH:
            return self._publishing(*arguments)
        return lambda lease, _: STEPS[hint.task](self.ports, *arguments, lease)

    def _job_action(self, task: str, type_: ComplianceType, number: int) -> Action:
        def act(lease: StepLease, starts: int) -> Outcome:
            # The facts are read under the lease: what was true when the hint was sent may have changed.
            job = self.ports.ledger.job(type_, number)
            if job.plan:
                work_on_job(job.plan)
            with structlog.contextvars.bound_contextvars(job=job.plan.job_id if job.plan else None):
                parked = park_job(self.ports, job, task, starts) if starts > MAX_STARTS else None
                return parked or JOB_STEPS[task](self.ports, job, lease)

        return act

    def _publishing(self, batch_id: BatchId) -> Action:
        def act(lease: StepLease, starts: int) -> Outcome:
            parked = park_publishing(self.ports, batch_id, starts) if starts > MAX_STARTS else None
            return parked or publish(self.ports, batch_id, lease)

        return act
