"""Cancelling a batch: before it is planned, among others in a job, and alone in one."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from complyq_producer import Batch, task_names
from support.crowded_world import CrowdedWorld

SOON = 5.0
HOURS = 3 * 3600.0


@pytest.fixture
def direct(tmp_path: Path) -> CrowdedWorld:
    """An X that can cancel, and takes three hours over a job."""
    world = CrowdedWorld(tmp_path, direct=True)
    world.x.fate = lambda: (HOURS, "complete")
    return world


@pytest.fixture
def cloud(tmp_path: Path) -> CrowdedWorld:
    """An X that cannot cancel."""
    return CrowdedWorld(tmp_path)


def assert_cancelled(world: CrowdedWorld, batch: Batch) -> None:
    """Require that a batch ended as cancelled, and that nobody was told of any result of it."""
    end = world.end_of(batch.id)
    assert end["type"] == "complyq.batch.cancelled.v1"
    assert end["data"]["objects"] == []
    assert end["data"]["results_messages"] == 0
    assert end["data"]["unchecked"] == len(world.ids[batch.id])
    assert world.told(batch.id) == {}


def assert_neighbours_completed(world: CrowdedWorld, batches: Sequence[Batch], cancelled: Batch) -> None:
    """Require that all others have their results."""
    for batch in batches:
        if batch is not cancelled:
            world.assert_own_results(batch.id)


def test_a_batch_that_was_not_planned_yet_never_is(cloud: CrowdedWorld) -> None:
    """It ends at once, and its neighbours' job goes without it."""
    batches = cloud.crowd(3)
    cloud.producer.cancel(batches[1].id)
    cloud.finish_all()
    assert_cancelled(cloud, batches[1])
    assert_neighbours_completed(cloud, batches, batches[1])
    assert cloud.carried() == [[batches[0].id, batches[2].id]]


@pytest.mark.parametrize("fact", ["plan", "merged", "created", "uploaded", "finished"])
def test_one_of_several_in_a_job_is_dropped(cloud: CrowdedWorld, fact: str) -> None:
    """Whenever that was asked for: it ends at once, its results are dropped, its neighbours do not notice."""
    batches = cloud.crowd(4)
    cloud.run_to(fact)
    cloud.producer.cancel(batches[2].id)
    cloud.run(task_names.PUBLISH_BATCH, batches[2].id)
    assert_cancelled(cloud, batches[2])
    cloud.finish_all()
    assert_cancelled(cloud, batches[2])
    assert_neighbours_completed(cloud, batches, batches[2])
    assert len(cloud.remote_jobs()) == 1


def test_a_batch_whose_results_are_there_is_completed(cloud: CrowdedWorld) -> None:
    """The wish came too late."""
    batches = cloud.crowd(2)
    cloud.run_to("collected")
    cloud.producer.cancel(batches[0].id)
    cloud.finish_all()
    for batch in batches:
        cloud.assert_own_results(batch.id)


@pytest.mark.parametrize("count", [1, 3])
def test_a_job_that_nobody_wants_any_more_is_cancelled_at_once(direct: CrowdedWorld, count: int) -> None:
    """With its last batch, and not at the next look at it: the slot is for others."""
    batches = direct.crowd(count)
    direct.run_to("uploaded")
    direct.run_until(lambda: direct.transport.asked.count("get") > 2)
    (job,) = direct.remote_jobs()
    for batch in batches:
        assert job.status == "in_progress"
        direct.producer.cancel(batch.id)
        asked = direct.world.now
        direct.run_until(lambda: direct.batch(batch.id).published)  # noqa: B023 - called at once
    direct.run_to("finished")
    assert job.status == "failed"
    assert direct.world.now < asked + SOON
    direct.finish_all()
    for batch in batches:
        assert_cancelled(direct, batch)
    other = direct.submit(range(50, 60))
    direct.run_to("created", 2)
    assert direct.world.now < asked + 3 * SOON
    direct.finish_all()
    direct.assert_own_results(other.id)


def test_a_job_that_is_known_to_take_hours_is_cancelled_at_once_too(direct: CrowdedWorld) -> None:
    """Nobody would look at it for a long time by itself."""
    for number in range(3):
        direct.submit(range(100 * number + 1, 100 * number + 5))
        direct.finish_all()
    batch = direct.submit(range(1000, 1010))
    direct.run_to("uploaded", 4)
    direct.producer.cancel(batch.id)
    asked = direct.world.now
    direct.run_to("finished", 4)
    assert direct.world.now < asked + SOON
    assert direct.remote_jobs()[3].status == "failed"


def test_where_x_cannot_cancel_the_slot_is_held_until_the_end(cloud: CrowdedWorld) -> None:
    """The batch ends at once all the same, and the next one is served afterwards."""
    batch = cloud.crowd(1)[0]
    cloud.run_to("uploaded")
    cloud.producer.cancel(batch.id)
    cloud.run_until(lambda: cloud.batch(batch.id).published)
    other = cloud.submit(range(50, 60))
    cloud.finish_all()
    assert_cancelled(cloud, batch)
    cloud.assert_own_results(other.id)
    first, second = cloud.remote_jobs()
    assert first.status == "complete"
    assert second.created_at >= first.ends[0]


def test_a_poisonous_batch_that_is_cancelled_is_not_searched_for(tmp_path: Path) -> None:
    """Its neighbours go on, and the split job is forgotten."""
    world = CrowdedWorld(tmp_path, poison=frozenset({10**8}))
    batches = world.crowd(8)
    world.run_to("finished", 2)
    world.producer.cancel(batches[0].id)
    world.finish_all()
    assert_cancelled(world, batches[0])
    assert_neighbours_completed(world, batches, batches[0])
    assert not any(world.failures(batch.id) for batch in batches)
    world.finish(world.submit(range(50, 60)).id)
    world.run(task_names.PLAN, "tweets")
    assert len(list(world.store.list("open/jobs/tweets/"))) == 1
