"""A cancel races with planning, creating, uploading and with the end: one outcome, and the events say the same."""

from dataclasses import replace

import pytest

from complyq_producer import task_names
from complyq_producer.model import BatchId, BatchState
from complyq_workers.pipeline import Hint
from support.frozen import LaterClock, Point, frozen, frozen_in_mid_upload
from support.simulator_process import Simulator
from support.slot_world import LONG, attempts, contract_of, created, next_hint, wake
from support.verdicts import assert_events_agree, assert_nothing_is_open, most_active, plans, uploaded_to
from support.world import POSTS, World, has_job_fact

OUTCOME = Point("store", "create", "outcome.json")


def cancel(world: World, batch_id: BatchId) -> None:
    """Ask for the end of a batch, and have the event of it published."""
    world.producer.cancel(batch_id)
    world.workers.run_until(lambda: world.producer.status(batch_id).ended_at is not None)


def assert_cancelled(world: World, simulator: Simulator, batch_id: BatchId, jobs: int) -> None:
    """One end, nothing counted; and once X has ended the cancelled batch's job another batch runs."""
    after = world.producer.enqueue(POSTS[:500], "tweets")
    if "created" in [job["status"] for job in simulator.jobs()]:  # X cannot cancel
        simulator.advance_clock(16 * 60)
    world.finish(after.id)
    status = world.producer.status(batch_id)
    assert (status.state, status.flagged, status.checked) == (BatchState.CANCELLED, 0, 0)
    assert assert_events_agree(world, batch_id) == [f"{batch_id}/cancelled"]
    assert len(simulator.jobs()) == jobs
    assert most_active(simulator) == 1
    assert_nothing_is_open(world)


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_a_cancel_between_the_planners_look_and_its_plan(lenient_world: World, lenient: Simulator) -> None:
    """The plan is made all the same, and closed without a job."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.PLAN)
    with frozen(lenient_world.workers.ports, hint, Point("store", "create", "plan.json")) as planner:
        cancel(lenient_world, batch.id)
        wake(lenient_world, planner)
    assert [plan.batch_ids for plan in plans(lenient_world)] == [[batch.id]]
    assert_cancelled(lenient_world, lenient, batch.id, jobs=1)
    assert created(lenient_world, 1) is None
    assert [attempt.counted for attempt in attempts(lenient_world, batch.id)] == [False]


def test_a_cancel_while_a_create_is_under_way(lenient_world: World, lenient: Simulator) -> None:
    """The job is created, and given up before anything is uploaded to it."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.CREATE_JOB)
    with frozen(lenient_world.workers.ports, hint, Point("remote", "create_job", when="after")) as creator:
        cancel(lenient_world, batch.id)
        wake(lenient_world, creator)
    lenient_world.workers.run_until(lambda: has_job_fact(lenient_world, "uploaded"))
    (job,) = lenient.jobs()
    assert job["remote_id"] not in uploaded_to(lenient)
    assert_cancelled(lenient_world, lenient, batch.id, jobs=2)


def test_a_job_that_comes_after_the_end_of_its_plan_is_a_stray(
    lenient_world: World, lenient: Simulator, clock: LaterClock
) -> None:
    """Its creator froze, the batch was cancelled and the plan closed: the late job is ended, and never uploaded to."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.CREATE_JOB)
    with frozen(lenient_world.workers.ports, hint, Point("remote", "create_job", when="after")) as creator:
        clock.advance(LONG)
        cancel(lenient_world, batch.id)
        lenient_world.workers.poke(hint.task, *hint.args)
        lenient_world.workers.run_all()
        wake(lenient_world, creator)
    (job,) = lenient.jobs()
    assert job["status"] == ("failed" if contract_of(lenient) == "direct" else "created")
    assert_cancelled(lenient_world, lenient, batch.id, jobs=2)
    assert job["remote_id"] not in uploaded_to(lenient)


def test_a_cancel_while_an_upload_is_under_way(lenient_world: World, lenient: Simulator) -> None:
    """The job is cancelled where X allows that, else it runs to its end; what it found is not counted."""
    batch = lenient_world.producer.enqueue(range(10**18, 10**18 + 150_000), "tweets")
    hint = next_hint(lenient_world, task_names.UPLOAD_JOB)
    with frozen_in_mid_upload(lenient_world.workers.ports, hint, after_bytes=1_500_000) as worker:
        cancel(lenient_world, batch.id)
        wake(lenient_world, worker)
    lenient_world.workers.run_all()
    assert lenient.jobs()[0]["status"] in {"failed", "complete"}
    assert_cancelled(lenient_world, lenient, batch.id, jobs=2)


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_a_cancel_that_comes_while_the_end_is_decided(
    lenient_world: World, lenient: Simulator, clock: LaterClock
) -> None:
    """Everything was checked: the batch is completed, and its status says that a cancel was asked for."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.PUBLISH_BATCH)
    with frozen(lenient_world.workers.ports, hint, OUTCOME) as publisher:
        lenient_world.producer.cancel(batch.id)
        clock.advance(LONG)
        lenient_world.finish(batch.id)
        wake(lenient_world, publisher)
    lenient_world.workers.run_all()
    status = lenient_world.producer.status(batch.id)
    assert (status.state, status.cancel_requested) == (BatchState.COMPLETED, True)
    assert_events_agree(lenient_world, batch.id)
    assert_nothing_is_open(lenient_world)


@pytest.mark.parametrize("first", ["cancelled", "completed"])
@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_of_two_ends_that_are_decided_at_once_one_stands(
    lenient_world: World, lenient: Simulator, clock: LaterClock, first: str
) -> None:
    """One worker saw a cancel, the other all results: who writes first decides, and both publish that end only."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    ports, hint = lenient_world.workers.ports, Hint(task_names.PUBLISH_BATCH, (batch.id,))
    collect = next_hint(lenient_world, task_names.COLLECT_JOB)
    lenient_world.producer.cancel(batch.id)
    with frozen(ports, hint, OUTCOME) as cancelling:
        lenient_world.workers.lose_messages()
        lenient_world.workers.pipeline.run(collect)
        clock.advance(LONG)
        with frozen(ports, hint, replace(OUTCOME, when="before" if first == "cancelled" else "after")) as completing:
            assert cancelling.wake().again_in == (None if first == "cancelled" else 0.0)  # it lacks what counts
            assert [event["id"] for event in lenient_world.events()] == (
                [f"{batch.id}/cancelled"] if first == "cancelled" else []
            )
            wake(lenient_world, completing)
    clock.advance(LONG)
    lenient_world.workers.poke(hint.task, *hint.args)
    lenient_world.workers.run_all()
    assert lenient_world.producer.status(batch.id).state == first
    ids = assert_events_agree(lenient_world, batch.id)
    assert len(ids) == len(set(ids))
    assert_nothing_is_open(lenient_world)
