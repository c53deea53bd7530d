"""The slot of a type as the steps of one job see it: its lock, who wants it, and what status shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from complyq_producer.live import LiveJob

if TYPE_CHECKING:
    from complyq_producer.facts import Plan
    from complyq_producer.ledger import JobView
    from complyq_workers.pipeline.ports import Ports

SLOT_SECONDS = 21_600.0
"""The lock outlives the longest pause between two steps of a job: a quarter of the time that jobs like it take."""


def hold_slot(ports: Ports, job: JobView) -> bool:
    """Take or renew the lock of the type for this plan.

    A lock left behind by a plan whose job is final is taken away: the log of plans decides, the lock only saves time.
    """
    holder = ports.coordination.hold_slot(job.keys.type, _holder(job), SLOT_SECONDS)
    if holder == _holder(job):
        return True
    other = ports.ledger.job(job.keys.type, int(holder.partition(":")[0]))
    if other.plan is None or other.finished:
        ports.coordination.release_slot(job.keys.type, holder)
        return ports.coordination.hold_slot(job.keys.type, _holder(job), SLOT_SECONDS) == _holder(job)
    return False


def release_slot(ports: Ports, job: JobView) -> None:
    """Give the lock back, if this plan has it."""
    ports.coordination.release_slot(job.keys.type, _holder(job))


def is_wanted(ports: Ports, plan: Plan) -> bool:
    """Whether any batch of the plan still wants to be checked."""
    views = (ports.ledger.batch(batch_id) for batch_id in plan.batch_ids)
    return any(view is not None and view.is_wanted for view in views)


def show(ports: Ports, job: JobView, phase: str, done: int = 0, total: int = 0) -> None:
    """Show what the slot is doing; `done` and `total` in bytes."""
    live = LiveJob(
        plan=job.keys.plan_number,
        phase=phase,
        since=job.plan.recorded_at if job.plan else ports.clock.now(),
        remote_id=job.remote_id,
        bytes_done=done,
        bytes_total=total,
    )
    ports.coordination.show_job(job.keys.type, live)


def _holder(job: JobView) -> str:
    return f"{job.keys.plan_number}:{job.plan.job_id if job.plan else ''}"
