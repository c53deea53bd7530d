"""Redis is gone for good, and workers are started with a new, empty one at another address."""

import json
from pathlib import Path
from typing import Any

import redis

from complyq_producer.model import BatchId, BatchState
from support.real_workers import Installation, installation, kill_group, wait_for_end, wait_until
from support.redis_server import RedisServer, running_redis_server
from support.simulator_process import running_simulator
from support.verdicts import most_active

POSTS = range(10**18, 10**18 + 400_000)
"""Eight megabytes."""


def events(server: RedisServer) -> list[dict[str, Any]]:
    """Everything on a server's results queue."""
    with redis.Redis.from_url(server.url) as client:
        return [json.loads(fields[b"event"]) for _, fields in client.xrange("complyq.events")]


def ends(server: RedisServer) -> list[str]:
    """The batches whose end is on a server's results queue."""
    return [event["subject"] for event in events(server) if event["type"] == "complyq.batch.completed.v1"]


def moved(running: Installation, server: RedisServer) -> Installation:
    """The same installation, with another Redis for everything."""
    urls = {"COMPLYQ_BROKER_URL": server.url, "COMPLYQ_REDIS_URL": server.url}
    return Installation({**running.environment, **urls}, running.folder)


def facts(folder: Path, batch_id: BatchId) -> dict[Path, bytes]:
    """All objects of a batch."""
    found = (path for name in ("batches", "results") for path in (folder / "store" / name / batch_id).rglob("*"))
    return {path: path.read_bytes() for path in found if path.is_file()}


def test_open_batches_finish_with_a_new_redis_and_finished_ones_do_not_run_again(tmp_path: Path) -> None:
    """One was published, one is in mid-upload, one waits: the facts tell the new workers all of it, and all events come."""
    with (
        running_simulator(processing_seconds=0.3, allow_concurrent_jobs=True) as simulator,
        running_redis_server() as lost,
        running_redis_server() as new,
        installation(tmp_path, lost.url, simulator) as before,
    ):
        worker = before.start_worker()
        producer = before.producer()
        done = producer.enqueue(range(1, 2000), "tweets", key="done")
        wait_for_end(producer, done.id)
        wait_until(lambda: done.id in ends(lost))
        wait_until(lambda: not list((tmp_path / "store/open/batches").rglob(f"*{done.id}")))
        kept = facts(tmp_path, done.id)
        simulator.arm({"on": "upload", "fault": "stall", "after_bytes": 3_000_000, "times": 1})
        uploading = producer.enqueue(POSTS, "tweets")
        wait_until(lambda: any(job["received"] >= 2_000_000 for job in simulator.jobs()))
        waiting = producer.enqueue(range(10, 3000), "tweets")  # not sooner: the two would share a job
        lost.kill()
        kill_group(worker)

        after = moved(before, new)
        after.start_worker()
        try:
            producer = after.producer()
            for batch in (uploading, waiting):
                assert wait_for_end(producer, batch.id, 90).state is BatchState.COMPLETED
            wait_until(lambda: set(ends(new)) == {done.id, uploading.id, waiting.id})
            assert producer.enqueue(range(1, 2000), "tweets", key="done").id == done.id
            wait_until(lambda: not list((tmp_path / "store/open/batches").rglob("*-*")))
        finally:
            after.stop()
        assert len(simulator.jobs()) == 3
        assert most_active(simulator) == 1
        assert facts(tmp_path, done.id) == kept
