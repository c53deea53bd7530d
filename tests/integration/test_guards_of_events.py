"""What keeps the events of a batch right: each test takes one way to lose, change or contradict them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from complyq_producer import task_names
from complyq_workers import preemption
from complyq_workers.pipeline import publishing
from support.quiet_world import DiedError, QuietWorld

COLLECT, PUBLISH = task_names.COLLECT_JOB, task_names.PUBLISH_BATCH


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


@pytest.fixture
def shutting_down() -> Iterator[Callable[[], None]]:
    """Have the worker of this process shut down, and take it back."""
    yield lambda: preemption.begin(0)
    preemption._INSTANT.pack_into(preemption._shared, 0, 0.0)


def ids(world: QuietWorld) -> list[str]:
    """The events, in order, without the batch's id."""
    return [event["id"].partition("/")[2] for event in world.events()]


def creates(part: str) -> Callable[..., bool]:
    """Choose the creation of an object."""
    return lambda name, *args: name == "create" and part in args[0]


def test_an_end_that_somebody_better_informed_decided_is_read_again(world: QuietWorld) -> None:
    """One worker sees a cancel, another all results: the first publishes no end before results that it does not know."""
    batch = world.enqueue()
    world.run_to("finished")
    world.producer.cancel(batch.id)

    def decide() -> None:
        world.run(COLLECT, "tweets", 1)
        publishing._decide(world.ports, world.batch(batch.id))

    world.run(PUBLISH, batch.id, ports=world.interrupted(creates("outcome.json"), decide))
    assert world.finish(batch.id) == "completed"
    assert ids(world) == ["0/0", "completed"]


def test_of_two_ends_the_one_that_stands_is_published(world: QuietWorld) -> None:
    """Whoever decides second goes by what the first one wrote."""
    batch = world.enqueue()
    world.run_to("finished")
    world.producer.cancel(batch.id)

    def complete() -> None:
        world.run(COLLECT, "tweets", 1)
        world.world.coordination.flush()
        world.run(PUBLISH, batch.id)

    world.run(PUBLISH, batch.id, ports=world.interrupted(creates("outcome.json"), complete))
    assert world.finish(batch.id) == "completed"
    assert ids(world) == ["0/0", "completed"]


@pytest.mark.parametrize("change", range(1, 7))
def test_a_publisher_may_die_at_each_thing_it_does(world: QuietWorld, change: int) -> None:
    """Before the end, its fact or a marker: all events are there once, and the batch is among those that are done."""
    batch = world.enqueue()
    world.run_to("collected")
    with pytest.raises(DiedError):
        world.run(PUBLISH, batch.id, ports=world.mortal(change))
    assert world.finish(batch.id) == "completed"
    assert ids(world) == ["0/0", "completed"]
    assert [info.key.rsplit("/", 1)[1] for info in world.store.list("done/")] == [batch.id]


def test_copies_of_an_event_say_the_same(world: QuietWorld) -> None:
    """The queue has forgotten what was published, and it is published again a day later."""
    batch = world.enqueue()
    world.run_to("collected")
    with pytest.raises(DiedError):
        world.run(PUBLISH, batch.id, ports=world.mortal(4))
    first = dict(world.world.events.events)
    world.world.events._published.clear()
    world.world.pass_time(86_400)
    world.finish(batch.id)
    second = dict(world.world.events.events[len(first) :])
    assert len(first) == len(second) == 2
    assert first == second


def test_publishing_stops_when_its_worker_shuts_down(world: QuietWorld, shutting_down: Callable[[], None]) -> None:
    """Between two messages; the next worker goes on."""
    batch = world.enqueue()
    world.run_to("collected")
    shutting_down()
    assert world.run(PUBLISH, batch.id).again_in == 0.0
    assert ids(world) == []
