"""Which task looks at what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from complyq_producer import task_names
from complyq_producer.ledger import JobPhase
from complyq_workers.pipeline.step import Hint

if TYPE_CHECKING:
    from complyq_producer.ledger import JobView
    from complyq_producer.model import BatchId, ComplianceType

TASK_OF_PHASE = {
    JobPhase.MERGING: task_names.MERGE_JOB,
    JobPhase.PLANNED: task_names.CREATE_JOB,
    JobPhase.CREATED: task_names.UPLOAD_JOB,
    JobPhase.UPLOADED: task_names.POLL_JOB,
    JobPhase.FINISHED: task_names.COLLECT_JOB,
    JobPhase.PARKED: task_names.POLL_JOB,
}

LIGHT_BYTES = 65_536
"""About 3,000 IDs."""


def plan_hint(type_: ComplianceType) -> Hint:
    """Look whether the next job of a type can be planned."""
    return Hint(task_names.PLAN, (str(type_),))


def publish_hint(batch_id: BatchId) -> Hint:
    """Look what of a batch is to be published."""
    return Hint(task_names.PUBLISH_BATCH, (batch_id,))


def next_hint(job: JobView) -> Hint:
    """Look at the job after this one, which may be ready for the slot."""
    return Hint(task_names.CREATE_JOB, (str(job.keys.type), job.keys.plan_number + 1))


def job_hints(job: JobView) -> tuple[Hint, ...]:
    """Look at a job, with the task that its phase asks for; none if it is closed, or there is no such plan."""
    task = TASK_OF_PHASE.get(job.phase) if job.plan else None
    return (Hint(task, (str(job.keys.type), job.keys.plan_number), is_light=is_light(job)),) if task else ()


def is_light(job: JobView) -> bool:
    """Whether a job is so small that its transfers take no longer than any request to X."""
    return job.plan is not None and not job.plan.is_merged and job.bytes <= LIGHT_BYTES
