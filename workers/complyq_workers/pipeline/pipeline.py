"""Runs the step that a hint asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from complyq_config.errors import ComplyqError
from complyq_producer import task_names
from complyq_producer.model import BatchId, ComplianceType
from complyq_workers.pipeline.collecting import collect
from complyq_workers.pipeline.creating import create
from complyq_workers.pipeline.planning import plan
from complyq_workers.pipeline.polling import poll
from complyq_workers.pipeline.publishing import publish
from complyq_workers.pipeline.step import Hint, Outcome, run_step
from complyq_workers.pipeline.sweeping import sweep
from complyq_workers.pipeline.uploading import upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from complyq_producer.ledger import JobView
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

JOB_STEPS: dict[str, Callable[[Ports, JobView, StepLease], Outcome]] = {
    task_names.CREATE_JOB: create,
    task_names.UPLOAD_JOB: upload,
    task_names.POLL_JOB: poll,
    task_names.COLLECT_JOB: collect,
}


class MalformedHintError(ComplyqError):
    """A message asks for a step that does not exist, or names something impossible."""


class Pipeline:
    """Runs steps over the ports, each under its lease."""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports

    def run(self, hint: Hint) -> Outcome:
        """Run the step of a hint, if it is due and nobody else runs it.

        Raises:
            MalformedHintError: if no step can be meant by it.
        """
        return run_step(self.ports, hint, self._action(hint))

    def _action(self, hint: Hint) -> Callable[[StepLease], Outcome]:
        try:
            return self._step(hint.task, *map(str, hint.args))
        except (TypeError, ValueError, ComplyqError) as error:
            raise MalformedHintError(f"no step is meant by {hint.task}{hint.args!r}: {error}") from error

    def _step(self, task: str, *args: str) -> Callable[[StepLease], Outcome]:
        if task == task_names.SWEEP:
            return lambda lease: sweep(self.ports, lease)
        if task == task_names.PLAN:
            (type_,) = map(ComplianceType.parse, args)
            return lambda lease: plan(self.ports, type_, lease)
        if task == task_names.PUBLISH_BATCH:
            (batch_id,) = map(BatchId, args)
            return lambda lease: publish(self.ports, batch_id, lease)
        return self._job_step(task, *args)

    def _job_step(self, task: str, type_text: str, number: str) -> Callable[[StepLease], Outcome]:
        if task not in JOB_STEPS:
            raise ValueError(f"unknown task {task}")
        type_, plan_number, step = ComplianceType.parse(type_text), int(number), JOB_STEPS[task]

        def run(lease: StepLease) -> Outcome:
            # The facts are read under the lease: what was true when the hint was sent may have changed.
            job = self.ports.ledger.job(type_, plan_number)
            with structlog.contextvars.bound_contextvars(job=job.plan.job_id if job.plan else None):
                return step(self.ports, job, lease)

        return run
