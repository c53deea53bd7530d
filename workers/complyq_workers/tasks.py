"""The Celery tasks. Each runs one step under its log context, and what follows at once; the rest becomes messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from complyq_config.amqp_transport import NOT_SENT
from complyq_producer import task_names
from complyq_workers import preemption
from complyq_workers.app import app, countdown
from complyq_workers.carrying_on import carried_on
from complyq_workers.failpoints import reach
from complyq_workers.pipeline import Hint, Outcome
from complyq_workers.wiring import pipeline_of_process

if TYPE_CHECKING:
    from celery import Task

log = structlog.get_logger(__name__)

SWEPT_HINT_SECONDS = 60.0
_NAMED = {task_names.PUBLISH_BATCH: ("batch",), task_names.REPLAY: ("replay",)}
"""What a task is told, where that is not a type and a plan."""
CARRY_ON_SECONDS = 1.0
"""A task that has taken longer leaves what follows to another, so that whatever waits has its turn."""


@app.task(name=task_names.PLAN, bind=True)
def plan(self: Task, type_: str) -> None:
    """Plan the next job of a type if its slot is free."""
    run(self, Hint(task_names.PLAN, (type_,)))


@app.task(name=task_names.MERGE_JOB, bind=True)
def merge_job(self: Task, type_: str, number: int) -> None:
    """Merge the IDs of several batches into the payload of their job."""
    run(self, Hint(task_names.MERGE_JOB, (type_, number)))


@app.task(name=task_names.CREATE_JOB, bind=True)
def create_job(self: Task, type_: str, number: int) -> None:
    """Create the remote job of a plan, or adopt it."""
    run(self, Hint(task_names.CREATE_JOB, (type_, number)))


@app.task(name=task_names.UPLOAD_JOB, bind=True)
def upload_job(self: Task, type_: str, number: int) -> None:
    """Upload the payload of a job; continue from the server's offset."""
    run(self, Hint(task_names.UPLOAD_JOB, (type_, number)))


@app.task(name=task_names.POLL_JOB, bind=True)
def poll_job(self: Task, type_: str, number: int) -> None:
    """Ask X how a job is doing; come back later until it is final."""
    run(self, Hint(task_names.POLL_JOB, (type_, number)))


@app.task(name=task_names.COLLECT_JOB, bind=True)
def collect_job(self: Task, type_: str, number: int) -> None:
    """Download the results of a job and store them by part."""
    run(self, Hint(task_names.COLLECT_JOB, (type_, number)))


@app.task(name=task_names.PUBLISH_BATCH, bind=True)
def publish_batch(self: Task, batch_id: str) -> None:
    """Publish what a batch has, and its end once that is decided."""
    run(self, Hint(task_names.PUBLISH_BATCH, (batch_id,)))


@app.task(name=task_names.SWEEP, bind=True)
def sweep(self: Task) -> None:
    """Hint at all unfinished work."""
    run(self, Hint(task_names.SWEEP))


@app.task(name=task_names.REPLAY, bind=True)
def replay(self: Task, replay_id: str) -> None:
    """Publish events again, some batches at a time."""
    run(self, Hint(task_names.REPLAY, (replay_id,)))


@app.task(name=task_names.PURGE, bind=True)
def purge(self: Task) -> None:
    """Remove what is kept of batches that ended long ago, some of them at a time."""
    run(self, Hint(task_names.PURGE))


def run(task: Task, hint: Hint) -> None:
    """Run a step, and those that follow it at once.

    A message is acknowledged when all of them are done: if the process dies, it is handed out again, and the facts lead
    to the step that was under way.
    """
    ends = time.monotonic() + CARRY_ON_SECONDS
    following: Hint | None = hint
    while following:
        outcome = _run_step(task, following)
        next_hint = carried_on(hint, outcome) if time.monotonic() < ends and not preemption.has_begun() else None
        follow(task, following, outcome, but=next_hint)
        following = next_hint


def _run_step(task: Task, hint: Hint) -> Outcome:
    with structlog.contextvars.bound_contextvars(task=hint.task, task_id=task.request.id, **_context(hint)):
        return pipeline_of_process().run(hint)


def _context(hint: Hint) -> dict[str, str | int]:
    names = _NAMED.get(hint.task, ("type", "plan"))
    return dict(zip(names, hint.args, strict=False))


def follow(task: Task, hint: Hint, outcome: Outcome, *, but: Hint | None = None) -> None:
    """Send the hints of an outcome, and that of the step itself where it is not done.

    What cannot be sent is found by the sweep.

    Args:
        task: what runs.
        hint: whose outcome it is.
        outcome: what is to be done next.
        but: the hint that is followed without a message.
    """
    try:
        for following in outcome.hints:
            if following is not but:
                task.app.send_task(following.task, args=following.args, expires=_expiry(task))
                reach("messages.send")
        for following, seconds in outcome.later:
            task.app.send_task(following.task, args=following.args, countdown=countdown(seconds))
            reach("messages.send_later")
        if outcome.again_in is not None:
            task.app.send_task(hint.task, args=hint.args, countdown=countdown(outcome.again_in))
            reach("messages.retry")
    except NOT_SENT as error:
        log.warning("hint_not_sent", error=str(error))


def _expiry(task: Task) -> float | None:
    """What a sweep hints at the next sweep hints at again: no messages pile up while nobody takes them."""
    return SWEPT_HINT_SECONDS if task.name == task_names.SWEEP else None
