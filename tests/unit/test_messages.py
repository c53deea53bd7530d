"""What messages must be: all that our own code sends, and nothing else."""

from typing import Any

import pytest
from celery import Celery
from kombu import Message

from complyq_producer import task_names
from complyq_workers import tasks
from complyq_workers.messages import fault_of
from complyq_workers.pipeline.arguments import ARGUMENTS

BATCH = "019a1b2c-3d4e-7f00-8123-456789abcdef"
SENT: list[tuple[str, tuple[Any, ...]]] = [
    (task_names.PLAN, ("tweets",)),
    (task_names.MERGE_JOB, ("tweets", 2)),
    (task_names.CREATE_JOB, ("users", 1)),
    (task_names.UPLOAD_JOB, ("tweets", 99_999_999)),
    (task_names.POLL_JOB, ("tweets", 7)),
    (task_names.COLLECT_JOB, ("users", 7)),
    (task_names.PUBLISH_BATCH, (BATCH,)),
    (task_names.SWEEP, ()),
    (task_names.REPLAY, (BATCH,)),
    (task_names.PURGE, ()),
]


def message(task: str, arguments: tuple[Any, ...], **options: Any) -> Message:
    """Build a message as Celery sends it."""
    sent = Celery("tests").amqp.as_task_v2("id", task, args=arguments, **options)
    connection = Celery("tests", broker="memory://").connection_for_write()
    with connection, connection.Producer() as producer:
        body, content_type, encoding = producer._prepare(sent.body, "json", headers=sent.headers)
    return Message(body, content_type=content_type, content_encoding=encoding, headers=sent.headers)


@pytest.mark.parametrize(("task", "arguments"), SENT)
@pytest.mark.parametrize("options", [{}, {"countdown": 300, "retries": 7}, {"expires": 60.0}])
def test_what_our_own_code_sends_is_understood(task: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Hints, hints that come again after a while, and hints that expire."""
    assert fault_of(message(task, arguments, **options)) is None


def test_every_task_is_known_by_what_it_is_told() -> None:
    """A task that is added without saying so would find all its messages among the dead letters."""
    ours = {name for name in tasks.sweep.app.tasks if name.startswith("complyq.")}
    assert ours == set(ARGUMENTS) == {task for task, _ in SENT}


@pytest.mark.parametrize(
    ("task", "arguments", "reason"),
    [
        ("complyq.nothing", (), "there is no task"),
        (task_names.PLAN, ("posts",), "posts"),
        (task_names.PLAN, (), "length 1"),
        (task_names.UPLOAD_JOB, ("tweets", 0), "`int` >= 1"),
        (task_names.UPLOAD_JOB, ("tweets", "1"), "got `str`"),
        (task_names.UPLOAD_JOB, ("tweets", True), "bool"),
        (task_names.PUBLISH_BATCH, (BATCH + "\n",), "regex"),
    ],
)
def test_the_fault_says_what_is_wrong(task: str, arguments: tuple[Any, ...], reason: str) -> None:
    """An operator sees whose message it is."""
    fault = fault_of(message(task, arguments))
    assert fault is not None
    assert reason in fault
