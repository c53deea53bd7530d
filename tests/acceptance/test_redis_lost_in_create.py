"""Redis forgets everything while X is slow to answer a create."""

import time
from pathlib import Path

import redis

from support.real_workers import installation, wait_for_end
from support.redis_server import running_redis_server
from support.simulator_process import running_simulator


def test_a_create_under_way_is_known_without_redis(tmp_path: Path) -> None:
    """Only one job of the type is ever active, though X would take a second one."""
    with (
        running_redis_server() as broker,
        running_redis_server() as coordination,
        running_simulator(processing_seconds=4.0, allow_concurrent_jobs=True) as simulator,
        installation(
            tmp_path,
            broker.url,
            simulator,
            {"COMPLYQ_REDIS_URL": coordination.url, "COMPLYQ_SWEEP_SECONDS": "0.4"},
        ) as running,
    ):
        simulator.arm({"on": "create", "fault": "delay", "seconds": 4, "times": 1})
        running.start_worker()
        producer = running.producer()
        batch = producer.enqueue(range(1, 1000), "tweets")
        while simulator.armed():
            time.sleep(0.02)
        deadline = time.monotonic() + 4
        with redis.Redis.from_url(coordination.url) as client:
            while time.monotonic() < deadline:
                client.flushall()
                time.sleep(0.05)
        wait_for_end(producer, batch.id, 150)
        assert len(simulator.jobs()) == 1
