"""Real workers, killed and stopped at bad moments: the batch completes, with one job and each event once."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from complyq_producer.model import BatchState
from support.brokers import on_both_brokers
from support.real_workers import Installation, installation, kill_group, wait_for_end, wait_until
from support.redis_server import running_redis_server
from support.s3_server import S3Server
from support.simulator_process import Simulator, running_simulator

POSTS = range(10**18, 10**18 + 400_000)
"""Eight megabytes."""

Start = Callable[..., tuple[Installation, Simulator]]


@pytest.fixture
def start(tmp_path: Path, redis_server: str, broker_url: str) -> Iterator[Start]:
    """Start a simulator of a contract, and an installation that uses it."""
    with ExitStack() as stack:

        def begin(contract: str = "cloud-storage", **settings: str) -> tuple[Installation, Simulator]:
            simulator = stack.enter_context(running_simulator(contract=contract, processing_seconds=0.3))
            given = {"COMPLYQ_BROKER_URL": broker_url, **settings}
            context: AbstractContextManager[Installation] = installation(tmp_path, redis_server, simulator, given)
            return stack.enter_context(context), simulator

        yield begin


def events(redis_server: str, batch_id: str) -> list[dict[str, Any]]:
    """All events of a batch, in the order of the stream."""
    with redis.Redis.from_url(redis_server) as client:
        entries = client.xrange("complyq.events")
    bodies: list[dict[str, Any]] = [json.loads(fields[b"event"]) for _, fields in entries]
    return [body for body in bodies if body["subject"] == batch_id]


def assert_exact(running: Installation, simulator: Simulator, redis_server: str, batch_id: str) -> None:
    """One remote job, each event once, the end last, and the results that were counted."""
    status = running.producer().status(batch_id)
    assert status.state is BatchState.COMPLETED
    results = list(running.producer().results(batch_id))
    assert len(results) == status.flagged > 0
    ids = [event["id"] for event in events(redis_server, batch_id)]
    assert len(ids) == len(set(ids))
    assert ids[-1] == f"{batch_id}/completed"
    assert len(simulator.jobs()) == 1


@pytest.mark.parametrize(
    ("contract", "broker_url"),
    [("cloud-storage", "redis"), ("direct", "redis"), ("cloud-storage", "rabbitmq")],
    indirect=["broker_url"],
)
def test_workers_run_a_batch_in_both_contracts(start: Start, redis_server: str, contract: str) -> None:
    """From enqueue to the completed event."""
    running, simulator = start(contract)
    running.start_worker()
    producer = running.producer()
    batch = producer.enqueue(POSTS, "tweets", key="one")
    wait_for_end(producer, batch.id)
    wait_until(lambda: len(events(redis_server, batch.id)) > 1)
    assert_exact(running, simulator, redis_server, batch.id)
    assert producer.enqueue(POSTS, "tweets", key="one").created is False


@on_both_brokers
def test_a_batch_of_users_runs_too(start: Start, redis_server: str) -> None:
    """The other type, through either broker."""
    running, simulator = start()
    running.start_worker()
    batch = running.producer().enqueue(range(1, 10_000), "users")
    assert batch.notified
    wait_for_end(running.producer(), batch.id)
    wait_until(lambda: len(events(redis_server, batch.id)) > 1)
    assert_exact(running, simulator, redis_server, batch.id)


@on_both_brokers
def test_an_upload_goes_on_where_a_killed_worker_left_it(start: Start, redis_server: str) -> None:
    """SIGKILL in mid-upload; another worker asks for the offset and sends only the rest."""
    running, simulator = start()
    simulator.arm({"on": "upload", "fault": "stall", "after_bytes": 3_000_000, "times": 1})
    worker = running.start_worker()
    producer = running.producer()
    batch = producer.enqueue(POSTS, "tweets")
    wait_until(lambda: any(job["received"] >= 2_000_000 for job in simulator.jobs()))
    kill_group(worker)
    running.start_worker()
    wait_for_end(producer, batch.id, 90)
    wait_until(lambda: events(redis_server, batch.id)[-1:] != [] and worker.poll() is not None)
    ranges = [line["content_range"] for line in simulator.journal() if (line.get("content_range") or "").find("-") > 0]
    starts = [int(text.removeprefix("bytes ").split("-")[0]) for text in ranges]
    assert starts[0] == 0
    assert starts[-1] >= 2_000_000
    assert_exact(running, simulator, redis_server, batch.id)


@on_both_brokers
def test_sigterm_in_mid_upload_hands_over(start: Start, redis_server: str) -> None:
    """The worker stops within its grace period, and the next one goes on from the server's offset."""
    running, simulator = start()
    simulator.arm({"on": "upload", "fault": "stall", "after_bytes": 3_000_000, "times": 1})
    worker = running.start_worker()
    producer = running.producer()
    batch = producer.enqueue(POSTS, "tweets")
    wait_until(lambda: any(job["received"] >= 2_000_000 for job in simulator.jobs()))
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    running.start_worker()
    wait_for_end(producer, batch.id, 90)
    assert_exact(running, simulator, redis_server, batch.id)


def test_work_is_found_when_redis_lost_everything(start: Start, redis_server: str) -> None:
    """Messages, locks and leases: all gone, and the batch completes."""
    running, simulator = start()
    producer = running.producer()
    batch = producer.enqueue(POSTS, "tweets")
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
        running.start_worker()
        wait_until(lambda: bool(simulator.jobs()))
        client.flushall()
    wait_for_end(producer, batch.id, 90)
    assert len(simulator.jobs()) == 1


def test_a_batch_enqueued_without_a_broker_starts_when_workers_come(start: Start) -> None:
    """The batch is a fact; the caller is told that nobody was notified."""
    running, _ = start()
    away = Installation({**running.environment, "COMPLYQ_BROKER_URL": "redis://127.0.0.1:1/0"}, running.folder)
    batch = away.producer().enqueue(range(1, 1000), "users")
    assert not batch.notified
    running.start_worker()
    assert wait_for_end(running.producer(), batch.id).state is BatchState.COMPLETED


def test_the_sweep_runs_while_every_transfer_slot_is_busy(start: Start) -> None:
    """Control steps have workers of their own."""
    running, simulator = start()
    simulator.arm({"on": "upload", "fault": "stall", "after_bytes": 300_000, "times": 2})
    running.start_worker()
    producer = running.producer()
    batches = [producer.enqueue(POSTS, type_) for type_ in ("tweets", "users")]
    wait_until(lambda: len(simulator.jobs()) == 2)
    third = producer.enqueue(range(1, 100), "tweets")
    with redis.Redis.from_url(running.environment["COMPLYQ_REDIS_URL"]) as client:
        client.flushall()
    wait_until(lambda: producer.status(third.id).state is BatchState.WAITING)
    for batch in [*batches, third]:
        wait_for_end(producer, batch.id, 110)


def test_a_job_is_polled_as_often_as_it_takes(start: Start) -> None:
    """Without a sweep's help: a step comes back more often than Celery's default of three times."""
    running, simulator = start(COMPLYQ_SWEEP_SECONDS="3600", COMPLYQ_POLL_MAX_SECONDS="0.3")
    simulator.arm({"on": "job", "fault": "stuck", "times": 1})
    running.start_worker()
    producer = running.producer()
    producer.enqueue(range(1, 1000), "tweets")
    wait_until(lambda: sum(line.get("op") == "get" for line in simulator.journal()) > 8, 20)
    assert "MaxRetriesExceeded" not in running.log()


def test_workers_run_a_batch_with_everything_in_s3(
    start: Start, redis_server: str, s3_server: S3Server, s3_environment: S3Server
) -> None:
    """Facts, parts and results: S3 over the wire, in producer and workers alike."""
    running, simulator = start(COMPLYQ_STORE_URL=f"s3://{s3_server.bucket}/complyq", **s3_environment.environment)
    running.start_worker()
    producer = running.producer()
    batch = producer.enqueue(range(10**18, 10**18 + 900_000), "tweets")
    assert batch.parts == 2
    wait_for_end(producer, batch.id)
    wait_until(lambda: any(event["id"].endswith("/completed") for event in events(redis_server, batch.id)))
    assert_exact(running, simulator, redis_server, batch.id)
    data = events(redis_server, batch.id)[-1]["data"]
    assert [item["url"].startswith(f"s3://{s3_server.bucket}/complyq/results/") for item in data["objects"]] == [
        True
    ] * 2


def test_workers_outlive_a_redis_that_goes_away(tmp_path: Path) -> None:
    """Killed while an upload runs, which ends meanwhile; back, empty, after the leases: the same processes finish."""
    with (
        running_redis_server() as server,
        running_simulator(processing_seconds=0.3) as simulator,
        installation(tmp_path, server.url, simulator) as running,
    ):
        simulator.arm({"on": "upload", "fault": "throttle", "bytes_per_second": 2_000_000, "times": 1})
        worker = running.start_worker()
        producer = running.producer()
        batch = producer.enqueue(POSTS, "tweets")
        wait_until(lambda: any(job["received"] >= 500_000 for job in simulator.jobs()))
        server.kill()
        time.sleep(8)
        server.start()
        assert wait_for_end(producer, batch.id, 90).state is BatchState.COMPLETED
        assert worker.poll() is None
        assert len(simulator.jobs()) == 1
