"""A process goes on with the step that follows, and what it leaves to others it sends."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from complyq_producer import task_names
from complyq_workers import preemption, tasks
from complyq_workers.carrying_on import carried_on
from complyq_workers.pipeline import Hint, Outcome

PLAN = Hint(task_names.PLAN, ("tweets",))
CREATE = Hint(task_names.CREATE_JOB, ("tweets", 7))
UPLOAD = Hint(task_names.UPLOAD_JOB, ("tweets", 7))
POLL = Hint(task_names.POLL_JOB, ("tweets", 7))
COLLECT = Hint(task_names.COLLECT_JOB, ("tweets", 7))
PUBLISH, PUBLISH_OTHER = (Hint(task_names.PUBLISH_BATCH, (batch,)) for batch in ("a", "b"))
SWEEP = Hint(task_names.SWEEP)


@pytest.mark.parametrize(
    ("begun_with", "hints", "carried"),
    [
        (PLAN, (CREATE,), CREATE),
        (UPLOAD, (POLL,), POLL),
        (UPLOAD, (COLLECT, PLAN), PLAN),
        (POLL, (COLLECT, PLAN), PLAN),
        (COLLECT, (PUBLISH,), PUBLISH),
        (PLAN, (), None),
    ],
)
def test_the_last_hint_is_followed(begun_with: Hint, hints: tuple[Hint, ...], carried: Hint | None) -> None:
    """Steps put there what makes sense at once, in the same process."""
    assert carried_on(begun_with, Outcome(hints)) is carried


def test_a_short_step_leaves_transfers_to_others() -> None:
    """They may take minutes, and planning and polling must go on meanwhile. Those of a small job do not."""
    assert carried_on(CREATE, Outcome((UPLOAD,))) is None
    assert carried_on(UPLOAD, Outcome((UPLOAD,))) is UPLOAD
    light = replace(UPLOAD, is_light=True)
    assert carried_on(CREATE, Outcome((light,))) is light


def test_what_is_one_of_many_is_left_to_all() -> None:
    """The batches of a job are published side by side, and so is what a sweep has found."""
    assert carried_on(COLLECT, Outcome((PUBLISH, PUBLISH_OTHER))) is None
    assert carried_on(SWEEP, Outcome((POLL,))) is None


class Worker:
    """A Celery app and its task, and the pipeline whose steps it runs: each leads to what was said."""

    def __init__(self, name: str, **outcomes: Outcome) -> None:
        self.name = name
        self.app = self
        self.request = SimpleNamespace(id="1")
        self.ran: list[Hint] = []
        self.sent: list[tuple[str, Any, dict[str, Any]]] = []
        self._outcomes = outcomes

    def run(self, hint: Hint) -> Outcome:
        """Run a step."""
        self.ran.append(hint)
        return self._outcomes.get(hint.step.partition(":")[0], Outcome())

    def send_task(self, name: str, args: Any, **options: Any) -> None:
        """Take a message."""
        self.sent.append((name, args, {key: value for key, value in options.items() if value is not None}))


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Have a worker take a message."""

    def begin(hint: Hint, **outcomes: Outcome) -> Worker:
        worker = Worker(hint.task, **outcomes)
        monkeypatch.setattr(tasks, "pipeline_of_process", lambda: worker)
        tasks.run(worker, hint)
        return worker

    yield begin
    preemption._INSTANT.pack_into(preemption._shared, 0, 0.0)


def test_one_message_takes_a_job_as_far_as_it_gets(begin: Any) -> None:
    """What others are to do is sent before the process goes on."""
    worker = begin(UPLOAD, upload_job=Outcome((POLL,)), poll_job=Outcome((COLLECT, PLAN)), plan=Outcome((), 30.0))
    assert worker.ran == [UPLOAD, POLL, PLAN]
    assert worker.sent == [(COLLECT.task, COLLECT.args, {}), (PLAN.task, PLAN.args, {"countdown": 30.0})]


def test_a_step_that_comes_back_is_not_its_predecessor(begin: Any) -> None:
    """It is the one that was carried on that is asked for again, and it alone."""
    worker = begin(UPLOAD, upload_job=Outcome((POLL,)), poll_job=Outcome((), 5.0, ((PLAN, 60.0),)))
    assert worker.sent == [(PLAN.task, PLAN.args, {"countdown": 60.0}), (POLL.task, POLL.args, {"countdown": 5.0})]


def test_a_task_that_took_long_sends_what_follows(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that other jobs get their turn."""
    monkeypatch.setattr(tasks, "CARRY_ON_SECONDS", 0.0)
    worker = begin(PLAN, plan=Outcome((CREATE,)))
    assert worker.ran == [PLAN]
    assert worker.sent == [(CREATE.task, CREATE.args, {})]


def test_a_worker_that_shuts_down_begins_nothing(begin: Any) -> None:
    """Another one takes the message."""
    preemption.begin(1000)
    assert begin(PLAN, plan=Outcome((CREATE,))).sent == [(CREATE.task, CREATE.args, {})]


def test_hints_of_a_sweep_expire(begin: Any) -> None:
    """The next sweep gives them again."""
    worker = begin(SWEEP, sweep=Outcome((PLAN, POLL)))
    assert [options for _, _, options in worker.sent] == [{"expires": tasks.SWEPT_HINT_SECONDS}] * 2
