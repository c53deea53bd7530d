"""A drill: faults of X, of the results queue and of our own, and the alert that a real Prometheus raises for each.

docs/operations.md has the table. Only waiting times are shortened; expressions are those of deploy/monitoring.
"""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import psutil
import pytest

from complyq_producer import Batch
from complyq_producer.facts import utc_now
from complyq_producer.model import BatchState
from complyq_workers.failpoints import VARIABLE, Action, Failpoints, When
from support.prometheus_server import Prometheus, needs, running_prometheus
from support.real_workers import Installation, installation, wait_for_end, wait_until
from support.redis_server import RedisServer, running_redis_server
from support.simulator_process import Simulator, running_simulator

SHORTER = {"ComplyqSlotHeldTooLong": "3600 -> 2", "ComplyqUndelivered": "600 -> 3"}
_bases = count(10**18, 100_000)
_open = build_opener(ProxyHandler({})).open

FAULTS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "ComplyqRateLimited": ({"on": "get", "fault": "rate_limit", "seconds": 1, "times": 4},),
    "ComplyqXFails": ({"on": "list", "fault": "status", "status": 503, "times": 7},),
    "ComplyqSlotTakenElsewhere": ({"on": "create", "fault": "status", "status": 409, "times": 4},),
    "ComplyqXRefusesCredentials": ({"on": "list", "fault": "status", "status": 401, "times": 5},),
    "ComplyqUploadTooLarge": ({"on": "upload", "fault": "status", "status": 413},),
    "ComplyqBatchesFailed": ({"on": "job", "fault": "fail", "error": "broken", "times": 3},),
}
"""What X does, and the alert for it. The last two in this order: then no other job failed right before."""


@dataclass
class Drill:
    """An installation, and a Prometheus that watches it."""

    running: Installation
    simulator: Simulator
    redis: RedisServer
    events: RedisServer
    points: Failpoints
    prometheus: Prometheus
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def enqueue(self, **options: Any) -> Batch:
        """Submit a batch of Posts that no other has."""
        first = next(_bases)
        return self.running.producer().enqueue(range(first, first + 300), "tweets", **options)

    def finish(self, batch: Batch) -> BatchState:
        """Wait until a batch has ended."""
        return wait_for_end(self.running.producer(), batch.id, 90).state

    def wait_for(self, *alerts: str) -> None:
        """Wait until alerts fire."""
        wait_until(lambda: set(alerts) <= self.prometheus.firing(), 90)

    def start(self, role: str) -> None:
        """Start a worker."""
        self.workers[role] = self.running.start_worker(role)

    def stop(self, role: str) -> None:
        """Kill a worker with all its processes."""
        os.killpg(self.workers[role].pid, signal.SIGKILL)
        self.workers[role].wait()


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """Everything runs, and a first batch was delivered."""
    needs("prometheus")
    folder = tmp_path_factory.mktemp("drill")
    points = Failpoints(folder / "failpoints.json")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        running_simulator(processing_seconds=0.3, rate_limit=1_000_000) as simulator,
        running_redis_server() as redis,
        running_redis_server() as events,
        installation(
            folder,
            redis.url,
            simulator,
            {"COMPLYQ_METRICS_PORT": str(port), "COMPLYQ_EVENTS_URL": events.url, VARIABLE: str(points.file)},
        ) as running,
        running_prometheus(folder / "prometheus", f"127.0.0.1:{port}", SHORTER) as prometheus,
    ):
        drill = Drill(running, simulator, redis, events, points, prometheus)
        drill.start("metrics")
        running.environment["COMPLYQ_METRICS_PORT"] = ""
        for role in ("control", "transfer"):
            drill.start(role)
        drill.finish(drill.enqueue())
        wait_until(prometheus.is_scraping)
        yield drill


def test_an_installation_that_is_well_raises_no_alert(drill: Drill) -> None:
    """After a batch was delivered nothing fires."""
    wait_until(lambda: drill.prometheus.firing() == set(), 90)
    assert drill.prometheus.is_scraping()


@pytest.mark.parametrize("alert", FAULTS)
def test_what_x_does_raises_its_alert(drill: Drill, alert: str) -> None:
    """The batch ends all the same: that is what the alert is about only where it failed."""
    for fault in FAULTS[alert]:
        drill.simulator.arm(fault)
    batch = drill.enqueue()
    drill.wait_for(alert)
    drill.simulator.disarm()
    if alert == "ComplyqUploadTooLarge":  # this X cancels nothing: the slot is free when the upload window is over
        drill.simulator.advance_clock(16 * 60)
    state = drill.finish(batch)
    assert state is (BatchState.FAILED if alert == "ComplyqBatchesFailed" else BatchState.COMPLETED)


def test_a_slot_that_another_program_has_raises_its_alert(drill: Drill) -> None:
    """The job that waits for it has held our slot for too long."""
    body = json.dumps({"type": "tweets", "name": "foreign"}).encode()
    headers = {"Authorization": f"Bearer {drill.simulator.token}", "Content-Type": "application/json"}
    url = f"{drill.simulator.api_url}/2/compliance/jobs"
    _open(Request(url, body, headers, method="POST"), timeout=30).close()  # noqa: S310 - a loopback URL
    batch = drill.enqueue()
    drill.wait_for("ComplyqSlotHeldTooLong")
    drill.simulator.advance_clock(16 * 60)
    assert drill.finish(batch) is BatchState.COMPLETED


def test_a_batch_that_ends_late_raises_its_alert(drill: Drill) -> None:
    """Its deadline was over when it was submitted."""
    drill.finish(drill.enqueue(deadline=utc_now() - timedelta(minutes=1)))
    drill.wait_for("ComplyqBatchesLate")


def test_a_results_queue_that_refuses_raises_its_alerts(drill: Drill) -> None:
    """Steps fail, and a batch that has ended is not delivered; when the queue is back it is."""
    drill.events.kill()
    batch = drill.enqueue()
    drill.wait_for("ComplyqPublishingFails", "ComplyqUndelivered")
    drill.events.start()
    drill.finish(batch)
    wait_until(lambda: "ComplyqUndelivered" not in drill.prometheus.firing(), 90)


def test_a_job_that_crashes_its_workers_raises_its_alert(drill: Drill) -> None:
    """Parked, it waits for somebody; released, it is gone."""
    drill.points.arm("x.start_session", when=When.BEFORE, hit="every", then=Action.KILL_PROCESS)
    batch = drill.enqueue()
    drill.wait_for("ComplyqWorkParked")
    drill.points.disarm()
    drill.simulator.advance_clock(16 * 60)  # the parked job's upload window is over
    wait_until(lambda: bool(drill.running.producer().parked()))
    drill.running.producer().release(batch.id)
    drill.finish(batch)
    wait_until(lambda: "ComplyqWorkParked" not in drill.prometheus.firing(), 90)


def test_control_workers_that_are_gone_raise_their_alert(drill: Drill) -> None:
    """Killed with all their processes."""
    drill.stop("control")
    drill.wait_for("ComplyqNoWorkers")
    drill.start("control")
    wait_until(lambda: "ComplyqNoWorkers" not in drill.prometheus.firing(), 90)


def test_a_redis_and_metrics_that_are_gone_raise_their_alerts(drill: Drill) -> None:
    """Redis is told of by the metrics; of the metrics Prometheus itself knows."""
    drill.redis.kill()
    drill.wait_for("ComplyqRedisDown")
    drill.redis.start()
    for process in psutil.Process(drill.workers["metrics"].pid).children(recursive=True):
        process.kill()
    drill.stop("metrics")
    drill.wait_for("ComplyqNotScraped")
