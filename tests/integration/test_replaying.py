"""Events are published again from the facts: when somebody asks, and when the results queue has lost them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from complyq_config.errors import ComplyqError
from complyq_producer import task_names
from complyq_producer.errors import BatchNotFoundError, BatchPurgedError, InvalidArgumentError
from complyq_producer.model import ReplayId
from complyq_producer.purging import Purge
from complyq_producer.replays import Replays
from complyq_workers.events import EventPublisher
from complyq_workers.pipeline import Hint, Pipeline, replaying
from complyq_workers.pipeline.ports import Ports
from complyq_workers.together import one_by_one
from support.quiet_world import IDS, MOST_STEPS, DiedError, Interrupted, QuietWorld

UNKNOWN = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
HOUR, DAY = 3_600.0, 86_400.0


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


def ended(world: QuietWorld, ids: range = IDS) -> str:
    """Run a batch to its end; return its id."""
    batch = world.enqueue(ids)
    world.finish(batch.id)
    return batch.id


def replays(world: QuietWorld) -> Replays:
    """What asks for replays."""
    return Replays(world.store, world.world, world.ports.clock.now)


def run_replay(world: QuietWorld, replay_id: str, ports: Ports | None = None) -> None:
    """Run a replay to its end, whatever messages there are."""
    outcomes = (world.run(task_names.REPLAY, replay_id, ports=ports) for _ in range(MOST_STEPS))
    assert any(outcome.again_in is None for outcome in outcomes)


def sweep(world: QuietWorld, ports: Ports | None = None) -> list[Hint]:
    """Sweep, when a sweep is due again; return the replays that it hints at."""
    world.world.pass_time(60)
    outcome = world.run(task_names.SWEEP, ports=ports)
    return [hint for hint in outcome.hints if hint.task == task_names.REPLAY]


def bodies(world: QuietWorld) -> list[bytes]:
    """The events on the queue, in order."""
    return [body for _, body in world.world.events.events]


def ids(world: QuietWorld) -> list[str]:
    """The ids of the events on the queue, in order."""
    return [event["id"] for event in world.events()]


def results_of(events: list[dict[str, Any]]) -> int:
    """Count the events that hold results."""
    return sum(event["type"] == "complyq.batch.results.v1" for event in events)


def test_a_batch_is_published_again_with_the_same_ids_and_bytes(world: QuietWorld) -> None:
    """Copies of all its events stand behind the first ones, in the same order; nothing is left open."""
    batch_id = ended(world)
    first = list(world.world.events.events)
    asked = replays(world)
    replay_id = asked.ask([batch_id])
    run_replay(world, replay_id)
    assert world.world.events.events == first * 2
    progress = asked.progress(replay_id)
    assert (progress.finished, progress.batches, progress.events, progress.failed) == (True, 1, len(first), 0)
    assert not list(world.store.list("open/replays/"))


def test_only_what_ended_since_is_published_again(world: QuietWorld) -> None:
    """And open batches, as far as they are; `--all` takes all."""
    old = ended(world)
    world.world.pass_time(2 * DAY)
    young = ended(world, range(10**8 + 100, 10**8 + 110))
    since = world.ports.clock.now() - timedelta(days=1)
    open_ = world.enqueue(range(10**8 + 200, 10**8 + 210))
    world.run_until(lambda: world.batch(open_.id).checked)
    asked = replays(world)
    assert set(asked.candidates(since=since)) == {young, open_.id}
    assert set(asked.candidates()) == {old, young, open_.id}
    before = len(ids(world))
    run_replay(world, asked.ask(since=since))
    again = {event_id.partition("/")[0] for event_id in ids(world)[before:]}
    assert again == {young, open_.id}
    assert f"{open_.id}/completed" not in ids(world)


def test_a_replay_once_done_publishes_nothing_more(world: QuietWorld) -> None:
    """However often its message comes."""
    replay_id = replays(world).ask([ended(world)])
    run_replay(world, replay_id)
    copies = Counter(ids(world))
    run_replay(world, replay_id)
    sweep(world)
    assert Counter(ids(world)) == copies
    assert set(copies.values()) == {2}


@pytest.mark.parametrize("change", range(1, 12))
def test_a_replay_may_die_at_each_thing_it_does(
    world: QuietWorld, change: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker goes on: all is there, results before the end, and no more than one copy of each event."""
    monkeypatch.setattr(replaying, "STEP_SECONDS", 0.0)  # it records its place after each batch
    batches = [ended(world), ended(world, range(10**8 + 100, 10**8 + 110))]
    first = len(ids(world))
    asked = replays(world)
    replay_id = asked.ask(batches)
    try:
        run_replay(world, replay_id, ports=world.mortal(change))
    except DiedError:
        world.world.coordination.flush()
    run_replay(world, replay_id)
    assert set(Counter(ids(world)).values()) == {2}
    for batch_id in batches:
        again = [event_id for event_id in ids(world)[first:] if event_id.startswith(batch_id)]
        assert again == [event_id for event_id in ids(world)[:first] if event_id.startswith(batch_id)]
    assert asked.progress(replay_id).finished
    assert [info.key for info in world.store.list(f"replays/{replay_id}/") if "reached" in info.key] == []


def test_a_lost_queue_is_published_again_without_being_asked(world: QuietWorld) -> None:
    """The next sweep notices that the queue lives another life; all events are there again, with the same bytes."""
    sweep(world)
    ended(world)
    first = bodies(world)
    world.world.events.flush()
    [hint] = sweep(world)
    run_replay(world, str(hint.args[0]))
    assert bodies(world) == first


def test_a_queue_that_was_never_seen_before_has_lost_nothing(world: QuietWorld) -> None:
    """The first sweep of an installation, or of the first version that looks, replays nothing."""
    ended(world)
    assert sweep(world) == []
    assert sweep(world) == []


def test_many_workers_that_notice_a_loss_ask_for_one_replay(world: QuietWorld) -> None:
    """Also where each of them dies on the way: its successor asks for the same one, until it is known to be asked for."""
    sweep(world)
    ended(world)
    first = bodies(world)
    world.world.events.flush()
    for change in range(1, 4):
        world.world.coordination.flush()
        with pytest.raises(DiedError):
            sweep(world, ports=world.mortal(change))
    world.world.coordination.flush()
    [hint] = sweep(world)
    run_replay(world, str(hint.args[0]))
    assert sweep(world) == []
    assert bodies(world) == first


def test_what_ended_too_long_ago_is_not_published_again_by_itself(world: QuietWorld) -> None:
    """Beyond COMPLYQ_EVENTS_REPLAY_HOURS a batch is old news; whoever wants it asks for it."""
    sweep(world)
    ended(world)
    world.world.pass_time(8 * DAY)
    young = ended(world, range(10**8 + 100, 10**8 + 110))
    world.world.events.flush()
    [hint] = sweep(world)
    run_replay(world, str(hint.args[0]))
    assert {event_id.partition("/")[0] for event_id in ids(world)} == {young}


def test_a_sweep_goes_on_while_the_queue_is_away(world: QuietWorld) -> None:
    """The slot and all other work depend on sweeps."""
    world.world.events.available = False
    batch = world.enqueue()
    outcome = world.run(task_names.SWEEP)
    assert [hint.task for hint in outcome.hints] == [task_names.PLAN]
    world.world.events.available = True
    assert world.finish(batch.id) == "completed"


def test_publishing_pauses_while_too_many_events_wait(world: QuietWorld) -> None:
    """The batch has ended and its results can be read; its events come when listeners have caught up, and jobs go on."""
    world.ports = replace(world.ports, limits=replace(world.ports.limits, events_max_backlog=10))
    world.world.events.waiting = 10
    first, second = world.enqueue(), None
    world.run_until(lambda: world.batch(first.id).outcome)
    second = world.enqueue(range(10**8 + 100, 10**8 + 110))
    world.run_until(lambda: world.batch(second.id).outcome)
    assert ids(world) == []
    assert [result.id for result in world.producer.results(first.id)]
    assert not world.producer.status(first.id).published
    world.world.events.waiting = 9
    assert world.finish(first.id) == world.finish(second.id) == "completed"
    assert ids(world)[-1].endswith("/completed")


def test_a_pause_is_no_failure_and_is_told(world: QuietWorld) -> None:
    """However often a step found no room, it ends as one that is done, and sweeps begin it again: no message for each batch waits."""
    world.ports = replace(world.ports, limits=replace(world.ports.limits, events_max_backlog=1))
    world.world.events.waiting = 1
    batch = world.enqueue()
    world.run_to("collected")
    for _ in range(8):
        world.world.pass_time(60)
        assert Hint(task_names.PUBLISH_BATCH, (batch.id,)) in world.run(task_names.SWEEP).hints
        assert world.run(task_names.PUBLISH_BATCH, batch.id).again_in is None
    assert ids(world) == []
    world.world.events.waiting = 0
    assert world.finish(batch.id) == "completed"


def test_a_warning_about_parked_work_does_not_wait(world: QuietWorld) -> None:
    """It is why somebody should look, perhaps at the very thing that keeps listeners from working."""
    world.ports = replace(world.ports, limits=replace(world.ports.limits, events_max_backlog=1))
    world.world.events.waiting = 1
    batch = world.enqueue()
    world.run_to("collected")
    for _ in range(6):
        world.world.pass_time(700)
        step = Hint(task_names.PUBLISH_BATCH, (batch.id,)).step
        world.world.coordination.take_step(step, "a process that dies", 1.0)
        world.world.pass_time(2)
    world.run(task_names.PUBLISH_BATCH, batch.id)
    world.run(task_names.PUBLISH_BATCH, batch.id)
    assert [event_id.split("/")[1] for event_id in ids(world)] == ["parked"]


def test_the_end_of_a_batch_without_results_waits_too(world: QuietWorld) -> None:
    """It is an event like others."""
    world.ports = replace(world.ports, limits=replace(world.ports.limits, events_max_backlog=1))
    world.world.events.waiting = 1
    batch = world.enqueue()
    world.producer.cancel(batch.id)
    world.run_until(lambda: world.batch(batch.id).outcome)
    assert ids(world) == []
    world.world.events.waiting = 0
    assert world.finish(batch.id) == "cancelled"


def test_a_marker_of_a_replay_that_is_done_is_only_removed(world: QuietWorld) -> None:
    """Its worker died before it could, and batches have ended since."""
    ended(world)
    replay_id = replays(world).ask()
    run_replay(world, replay_id)
    ended(world, range(10**8 + 100, 10**8 + 110))
    world.store.create(f"open/replays/{replay_id}", b"")
    before = len(ids(world))
    [hint] = sweep(world)
    run_replay(world, str(hint.args[0]))
    assert len(ids(world)) == before
    assert sweep(world) == []


def test_a_replay_pauses_too_and_goes_on_where_it_was(world: QuietWorld) -> None:
    """It does not flood listeners that are behind already, and forgets nothing that it has done."""
    batches = [ended(world), ended(world, range(10**8 + 100, 10**8 + 110))]
    first = len(ids(world))
    asked = replays(world)
    replay_id = asked.ask(batches)
    limited = replace(world.ports, limits=replace(world.ports.limits, events_max_backlog=1))
    world.world.events.waiting = 1
    assert world.run(task_names.REPLAY, replay_id, ports=limited).again_in is None
    assert len(ids(world)) == first
    assert asked.progress(replay_id).batches == 0
    world.world.events.waiting = 0
    assert sweep(world, limited) == [Hint(task_names.REPLAY, (replay_id,))]
    run_replay(world, replay_id, ports=limited)
    assert asked.progress(replay_id).batches == 2


class Nth:
    """Chooses the nth call of a name."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.left = name, number

    def __call__(self, name: str, *_: object) -> bool:
        """Whether this is the one."""
        self.left -= name == self.name
        return self.left == 0


def outage(world: QuietWorld) -> None:
    """Have the queue go away."""
    world.world.events.available = False


def test_an_outage_in_mid_replay_forgets_nothing_that_is_done(world: QuietWorld) -> None:
    """What was published before it is counted, and not looked at again."""
    batches = [ended(world, range(10**8 + n * 100, 10**8 + n * 100 + 10)) for n in range(3)]
    asked = replays(world)
    replay_id = asked.ask(batches)
    failing = cast("EventPublisher", Interrupted(world.world.events, Nth("publish", 4), lambda: outage(world)))
    assert world.run(task_names.REPLAY, replay_id, ports=replace(world.ports, events=failing)).again_in
    world.world.events.available = True
    assert asked.progress(replay_id).batches == 1
    world.world.pass_time(120)
    run_replay(world, replay_id)
    assert asked.progress(replay_id).batches == 3
    assert set(Counter(ids(world)).values()) == {2}


def test_a_batch_whose_results_are_gone_is_told_and_the_others_go_on(world: QuietWorld) -> None:
    """No end is published without its results: somebody has removed them by hand."""
    broken, whole = ended(world), ended(world, range(10**8 + 100, 10**8 + 110))
    first = len(ids(world))
    for info in list(world.store.list(f"results/{broken}/")):
        world.store.delete(info.key)
    asked = replays(world)
    replay_id = asked.ask()
    run_replay(world, replay_id)
    progress = asked.progress(replay_id)
    assert (progress.batches, progress.failed) == (1, 1)
    assert broken in progress.failures[0]
    assert {event_id.partition("/")[0] for event_id in ids(world)[first:]} == {whole}


def test_what_cannot_be_published_again_is_refused_with_its_name(world: QuietWorld) -> None:
    """An unknown batch, nonsense, and one that was purged."""
    batch_id = ended(world)
    asked = replays(world)
    for wrong, error in ((UNKNOWN, BatchNotFoundError), ("nonsense", InvalidArgumentError)):
        with pytest.raises(error, match=wrong):
            asked.ask([wrong])
    list(Purge(world.store, world.ports.clock.now(), one_by_one, now=world.ports.clock.now).run())
    with pytest.raises(BatchPurgedError, match=r"purged on 2026-11-01 .* UTC"):
        asked.ask([batch_id])
    replay_id = asked.ask()
    before = len(ids(world))
    run_replay(world, replay_id)
    assert len(ids(world)) == before
    assert not list(world.store.list("open/replays/"))


def test_a_marker_without_a_replay_harms_nobody(world: QuietWorld) -> None:
    """And neither does a message about a replay that nobody asked for."""
    assert Pipeline(world.ports).run(Hint(task_names.REPLAY, (UNKNOWN,))).again_in is None
    assert not replays(world).progress(ReplayId(UNKNOWN)).finished


def test_a_batch_without_events_has_nothing_to_publish(world: QuietWorld) -> None:
    """One that waits is passed over."""
    batch = world.enqueue()
    asked = replays(world)
    assert asked.candidates([batch.id]) == []
    replay_id = asked.ask([batch.id])
    run_replay(world, replay_id)
    assert asked.progress(replay_id).passed == 1


def test_the_copies_of_a_replay_tell_the_same_story(world: QuietWorld) -> None:
    """Many parts, many jobs: the results come first, the end last, in the copy as in the first edition."""
    batch_id = ended(world, range(10**8, 10**8 + 300))
    first = world.events()
    assert results_of(first) >= 1
    world.world.events.flush()
    run_replay(world, replays(world).ask([batch_id]))
    assert [json.dumps(event) for event in world.events()] == [json.dumps(event) for event in first]


def test_a_failure_of_the_queue_is_what_a_publisher_is_told(world: QuietWorld) -> None:
    """A room whose queue does not answer is no room."""
    world.world.events.available = False
    limited = replace(world.ports, limits=replace(world.ports.limits, events_max_backlog=1))
    with pytest.raises(ComplyqError, match="not available"):
        limited.room.require()
