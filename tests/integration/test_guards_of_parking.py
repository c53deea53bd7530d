"""What keeps a step that kills its workers from killing them all, and its slot from being taken too early."""

from pathlib import Path

import pytest

from complyq_producer import task_names
from complyq_workers.pipeline import Hint
from complyq_workers.pipeline.step import MAX_STARTS
from complyq_workers.x import AmbiguousAnswerError
from complyq_workers.x.messages import Reply, Request
from support.quiet_world import QuietWorld

PLAN, CREATE, UPLOAD, POLL = task_names.PLAN, task_names.CREATE_JOB, task_names.UPLOAD_JOB, task_names.POLL_JOB
COLLECT, PUBLISH = task_names.COLLECT_JOB, task_names.PUBLISH_BATCH


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X that cannot cancel."""
    return QuietWorld(tmp_path)


def crash(world: QuietWorld, task: str, *args: str | int) -> None:
    """Have a step kill its workers as often as it may."""
    for number in range(MAX_STARTS):
        assert world.ports.coordination.take_step(Hint(task, args).step, f"dead {number}", 1)
        world.world.pass_time(2)


def park(world: QuietWorld, task: str) -> None:
    """Have a step of the first job kill its workers, and be begun once more."""
    crash(world, task, "tweets", 1)
    world.run(task, "tweets", 1)
    world.world.pass_time(1)
    assert world.has_fact("parked")


def test_a_job_that_kills_its_workers_is_parked(world: QuietWorld) -> None:
    """The sixth does not begin it."""
    world.enqueue()
    world.run_to("created")
    park(world, UPLOAD)
    assert not world.has_fact("uploaded")


def test_publishing_that_kills_its_workers_is_parked(world: QuietWorld) -> None:
    """Somebody is told, and nothing else of the batch is published until it is released."""
    batch = world.enqueue()
    world.run_to("collected")
    crash(world, PUBLISH, batch.id)
    world.run(PUBLISH, batch.id)
    world.world.pass_time(1)
    world.run(PUBLISH, batch.id)
    assert [event["type"] for event in world.events()] == ["complyq.batch.parked.v1"]


def test_a_parked_job_keeps_its_slot_until_x_shows_it_final(world: QuietWorld) -> None:
    """Another job beside it would be refused, or be one too many."""
    world.x.fate = lambda: (1000.0, "complete")
    world.enqueue()
    world.run_to("uploaded")
    park(world, POLL)
    world.run(POLL, "tweets", 1)
    assert not world.has_fact("finished")
    world.world.pass_time(1000)
    world.run(POLL, "tweets", 1)
    assert world.has_fact("finished")


def test_a_job_that_is_parked_after_its_end_is_closed_without_results(world: QuietWorld) -> None:
    """Whoever collected them died every time: its parts wait, and its plan is over."""
    batch = world.enqueue()
    world.run_to("finished")
    park(world, COLLECT)
    world.run(POLL, "tweets", 1)
    collected = world.job().collected
    assert collected is not None
    assert not collected.available
    assert [attempt.status for attempt in world.attempts(batch.id)] == ["parked"]


def test_a_parked_plan_whose_create_may_be_under_way_keeps_its_slot(world: QuietWorld) -> None:
    """X does not list its job yet, and may do so any moment."""

    def lose(_: Request) -> Reply:
        raise AmbiguousAnswerError("no answer")

    world.enqueue()
    world.run_to("plan")
    world.transport.meddle("create", lose)
    world.run(CREATE, "tweets", 1)
    world.ports.coordination.postpone(f"unanswered_create:{world.job().keys.type}:1", 60)
    park(world, CREATE)
    world.run(POLL, "tweets", 1)
    assert not world.has_fact("finished")
    world.world.pass_time(60)
    world.run(POLL, "tweets", 1)
    assert world.has_fact("finished")


def test_what_everything_needs_is_slowed_down_instead(world: QuietWorld) -> None:
    """Planning is not parked; before it kills the next worker it is put off."""
    world.enqueue()
    crash(world, PLAN, "tweets")
    put_off: list[float] = []

    def look() -> None:
        put_off.append(world.ports.coordination.seconds_until_due(Hint(PLAN, ("tweets",)).step))

    world.run(PLAN, "tweets", ports=world.interrupted(lambda call, *_: call == "create", look))
    assert put_off == [pytest.approx(2.0, abs=0.1)]
