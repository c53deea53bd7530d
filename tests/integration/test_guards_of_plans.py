"""What keeps plans in order: each test takes one way in which planners could get in each other's way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from complyq_producer import task_names
from support.quiet_world import DiedError, QuietWorld

PLAN, COLLECT, PUBLISH = task_names.PLAN, task_names.COLLECT_JOB, task_names.PUBLISH_BATCH


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


def test_a_second_batch_gets_the_next_number(world: QuietWorld) -> None:
    """Also when every plan before it is closed: the last of them is remembered."""
    for number in (1, 2, 3):
        batch = world.enqueue(range(100 * number, 100 * number + 6))
        assert world.finish(batch.id) == "completed"
        plan = world.job(number).plan
        assert plan is not None
        assert plan.batch_ids == [batch.id]


def test_a_job_that_ends_while_a_planner_looks_is_not_run_again(world: QuietWorld) -> None:
    """The planner is slow: between its looks at plans and at batches a job ends and its results are stored."""
    batch = world.enqueue()
    world.run_to("finished")
    looks: list[str] = []

    def between(name: str, *args: str) -> bool:
        looks.extend(args[:1] if name == "list" and args[0].startswith("open/") else [])
        return len(looks) == 2

    ports = world.interrupted(between, lambda: world.run(COLLECT, "tweets", 1))
    world.run(PLAN, "tweets", ports=ports)
    assert world.finish(batch.id) == "completed"
    assert world.job(2).plan is None


def test_nothing_is_planned_while_a_plan_has_the_slot(world: QuietWorld) -> None:
    """What comes next is decided when its turn has come, by what is most urgent then."""
    world.enqueue()
    world.run_to("created")
    normal = world.enqueue(range(100, 106))
    world.run(PLAN, "tweets")
    assert world.job(2).plan is None
    urgent = world.enqueue(range(200, 206), priority="urgent")
    world.finish(normal.id)
    plan = world.job(2).plan
    assert plan is not None
    assert plan.batch_ids == [urgent.id]


@pytest.mark.parametrize("change", [1, 2])
def test_a_planner_that_dies_is_followed_by_another(world: QuietWorld, change: int) -> None:
    """Whatever it had written, the batch is planned once, under the next number."""
    batch = world.enqueue()
    with pytest.raises(DiedError):
        world.run(PLAN, "tweets", ports=world.mortal(change))
    assert world.finish(batch.id) == "completed"
    assert len(world.remote_jobs()) == 1
    assert world.job(2).plan is None


def creates(part: str) -> Callable[..., bool]:
    """Choose the creation of an object."""
    return lambda name, *args: name == "create" and part in args[0]


def test_results_that_come_after_the_end_are_not_published(world: QuietWorld) -> None:
    """A cancelled batch named no results; a job that was under way gives some, and nobody hears of them."""
    batch = world.enqueue()
    world.run_to("finished")
    world.producer.cancel(batch.id)

    def die() -> None:
        raise DiedError

    with pytest.raises(DiedError):
        world.run(PUBLISH, batch.id, ports=world.interrupted(creates("published.json"), die))
    world.run(COLLECT, "tweets", 1)
    assert world.batch(batch.id).checked
    assert world.finish(batch.id) == "cancelled"
    assert [event["id"] for event in world.events()] == [f"{batch.id}/cancelled"]
