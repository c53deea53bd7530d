"""The whole path with real steps, a real X client and a real simulator: only Celery and Redis are left out."""

import gzip
import time
from pathlib import Path

import pytest

from complyq_producer import Producer
from complyq_producer.errors import BatchNotFinishedError
from complyq_producer.model import BatchState, ComplianceType
from support.inline_workers import NoLiveView
from support.simulator_process import Simulator
from support.world import POSTS, World


def test_a_batch_runs_from_ids_to_events(world: World, simulator: Simulator) -> None:
    """Results, counts, objects and events agree, in both contracts."""
    batch = world.producer.enqueue([*POSTS, POSTS[0]], "tweets", name="archive", labels={"tenant": "a"})
    with pytest.raises(BatchNotFinishedError):
        world.producer.results(batch.id)
    world.finish(batch.id)

    status = world.producer.status(batch.id)
    results = list(world.producer.results(batch.id))
    *messages, end = world.events()
    assert [int(result.id) for result in results] == sorted(int(result.id) for result in results)
    assert status.flagged == len(results) > 2000
    assert [line["id"] for event in messages for line in event["data"]["results"]] == [r.id for r in results]
    assert end["type"] == "complyq.batch.completed.v1"
    assert end["id"] == f"{batch.id}/completed"
    data = end["data"]
    assert data["submitted"] == 30_001
    assert data["duplicates"] == 1
    assert data["unique"] == data["flagged"] + data["compliant"] + data["rejected"] == 30_000
    assert sum(data["by_action"].values()) == sum(data["by_reason"].values()) == data["flagged"]
    assert data["results_messages"] == len(messages)
    assert data["labels"] == {"tenant": "a"}
    assert len(data["remote_ids"]) == 1 == len(simulator.jobs())
    assert sum(item["count"] for item in data["objects"]) == len(results)


def test_a_finished_batch_leaves_nothing_open(world: World) -> None:
    """Markers are gone, so that sweeps find nothing to do."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    ledger = world.workers.ports.ledger
    assert not list(ledger.marked_batches(ComplianceType.TWEETS))
    assert list(world.workers.ports.store.list("done/"))
    events = len(world.events())
    world.workers.poke("complyq.sweep")
    world.workers.run_all()
    assert len(world.events()) == events


def test_batches_of_a_type_run_one_after_another(world: World, simulator: Simulator) -> None:
    """X never sees two active jobs of a type, and each batch gets its own results."""
    batches = [world.producer.enqueue(POSTS[n::3], "tweets") for n in range(3)]
    users = world.producer.enqueue(range(1, 500), "users")
    for batch in [*batches, users]:
        world.finish(batch.id)
    assert not [line for line in simulator.journal() if line.get("status") == 409]
    for n, batch in enumerate(batches):
        assert world.flagged(batch.id) <= {str(post) for post in POSTS[n::3]}


def test_a_batch_above_the_limit_runs_over_several_jobs(world: World, simulator: Simulator) -> None:
    """It still ends in one outcome and one completed event."""
    world.workers.change_limits(max_upload_bytes=16_000_000)
    posts = range(10**18, 10**18 + 1_000_000)
    batch = world.producer.enqueue(posts, "tweets")
    world.finish(batch.id)
    status = world.producer.status(batch.id)
    assert status.parts == status.parts_done == 2 == len(status.jobs) == len(simulator.jobs())
    ends = [event for event in world.events() if event["type"] == "complyq.batch.completed.v1"]
    assert [event["data"]["unique"] for event in ends] == [1_000_000]


def test_many_results_travel_by_reference(world: World) -> None:
    """Beyond the limit the event names the object, its size and its checksum."""
    world.workers.change_limits(events_inline_max=100)
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    message = world.events()[0]["data"]
    assert "results" not in message
    body = Path(message["ref"]["url"].removeprefix("file://")).read_bytes()
    assert message["ref"]["bytes"] == len(body)
    assert message["ref"]["count"] == len(gzip.decompress(body).splitlines())


def test_lost_messages_are_found_by_the_sweep(world: World) -> None:
    """At every point of the way: the facts say what is unfinished, not the messages."""
    batch = world.producer.enqueue(POSTS, "tweets")
    deadline = time.monotonic() + 60
    while world.producer.status(batch.id).ended_at is None:
        world.workers.lose_messages()
        for _ in range(3):  # a sweep, and the first of what it hints at
            world.workers.run_one()
        assert time.monotonic() < deadline
    assert world.flagged(batch.id)


def test_everything_is_found_again_after_redis_lost_everything(world: World, simulator: Simulator) -> None:
    """Flushing between any two steps costs time, never work."""
    batch = world.producer.enqueue(POSTS, "tweets")
    while world.producer.status(batch.id).ended_at is None:
        world.workers.coordination.flush()
        world.workers.run_one()
    assert len(simulator.jobs()) == 1


def test_every_message_may_come_twice(world: World, simulator: Simulator) -> None:
    """Repeated hints change nothing: one job, each event once."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.repeats = 2
    world.finish(batch.id)
    ids = [event["id"] for event in world.events()]
    assert len(ids) == len(set(ids))
    assert len(simulator.jobs()) == 1


def test_a_cancelled_batch_ends_before_its_turn(world: World, simulator: Simulator) -> None:
    """No job is spent on it."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.producer.cancel(batch.id)
    world.finish(batch.id, BatchState.CANCELLED)
    assert simulator.jobs() == []
    (end,) = world.events()
    assert end["type"] == "complyq.batch.cancelled.v1"


def test_cancelling_ends_the_remote_job_where_that_is_possible(direct_world: World, direct: Simulator) -> None:
    """The slot is free for the next batch at once."""
    direct.arm({"on": "job", "fault": "stuck", "times": 1})
    batch = direct_world.producer.enqueue(POSTS, "tweets")
    direct_world.workers.run_until(lambda: [job["status"] for job in direct.jobs()] == ["in_progress"])
    direct_world.producer.cancel(batch.id)
    direct_world.finish(batch.id, BatchState.CANCELLED)
    after = direct_world.producer.enqueue(POSTS, "tweets")
    direct_world.finish(after.id)


def test_the_bearer_and_signed_urls_are_in_no_object(world: World, simulator: Simulator) -> None:
    """Whoever can read the store cannot act in our name."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    store = world.workers.ports.store
    for info in store.list("jobs/"):
        body = store.read(info.key).body
        for secret in (b"X-Goog-Signature", b"upload_id=", b"token="):
            assert secret not in body, info.key


def test_a_small_limit_makes_small_parts(world: World, simulator: Simulator) -> None:
    """No job is larger than the limit says."""
    world.workers.change_limits(max_upload_bytes=200_000)
    limits = world.workers.ports.limits
    producer = Producer(
        store=world.workers.ports.store,
        poke=world.workers,
        live=NoLiveView(),
        spool_dir=limits.spool_dir,
        part_bytes=limits.max_upload_bytes,
    )
    batch = producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    assert max(job["received"] for job in simulator.jobs()) <= 200_000
    assert len(simulator.jobs()) == batch.parts == 3


def test_a_cancel_while_x_works_counts_nothing_of_that_job(cloud_world: World, cloud: Simulator) -> None:
    """Status and event say the same."""
    cloud.arm({"on": "job", "fault": "stuck", "times": 1})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: [job["status"] for job in cloud.jobs()] == ["in_progress"])
    cloud_world.producer.cancel(batch.id)
    cloud_world.workers.run_until(lambda: cloud_world.producer.status(batch.id).ended_at is not None)
    status, end = cloud_world.producer.status(batch.id), cloud_world.events()[-1]["data"]
    assert (status.flagged, status.checked) == (end["flagged"], end["unique"] - end["unchecked"]) == (0, 0)
