"""What keeps plans in order: each test takes one way in which planners could get in each other's way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from complyq_producer import task_names
from complyq_producer.facts import SCHEMA, Attempt
from complyq_producer.layout import BatchKeys
from complyq_producer.store import ObjectStore
from complyq_workers.pipeline import sweeping
from support.quiet_world import IDS, TWEETS, DiedError, QuietWorld

PLAN, COLLECT, PUBLISH = task_names.PLAN, task_names.COLLECT_JOB, task_names.PUBLISH_BATCH
SWEEP = task_names.SWEEP


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


def test_a_second_batch_gets_the_next_number(world: QuietWorld) -> None:
    """At once, also when every plan before it is closed: the last of them is remembered."""
    for number in (1, 2, 3):
        batch = world.enqueue(range(100 * number, 100 * number + 6))
        world.run(PLAN, "tweets")
        plan = world.job(number).plan
        assert plan is not None
        assert plan.batch_ids == [batch.id]
        assert world.finish(batch.id) == "completed"
        world.run(PLAN, "tweets")


def test_a_batch_of_several_jobs_ends_with_the_last(tmp_path: Path) -> None:
    """Its first results are published at once; the end is not."""
    world = QuietWorld(tmp_path, max_upload_bytes=42)
    batch = world.world.producer(cast("ObjectStore", world.store)).enqueue(IDS, "tweets")
    assert batch.parts == 3
    world.run_to("collected")
    assert world.run(PUBLISH, batch.id).again_in is None
    assert world.batch(batch.id).outcome is None
    assert world.finish(batch.id) == "completed"
    assert len(world.remote_jobs()) == 2
    assert [event["id"].partition("/")[2] for event in world.events()] == ["0/0", "1/0", "completed"]


def test_a_batch_that_lost_a_part_fails(world: QuietWorld) -> None:
    """Nothing can mend that: no job is made for it."""
    batch = world.enqueue()
    world.store.delete(BatchKeys(batch.id).ids(0))
    assert world.finish(batch.id) == "failed"
    assert world.remote_jobs() == []


@pytest.mark.parametrize("fact", ["plan", "created", "uploaded", "finished", "collected"])
def test_whatever_message_is_lost_a_sweep_finds_the_work(world: QuietWorld, fact: str) -> None:
    """From the facts alone."""
    batch = world.enqueue()
    world.world.messages.clear()
    world.run_to(fact)
    world.world.messages.clear()
    assert world.finish(batch.id) == "completed"


def rewrite(world: QuietWorld, key: str) -> None:
    """Have a newer version have written a fact."""
    fact = json.loads(world.store.read(key).body) | {"schema": SCHEMA + 1}
    world.store.delete(key)
    world.store.create(key, json.dumps(fact).encode())


def test_what_a_newer_version_accepted_holds_up_no_other_batch(world: QuietWorld) -> None:
    """It is left to the newer workers."""
    newer, other = world.enqueue(), world.enqueue(range(100, 106))
    rewrite(world, BatchKeys(newer.id).record)
    world.run_until(lambda: world.batch(other.id).published)


def test_what_a_newer_version_planned_holds_up_no_other_type(world: QuietWorld) -> None:
    """Nor where all messages are lost, and a sweep finds the work."""
    world.enqueue()
    users = world.enqueue(range(100, 106), "users")
    world.run_to("plan")
    rewrite(world, world.job().keys.plan)
    world.world.messages.clear()
    world.run_until(lambda: world.batch(users.id).published)


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
    assert plan.batch_ids == [urgent.id, normal.id]


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


def test_a_planner_that_stood_still_plans_nothing_twice(world: QuietWorld) -> None:
    """What it saw of a batch was no longer true, and Redis had lost its lease: others have gone on for two jobs."""
    first = world.enqueue()
    world.run_to("finished")
    looks: list[str] = []

    def last_look(name: str, *args: str) -> bool:
        looks.extend(args[:1] if name == "list" and args[0] == "open/jobs/tweets/" else [])
        return name == "list" and len(looks) == 2

    def go_on() -> None:
        world.world.coordination.flush()
        world.finish(first.id)
        world.finish(world.enqueue(range(100, 106)).id)

    world.run(PLAN, "tweets", ports=world.interrupted(last_look, go_on))
    assert world.job(3).plan is None


def test_what_a_newer_version_found_out_about_a_batch_holds_up_no_other(world: QuietWorld) -> None:
    """Its facts cannot be read: it is left to the newer workers."""
    newer, other = world.enqueue(), world.enqueue(range(100, 106))
    attempt = Attempt(plan=0, status="failed", error=None, counted=True, schema=SCHEMA + 1)
    world.ports.facts.create(BatchKeys(newer.id).attempt(0, 0), attempt)
    world.run_until(lambda: world.batch(other.id).published)


def test_a_sweep_looks_at_each_batch_in_its_turn(world: QuietWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: one that was cancelled while its message was lost ends, though a job runs for days."""
    monkeypatch.setattr(sweeping, "LOOKED_AT", 1)
    batches = [world.enqueue(range(first, first + 6)) for first in (100, 200, 300, 400)]
    world.run_to("uploaded")
    world.x.fate = lambda: (3 * 86_400.0, "complete")
    for batch in batches[1:]:
        world.producer.cancel(batch.id)
    world.world.messages.clear()
    for _ in range(20):
        world.world.pass_time(20)
        for hint in world.run(SWEEP).hints:
            if hint.task == PUBLISH:
                world.run(PUBLISH, *hint.args)
    assert [world.batch(batch.id).outcome is not None for batch in batches] == [False, True, True, True]


def last_look(world: QuietWorld) -> list[str]:
    """Have X complete the first job, and tell which tasks the poll that sees it hints at."""
    world.run_to("uploaded")
    world.world.pass_time(3600)
    hints = world.run(task_names.POLL_JOB, "tweets", 1).hints
    assert world.has_fact("finished")
    return [hint.task for hint in hints]


def test_a_slot_that_nobody_waits_for_is_left_alone(world: QuietWorld) -> None:
    """Who comes next hints at planning himself, so that the only batch need not wait for a message about nothing."""
    world.enqueue()
    assert last_look(world) == [COLLECT]


def test_a_slot_that_is_waited_for_is_planned_for(world: QuietWorld) -> None:
    """Its hint may have come while the slot was taken, and was dropped."""
    world.enqueue()
    world.run_to("created")
    world.enqueue(range(10**9, 10**9 + 5))
    assert last_look(world) == [COLLECT, PLAN]


def test_the_rest_of_a_batch_is_planned_for(tmp_path: Path) -> None:
    """A job had some of its parts."""
    world = QuietWorld(tmp_path, max_upload_bytes=42)
    batch = world.world.producer(cast("ObjectStore", world.store)).enqueue(IDS, "tweets")
    assert batch.parts == 3
    assert PLAN in last_look(world)


def test_what_was_just_planned_is_not_shown_to_wait(world: QuietWorld) -> None:
    """Its job may end before anybody plans again."""
    batch = world.enqueue()
    world.run(PLAN, "tweets")
    shown = world.world.coordination.queue(TWEETS)
    assert shown is not None
    assert (shown.batches, shown.ids) == (0, 0)
    assert world.world.coordination.position(TWEETS, batch.id) is None
