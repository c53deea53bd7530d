"""Many batches share a job: each gets its own results, and nothing of the others'."""

from collections import Counter
from pathlib import Path

import pytest

from complyq_producer.layout import BatchKeys, JobKeys
from complyq_workers.pipeline import recording
from support.crowded_world import FIRST_ID, CrowdedWorld
from support.quiet_world import TWEETS


@pytest.fixture(params=[False, True], ids=["cloud-storage", "direct"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> CrowdedWorld:
    """An X in each contract in turn."""
    return CrowdedWorld(tmp_path, direct=request.param)


def overlapping(world: CrowdedWorld, count: int) -> list[str]:
    """Submit batches of twelve IDs, each with half of the IDs of the one before."""
    starts = range(FIRST_ID, FIRST_ID + 6 * count, 6)
    return [world.submit(range(start, start + 12)).id for start in starts]


def test_all_that_waits_goes_into_one_job(world: CrowdedWorld) -> None:
    """Shared IDs are uploaded once; every batch gets its own results, in its own events and objects."""
    batch_ids = overlapping(world, 10)
    world.finish_all()
    (job,) = world.remote_jobs()
    lines = Counter(bytes(job.received).split())
    assert lines == Counter(str(number).encode() for number in sorted(set().union(*world.ids.values())))
    assert world.carried() == [batch_ids]
    for batch_id in batch_ids:
        world.assert_own_results(batch_id)
    merged = world.job().merged
    assert merged is not None
    assert (merged.count, merged.bytes) == (len(lines), len(job.received))


def test_the_same_ids_again_are_checked_once_for_both(world: CrowdedWorld) -> None:
    """Two batches, one upload, two ends that say the same."""
    batch_ids = [world.submit(range(FIRST_ID, FIRST_ID + 20)).id for _ in range(2)]
    world.finish_all()
    assert len(world.remote_jobs()[0].received.split()) == 20
    for batch_id in batch_ids:
        world.assert_own_results(batch_id)


@pytest.mark.parametrize("parts_a_page", [1, 2, 3, 7, 100])
def test_results_on_pages_are_found_again(
    world: CrowdedWorld, parts_a_page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of a batch of several parts, which may stand on several pages."""
    monkeypatch.setattr(recording, "PAGE_PARTS", parts_a_page)
    batch_ids = overlapping(world, 8)
    small = world.world.producer(world.ports.store)
    large = small.enqueue(ids := range(FIRST_ID, FIRST_ID + 9), "tweets")
    world.ids[large.id] = frozenset(ids)
    assert large.parts == 5
    world.finish_all()
    collected = world.job().collected
    assert collected is not None
    assert len(collected.pages) == (-(-13 // parts_a_page) if parts_a_page < 13 else 0)
    for batch_id in [*batch_ids, large.id]:
        world.assert_own_results(batch_id)


def test_what_comes_while_a_job_runs_goes_into_the_next(world: CrowdedWorld) -> None:
    """All of it."""
    first = world.submit(range(FIRST_ID, FIRST_ID + 5))
    world.run_to("uploaded")
    batch_ids = overlapping(world, 3)
    world.finish_all()
    assert world.carried() == [[first.id], batch_ids]
    for batch_id in [first.id, *batch_ids]:
        world.assert_own_results(batch_id)


def test_a_batch_above_the_limit_runs_over_several_jobs(tmp_path: Path) -> None:
    """It shares them with small ones, and has one end."""
    world = CrowdedWorld(tmp_path, max_upload_bytes=62)
    producer = world.world.producer(world.ports.store)
    bulk = producer.enqueue(ids := range(FIRST_ID, FIRST_ID + 12), "tweets")
    world.ids[bulk.id] = frozenset(ids)
    small = world.submit(range(FIRST_ID, FIRST_ID + 2))
    world.finish_all()
    assert world.carried() == [[bulk.id, small.id], [bulk.id], [bulk.id]]
    for batch_id in (bulk.id, small.id):
        world.assert_own_results(batch_id)


def test_without_merging_every_batch_has_its_own_job(tmp_path: Path) -> None:
    """And no payload is made: what was stored is uploaded as it is."""
    world = CrowdedWorld(tmp_path, merge=False)
    batch_ids = overlapping(world, 4)
    world.finish_all()
    assert world.carried() == [[batch_id] for batch_id in batch_ids]
    for batch_id in batch_ids:
        world.assert_own_results(batch_id)
    assert not [info.key for info in world.store.list("jobs/") if info.key.endswith(("payload.txt", "merged.json"))]


def test_both_types_have_jobs_of_their_own(world: CrowdedWorld) -> None:
    """Users and Posts never share one."""
    posts, users = world.submit(range(5, 9)), world.submit(range(5, 9), type_="users")
    world.finish_all()
    assert sorted(job.type for job in world.remote_jobs()) == ["tweets", "users"]
    for batch in (posts, users):
        world.assert_own_results(batch.id)


def test_a_missing_part_fails_only_its_batch(world: CrowdedWorld) -> None:
    """Its neighbours are planned again without it, and nothing counts against them."""
    batches = world.crowd(5)
    world.store.delete(BatchKeys(batches[2].id).ids(0))
    world.finish_all()
    assert world.states(batches) == ["completed", "completed", "failed", "completed", "completed"]
    assert "missing" in world.end_of(batches[2].id)["data"]["error"]
    assert [len(some) for some in world.carried()] == [5, 4]
    assert not any(world.batch(batch.id).attempts for batch in batches if batch is not batches[2])
    assert len(world.remote_jobs()) == 1


@pytest.mark.parametrize("damage", [b"not an ID\n", b"100000003\n100000001\n", b""])
def test_a_damaged_part_fails_only_its_batch(world: CrowdedWorld, damage: bytes) -> None:
    """What was stored is not what lies there: it is not sent, and its neighbours are."""
    batches = world.crowd(4)
    key = BatchKeys(batches[0].id).ids(0)
    world.store.delete(key)
    world.store.create(key, damage)
    world.finish_all()
    assert world.states(batches) == ["failed", "completed", "completed", "completed"]
    for batch in batches[1:]:
        world.assert_own_results(batch.id)


def test_a_lapsed_window_of_a_merged_job_counts_against_nobody(world: CrowdedWorld) -> None:
    """All are planned again, together, at once."""
    batches = world.crowd(4)
    world.run_to("created")
    world.world.pass_time(16 * 60)
    world.finish_all()
    assert world.carried() == [[batch.id for batch in batches]] * 2
    for batch in batches:
        world.assert_own_results(batch.id)
        assert not world.batch(batch.id).attempts


def test_a_lost_payload_is_made_again(world: CrowdedWorld) -> None:
    """Somebody deleted it before it was sent: the job is given up, and the next one has its own."""
    batches = world.crowd(3)
    world.run_to("created")
    world.store.delete(JobKeys(TWEETS, 1).payload)
    world.finish_all()
    for batch in batches:
        world.assert_own_results(batch.id)
        assert not world.failures(batch.id)
