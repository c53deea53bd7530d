"""What is a crash and what is progress, and that parking itself bears crashes and lost messages."""

from dataclasses import replace
from typing import Any, cast

from complyq_producer import task_names
from complyq_producer.model import BatchState
from complyq_workers.coordination import CoordinationError
from complyq_workers.pipeline import Hint
from complyq_workers.pipeline.step import MAX_STARTS
from complyq_workers.x.messages import Request
from support.crashing import Mortal, Once, crash, crash_job, end_at_x, never, park
from support.simulator_process import Simulator
from support.world import POSTS, World, has_job_fact


def test_whoever_parks_may_die_at_every_fact(world: World, simulator: Simulator) -> None:
    """Before and after each: the next worker goes on from there."""
    batch_id = park(world, task_names.UPLOAD_JOB)
    mortal = Mortal(world, Once("create", 0), Once("create", 0))
    mortal.run_until(lambda: has_job_fact(world, "parked"))
    simulator.advance_clock(16 * 60)
    mortal.run_until(lambda: has_job_fact(world, "finished"))
    assert mortal.deaths >= 6
    assert [work.plan for work in world.producer.parked()] == [1]
    mortal.recover()
    world.producer.release(batch_id)
    world.finish(batch_id)
    assert [event["id"] for event in world.events()].count(f"{batch_id}/parked/1") == 1


def test_every_message_may_come_twice_while_work_is_parked(world: World, simulator: Simulator) -> None:
    """It is parked once, told once, and planned once when it is released."""
    world.workers.repeats = 2
    batch_id = park(world, task_names.UPLOAD_JOB)
    end_at_x(world, simulator)
    world.producer.release(batch_id)
    world.finish(batch_id)
    ids = [event["id"] for event in world.events()]
    assert len(ids) == len(set(ids))
    assert ids[0] == f"{batch_id}/parked/1"
    assert len(simulator.jobs()) == 2


def test_steps_that_everything_needs_are_slowed_down_instead(world: World) -> None:
    """Planning that crashes every time is tried at growing distances; once it ends well it is quick again."""
    batch = world.producer.enqueue(POSTS[:50], "tweets")
    world.workers.lose_messages()
    plan = Hint(task_names.PLAN, ("tweets",))
    crash(world, plan.task, *plan.args, times=MAX_STARTS + 2)
    died_in = _postponed_during(world, plan)
    assert died_in > 3
    assert world.workers.coordination.seconds_until_due(plan.step) < 0.1
    world.finish(batch.id)


def _postponed_during(world: World, hint: Hint) -> float:
    """Return for how long a step is not due while it runs."""
    coordination, seen = world.workers.coordination, [0.0]

    class Looking:
        def __getattr__(self, name: str) -> Any:
            seen[0] = max(seen[0], coordination.seconds_until_due(hint.step))
            return getattr(coordination, name)

    world.workers.pipeline.ports = replace(world.workers.ports, coordination=cast("Any", Looking()))
    for following in world.workers.pipeline.run(hint).hints:
        world.workers.poke(following.task, *following.args)
    world.workers.pipeline.ports = replace(world.workers.ports, coordination=coordination)
    return seen[0]


def test_people_are_told_of_parked_work_though_messages_are_lost(world: World) -> None:
    """The facts say what is to be told, and the sweep finds it."""
    batch_id = park(world, task_names.COLLECT_JOB)
    world.workers.run_until(lambda: has_job_fact(world, "parked"))
    while not has_job_fact(world, "collected"):
        world.workers.lose_messages()
        for _ in range(2):  # a sweep, and the first of what it hints at
            world.workers.run_one()
    world.workers.lose_messages()
    world.workers.run_until(lambda: [event["id"] for event in world.events()] == [f"{batch_id}/parked/1"])


def times_listed(simulator: Simulator) -> int:
    """How often X was asked for its list."""
    return sum(line.get("op") == "list" for line in simulator.journal())


def test_watching_a_parked_job_that_crashes_too_goes_on_slowly(world: World, simulator: Simulator) -> None:
    """It cannot be parked twice: the slot must pass on some day."""
    batch_id = park(world, task_names.UPLOAD_JOB)
    world.workers.run_until(lambda: has_job_fact(world, "parked"))
    crash_job(world, task_names.POLL_JOB)
    before = times_listed(simulator)
    world.workers.pipeline.run(Hint(task_names.POLL_JOB, ("tweets", 1)))
    assert times_listed(simulator) == before + 1
    end_at_x(world, simulator)
    assert [work.step for work in world.producer.parked()] == ["upload_job"]
    world.producer.release(batch_id)
    world.finish(batch_id)


def test_an_upload_that_gets_on_is_not_parked(cloud_world: World, cloud: Simulator) -> None:
    """Whoever sends it dies after a while, more often than a step may; the server has more of it each time."""
    posts = range(10**18, 10**18 + 150_000)
    batch = cloud_world.producer.enqueue(posts, "tweets")
    cloud_world.workers.change_limits(upload_chunk_bytes=262_144)
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "created"))
    sent: list[int] = []

    def dies_of_every_second_chunk(name: str, argument: object = None, *_: object) -> bool:
        is_chunk = name == "send" and isinstance(argument, Request) and bool(argument.body)
        sent.extend([1] * is_chunk)
        return is_chunk and len(sent) % 2 == 0

    mortal = Mortal(cloud_world, dies_of_every_second_chunk, never)
    mortal.run_until(lambda: has_job_fact(cloud_world, "uploaded"))
    assert mortal.deaths > 2 * MAX_STARTS
    assert not has_job_fact(cloud_world, "parked")
    mortal.run_until(lambda: cloud_world.producer.status(batch.id).state is BatchState.COMPLETED)


def test_an_upload_that_does_not_get_on_is_parked(cloud_world: World, cloud: Simulator) -> None:
    """Whoever sends it dies at once, each time: five times, and not once more."""
    cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "created"))
    mortal = Mortal(cloud_world, lambda name, *_: name == "send", never)
    mortal.run_until(lambda: has_job_fact(cloud_world, "parked"))
    assert mortal.deaths == MAX_STARTS


def test_publishing_that_gets_on_is_not_parked(world: World) -> None:
    """One new event each time, and dead: more often than a step may, and each event comes once all the same."""
    batch = world.producer.enqueue(range(10**18, 10**18 + 100_000), "tweets")
    world.workers.run_until(lambda: has_job_fact(world, "finished"))
    mortal = Mortal(world, never, Once("publish", 1))
    mortal.run_until(lambda: world.producer.status(batch.id).ended_at is not None)
    mortal.run_until(lambda: any(event["id"] == f"{batch.id}/completed" for event in world.events()))
    assert mortal.deaths > 2 * MAX_STARTS
    ids = [event["id"] for event in world.events()]
    assert len(ids) == len(set(ids)) == mortal.deaths
    assert world.producer.parked() == []


def test_a_step_that_is_not_needed_any_more_parks_nothing(world: World) -> None:
    """Whoever crashed, somebody else has done its work: the job goes on."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.run_until(lambda: has_job_fact(world, "uploaded"))
    crash_job(world, task_names.UPLOAD_JOB)
    world.finish(batch.id)
    assert not has_job_fact(world, "parked")


def test_progress_that_cannot_be_noted_stops_nobody(world: World) -> None:
    """A Redis that is away costs the note, not the upload."""
    batch = world.producer.enqueue(POSTS, "tweets")

    def away(name: str, position: int) -> None:
        raise CoordinationError("away")

    world.workers.coordination.note_progress = away  # type: ignore[method-assign]
    world.finish(batch.id)
