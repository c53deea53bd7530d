"""The Celery tasks. Each binds the log context, runs one step, and turns its outcome into messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from kombu.exceptions import OperationalError

from complyq_producer import task_names
from complyq_workers.app import app
from complyq_workers.failpoints import reach
from complyq_workers.pipeline import Hint, Outcome
from complyq_workers.wiring import pipeline_of_process

if TYPE_CHECKING:
    from celery import Task

log = structlog.get_logger(__name__)

SWEPT_HINT_SECONDS = 60.0


@app.task(name=task_names.PLAN, bind=True)
def plan(self: Task, type_: str) -> None:
    """Plan the next job of a type if its slot is free."""
    run(self, Hint(task_names.PLAN, (type_,)), type=type_)


@app.task(name=task_names.MERGE_JOB, bind=True)
def merge_job(self: Task, type_: str, number: int) -> None:
    """Merge the IDs of several batches into the payload of their job."""
    run(self, Hint(task_names.MERGE_JOB, (type_, number)), type=type_, plan=number)


@app.task(name=task_names.CREATE_JOB, bind=True)
def create_job(self: Task, type_: str, number: int) -> None:
    """Create the remote job of a plan, or adopt it."""
    run(self, Hint(task_names.CREATE_JOB, (type_, number)), type=type_, plan=number)


@app.task(name=task_names.UPLOAD_JOB, bind=True)
def upload_job(self: Task, type_: str, number: int) -> None:
    """Upload the payload of a job; continue from the server's offset."""
    run(self, Hint(task_names.UPLOAD_JOB, (type_, number)), type=type_, plan=number)


@app.task(name=task_names.POLL_JOB, bind=True)
def poll_job(self: Task, type_: str, number: int) -> None:
    """Ask X how a job is doing; come back later until it is final."""
    run(self, Hint(task_names.POLL_JOB, (type_, number)), type=type_, plan=number)


@app.task(name=task_names.COLLECT_JOB, bind=True)
def collect_job(self: Task, type_: str, number: int) -> None:
    """Download the results of a job and store them by part."""
    run(self, Hint(task_names.COLLECT_JOB, (type_, number)), type=type_, plan=number)


@app.task(name=task_names.PUBLISH_BATCH, bind=True)
def publish_batch(self: Task, batch_id: str) -> None:
    """Publish what a batch has, and its end once that is decided."""
    run(self, Hint(task_names.PUBLISH_BATCH, (batch_id,)), batch=batch_id)


@app.task(name=task_names.SWEEP, bind=True)
def sweep(self: Task) -> None:
    """Hint at all unfinished work."""
    run(self, Hint(task_names.SWEEP))


def run(task: Task, hint: Hint, **context: str | int) -> None:
    """Run one step under its log context and follow its outcome."""
    with structlog.contextvars.bound_contextvars(task=hint.task, task_id=task.request.id, **context):
        follow(task, pipeline_of_process().run(hint))


def follow(task: Task, outcome: Outcome) -> None:
    """Send the hints of an outcome, and the task itself again where the step is not done.

    What cannot be sent is found by the sweep.
    """
    try:
        for hint in outcome.hints:
            task.app.send_task(hint.task, args=hint.args, expires=_expiry(task))
            reach("messages.send")
        for hint, seconds in outcome.later:
            task.app.send_task(hint.task, args=hint.args, countdown=seconds)
            reach("messages.send_later")
    except (OperationalError, OSError) as error:
        log.warning("hint_not_sent", error=str(error))
    if outcome.again_in is not None:
        raise _retry(task, outcome.again_in)


def _expiry(task: Task) -> float | None:
    """What a sweep hints at the next sweep hints at again: no messages pile up while nobody takes them."""
    return SWEPT_HINT_SECONDS if task.name == task_names.SWEEP else None


def _retry(task: Task, seconds: float) -> Exception:
    retry: Any = task.retry(countdown=seconds, expires=None, throw=False)
    reach("messages.retry")
    return retry if isinstance(retry, Exception) else RuntimeError("Celery's retry gave no exception")
