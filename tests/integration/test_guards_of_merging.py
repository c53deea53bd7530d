"""What keeps batches apart that share a job: each test takes one way in which one could harm, or delay, another."""

from pathlib import Path

import pytest

from complyq_producer import Batch, task_names
from complyq_producer.layout import BatchKeys
from complyq_workers.pipeline import recording
from simulation.x_server import action_of
from support.quiet_world import DiedError, QuietWorld

PLAN, MERGE, CREATE, COLLECT = task_names.PLAN, task_names.MERGE_JOB, task_names.CREATE_JOB, task_names.COLLECT_JOB
PUBLISH = task_names.PUBLISH_BATCH
FIRST, STRIDE = 10**8, 3


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


def enqueue(world: QuietWorld, batches: int) -> list[Batch]:
    """Submit batches of six IDs, half of which the next one has too."""
    return [world.enqueue(range(FIRST + STRIDE * n, FIRST + STRIDE * n + 6)) for n in range(batches)]


def assert_exact(world: QuietWorld, batches: list[Batch], number: int) -> None:
    """The batch of this number is completed, with the results of its own IDs."""
    batch, first = batches[number], FIRST + STRIDE * number
    assert world.finish(batch.id) == "completed"
    found = [result.id for result in world.producer.results(batch.id)]
    assert found == [str(id_) for id_ in range(first, first + 6) if action_of(id_)]


def test_no_job_is_created_before_its_payload_is_complete(world: QuietWorld) -> None:
    """Whoever hints at it: its upload window would run while there is nothing to upload."""
    enqueue(world, 2)
    world.run(PLAN, "tweets")
    world.run(CREATE, "tweets", 1)
    assert world.transport.asked == []
    world.run(MERGE, "tweets", 1)
    world.run(CREATE, "tweets", 1)
    assert world.has_fact("created")


@pytest.mark.parametrize("change", [1, 2])
def test_a_worker_that_dies_while_it_merges_is_followed_by_another(world: QuietWorld, change: int) -> None:
    """What is said to be complete is there."""
    batches = enqueue(world, 2)
    world.run(PLAN, "tweets")
    with pytest.raises(DiedError):
        world.run(MERGE, "tweets", 1, ports=world.mortal(change))
    for number in range(2):
        assert_exact(world, batches, number)
    assert len(world.remote_jobs()) == 1


def test_what_batches_have_in_common_is_uploaded_once(world: QuietWorld) -> None:
    """And each of them gets its result."""
    batches = enqueue(world, 4)
    for number in range(4):
        assert_exact(world, batches, number)
    (job,) = world.remote_jobs()
    assert bytes(job.received).split() == [str(id_).encode() for id_ in range(FIRST, FIRST + 3 * STRIDE + 6)]


def test_results_of_a_batch_that_ended_meanwhile_are_dropped(world: QuietWorld) -> None:
    """It was cancelled while its job ran: nothing is stored for it, and its neighbour gets its own."""
    batches = enqueue(world, 2)
    world.run_to("finished")
    world.producer.cancel(batches[0].id)
    world.run(PUBLISH, batches[0].id)
    assert_exact(world, batches, 1)
    assert list(world.store.list(BatchKeys(batches[0].id).results)) == []
    assert world.batch(batches[0].id).outcome


@pytest.mark.parametrize("change", range(1, 10))
def test_a_worker_that_dies_while_it_writes_pages_is_followed_by_another(
    world: QuietWorld, monkeypatch: pytest.MonkeyPatch, change: int
) -> None:
    """Also where a batch has ended meanwhile: all others are found, on the pages of the one or of the other."""
    monkeypatch.setattr(recording, "PAGE_PARTS", 2)
    batches = enqueue(world, 5)
    world.run_to("finished")
    with pytest.raises(DiedError):
        world.run(COLLECT, "tweets", 1, ports=world.mortal(change))
    world.producer.cancel(batches[0].id)
    world.run(PUBLISH, batches[0].id)
    for number in range(1, 5):
        assert_exact(world, batches, number)
    assert world.job().collected
    assert len(world.remote_jobs()) == 1


def test_pages_do_not_count_before_the_fact_that_names_them(world: QuietWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wrote them died; the job's results may still turn out to be unreadable."""
    monkeypatch.setattr(recording, "PAGE_PARTS", 2)
    batches = enqueue(world, 5)
    world.run_to("finished")
    with pytest.raises(DiedError):
        world.run(COLLECT, "tweets", 1, ports=world.mortal(9))
    assert world.has_fact("page-00002")
    for batch in batches:
        world.run(PUBLISH, batch.id)
        assert world.batch(batch.id).outcome is None
    assert world.events() == []
