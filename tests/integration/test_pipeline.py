"""The whole path with real steps, a real X client and a real simulator: only Celery and Redis are left out."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from complyq_producer import Producer
from complyq_producer.errors import BatchFailedError, BatchNotFinishedError
from complyq_producer.model import BatchState, ComplianceType
from complyq_producer.store import open_store
from support.inline_workers import InlineWorkers, NoLiveView, inline_workers, producer_of
from support.simulator_process import Simulator, running_simulator

POSTS = [1_000_000_000_000_000_000 + 7919 * n for n in range(30_000)]


@pytest.fixture(params=["cloud-storage", "direct"])
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """Run a simulator of each contract in turn."""
    with running_simulator(contract=request.param, processing_seconds=0.1, rate_limit=100_000) as running:
        yield running


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Run a simulator of the Cloud Storage contract."""
    with running_simulator(contract="cloud-storage", processing_seconds=0.1, rate_limit=100_000) as running:
        yield running


@pytest.fixture
def direct() -> Iterator[Simulator]:
    """Run a simulator of the direct contract."""
    with running_simulator(contract="direct", processing_seconds=0.1, rate_limit=100_000) as running:
        yield running


class World:
    """A producer and its workers."""

    def __init__(self, workers: InlineWorkers) -> None:
        self.workers = workers
        self.producer: Producer = producer_of(workers)

    def finish(self, batch_id: str, state: BatchState = BatchState.COMPLETED) -> None:
        """Run the workers until the batch is published to its end."""
        self.workers.run_until(lambda: self.producer.status(batch_id).ended_at is not None)
        self.workers.run_all()
        status = self.producer.status(batch_id)
        assert status.state is state, status

    def events(self) -> list[dict[str, Any]]:
        """The results queue."""
        return [json.loads(body) for _, body in self.workers.events.events]

    def flagged(self, batch_id: str) -> set[str]:
        """The IDs with a result."""
        return {result.id for result in self.producer.results(batch_id)}


def world_of(simulator: Simulator, folder: Path) -> Iterator[World]:
    """Connect a world to a simulator."""
    spool = folder / "spool"
    spool.mkdir()
    with inline_workers(open_store(f"file://{folder}/store"), simulator, spool) as workers:
        yield World(workers)


@pytest.fixture
def world(simulator: Simulator, tmp_path: Path) -> Iterator[World]:
    """A world for each contract in turn."""
    yield from world_of(simulator, tmp_path)


@pytest.fixture
def cloud_world(cloud: Simulator, tmp_path: Path) -> Iterator[World]:
    """A world with Cloud Storage."""
    yield from world_of(cloud, tmp_path)


@pytest.fixture
def direct_world(direct: Simulator, tmp_path: Path) -> Iterator[World]:
    """A world with the direct contract."""
    yield from world_of(direct, tmp_path)


def remote_jobs(simulator: Simulator) -> list[dict[str, Any]]:
    """All remote jobs that were ever created."""
    return simulator.jobs()


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
    assert len(data["remote_ids"]) == 1 == len(remote_jobs(simulator))
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
    assert status.parts == status.parts_done == 2 == len(status.jobs) == len(remote_jobs(simulator))
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
    assert len(remote_jobs(simulator)) == 1


def test_every_message_may_come_twice(world: World, simulator: Simulator) -> None:
    """Repeated hints change nothing: one job, each event once."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.repeats = 2
    world.finish(batch.id)
    ids = [event["id"] for event in world.events()]
    assert len(ids) == len(set(ids))
    assert len(remote_jobs(simulator)) == 1


def test_a_job_whose_create_answer_was_lost_is_adopted(world: World, simulator: Simulator) -> None:
    """The name carries our job id, so the list tells whether it exists."""
    simulator.arm({"on": "create", "fault": "lost_answer", "times": 1})
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    assert len(remote_jobs(simulator)) == 1


def test_a_job_of_somebody_else_is_waited_for(world: World, simulator: Simulator) -> None:
    """Ours is created when the slot is free at X."""
    foreign = world.workers.ports.remote.create_job(ComplianceType.TWEETS, "theirs", resumable=False).value
    batch = world.producer.enqueue(POSTS, "tweets")
    for _ in range(6):
        world.workers.run_one()
    assert [job["name"] for job in remote_jobs(simulator)] == ["theirs"]
    assert world.workers.coordination.jobs[ComplianceType.TWEETS].phase == "waiting_for_foreign_job"
    simulator.advance_clock(16 * 60)  # its upload window lapses
    world.finish(batch.id)
    assert foreign.name == "theirs"


def test_a_failed_job_is_tried_again(world: World, simulator: Simulator) -> None:
    """The batch completes with the next job."""
    simulator.arm({"on": "job", "fault": "fail", "error": "internal", "times": 1})
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    assert [job.status for job in world.producer.status(batch.id).jobs] == ["failed", "complete"]


def test_a_batch_whose_jobs_always_fail_ends_failed(world: World, simulator: Simulator) -> None:
    """After the attempts it may have, with the reason, and an event that says so."""
    simulator.arm({"on": "job", "fault": "fail", "error": "broken input", "times": 3})
    batch = world.producer.enqueue(POSTS, "tweets", labels={"tenant": "b"})
    world.finish(batch.id, BatchState.FAILED)
    (end,) = world.events()
    assert end["type"] == "complyq.batch.failed.v1"
    assert "broken input" in end["data"]["error"]
    assert end["data"]["unchecked"] == 30_000
    with pytest.raises(BatchFailedError, match="broken input"):
        world.producer.results(batch.id)


def test_an_expired_job_is_tried_again(world: World, simulator: Simulator) -> None:
    """Every final state ends the polling."""
    simulator.arm({"on": "job", "fault": "expire", "times": 1})
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    assert [job.status for job in world.producer.status(batch.id).jobs] == ["expired", "complete"]


def test_a_cancelled_batch_ends_before_its_turn(world: World, simulator: Simulator) -> None:
    """No job is spent on it."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.producer.cancel(batch.id)
    world.finish(batch.id, BatchState.CANCELLED)
    assert remote_jobs(simulator) == []
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


def test_an_upload_goes_on_after_the_connection_broke(cloud_world: World, cloud: Simulator) -> None:
    """From the server's offset, not from the start."""
    cloud.arm({"on": "upload", "fault": "disconnect", "after_bytes": 300_000, "times": 1})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    ranges = [line["content_range"] for line in cloud.journal() if line.get("content_range")]
    assert ranges[-1].startswith("bytes 262144-")


def test_a_dead_session_is_replaced(cloud_world: World, cloud: Simulator) -> None:
    """While the upload window lasts a new session does."""
    cloud.arm({"on": "upload", "fault": "dead_session", "times": 1})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    assert len(remote_jobs(cloud)) == 1


def test_a_lapsed_window_costs_a_job_but_no_attempt(world: World, simulator: Simulator) -> None:
    """Its parts are planned again."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.run_until(lambda: bool(simulator.jobs()))
    world.workers.run_until(lambda: bool(world.workers.ports.ledger.job(ComplianceType.TWEETS, 1).created))
    simulator.advance_clock(16 * 60)
    world.finish(batch.id)
    assert len(remote_jobs(simulator)) == 2
    attempts = world.workers.ports.ledger.batch(batch.id).attempts  # type: ignore[union-attr]
    assert [attempt.counted for attempt in attempts[0]] == [False]


def test_a_truncated_download_is_never_taken_for_compliant(world: World, simulator: Simulator) -> None:
    """Not even when it was cut at the end of a line."""
    whole = world.producer.enqueue(POSTS, "tweets")
    world.finish(whole.id)
    simulator.arm({"on": "download", "fault": "truncate", "times": 2})
    cut = world.producer.enqueue(POSTS, "tweets")
    world.finish(cut.id)
    assert world.flagged(cut.id) == world.flagged(whole.id)


def test_a_payload_too_large_is_split(direct_world: World, direct: Simulator) -> None:
    """X's own limit counts, whatever ours is."""
    direct.arm({"on": "upload", "fault": "status", "status": 413, "times": 1})
    posts = range(10**18, 10**18 + 1_000_000)
    batch = direct_world.producer.enqueue(posts, "tweets")
    direct_world.finish(batch.id)
    assert [job.status for job in direct_world.producer.status(batch.id).jobs] == ["failed", "complete", "complete"]


def test_a_batch_that_lost_a_part_fails_with_its_event(world: World) -> None:
    """An accepted batch never ends silently."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.ports.store.delete(f"batches/{batch.id}/ids/00000.txt")
    world.finish(batch.id, BatchState.FAILED)
    assert "missing" in str(world.producer.status(batch.id).error)
    assert world.events()[-1]["type"] == "complyq.batch.failed.v1"


def test_lines_that_x_answered_with_an_error_are_counted_apart(world: World, simulator: Simulator) -> None:
    """They are neither flagged nor compliant."""
    clean = world.producer.enqueue(POSTS[:100], "tweets")
    world.finish(clean.id)
    free = next(post for post in POSTS[:100] if str(post) not in world.flagged(clean.id))
    simulator.arm(
        {"on": "job", "fault": "inject_lines", "lines": [json.dumps({"id": str(free), "error": "invalid_id"})]}
    )
    batch = world.producer.enqueue(POSTS[:100], "tweets")
    world.finish(batch.id)
    data = world.events()[-1]["data"]
    assert data["rejected"] == 1
    assert data["compliant"] == 100 - 1 - data["flagged"]


def test_the_bearer_and_signed_urls_are_in_no_object(world: World, simulator: Simulator) -> None:
    """Whoever can read the store cannot act in our name."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    store = world.workers.ports.store
    for info in store.list("jobs/"):
        body = store.read(info.key).body
        for secret in (b"X-Goog-Signature", b"upload_id=", b"token="):
            assert secret not in body, info.key


def test_a_job_whose_upload_was_damaged_is_not_believed(cloud_world: World, cloud: Simulator) -> None:
    """X checked other bytes than ours: what it does not mention is not compliant, it is unknown."""
    cloud.arm({"on": "upload", "fault": "wrong_hash", "times": 1})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    assert [job.status for job in cloud_world.producer.status(batch.id).jobs] == ["abandoned", "complete"]


def test_a_url_that_points_elsewhere_gets_nothing_and_blocks_nobody(cloud_world: World, cloud: Simulator) -> None:
    """Nothing is sent there; the job is given up, and the next one runs."""
    elsewhere = "https://example.invalid"
    cloud.arm({"on": "create", "fault": "foreign_url", "origin": elsewhere, "times": 1})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: job_facts(cloud_world, "uploaded"))
    cloud.advance_clock(16 * 60)
    cloud_world.finish(batch.id)
    assert len(remote_jobs(cloud)) == 2


def test_a_session_that_never_answers_ends_with_its_job(cloud_world: World, cloud: Simulator) -> None:
    """X is asked, rather than the session for ever."""
    cloud.arm({"on": "upload", "fault": "status", "status": 503, "times": 5})
    cloud.arm({"on": "query", "fault": "status", "status": 503, "times": 5})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: job_facts(cloud_world, "session-000"))
    cloud.advance_clock(16 * 60)
    cloud_world.finish(batch.id)
    assert cloud_world.producer.status(batch.id).jobs[0].status == "expired"


def test_a_create_that_x_refuses_for_good_fails_the_batch(world: World, simulator: Simulator) -> None:
    """Others get the slot, and the owner learns why."""
    simulator.arm({"on": "create", "fault": "status", "status": 422, "times": 15})
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id, BatchState.FAILED)
    assert "refused to create" in str(world.producer.status(batch.id).error)
    simulator.disarm()
    after = world.producer.enqueue(POSTS[:100], "tweets")
    world.finish(after.id)


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


def job_facts(world: World, name: str) -> bool:
    """Whether the first job of Posts has a fact of this name."""
    return world.workers.ports.store.info(f"jobs/tweets/00000001/{name}.json") is not None
