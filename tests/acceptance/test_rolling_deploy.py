"""Workers told to stop while others run: their steps checkpoint within the grace period, and go on elsewhere at once.

Leases and sweeps take an hour here: whatever were left to them would never end.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from complyq_producer.model import BatchState
from support.broker_entries import Broker
from support.brokers import on_both_brokers
from support.real_workers import Installation, installation, wait_for_end, wait_until
from support.simulator_process import Simulator, running_simulator

POSTS = range(10**18, 10**18 + 400_000)
"""Eight megabytes."""
MANY_POSTS = range(10**18, 10**18 + 1_000_000)
"""Twenty megabytes: more than the sockets of this machine take in, so that the upload is seen to go on."""
NO_HELP = {"COMPLYQ_LEASE_SECONDS": "3600", "COMPLYQ_SWEEP_SECONDS": "3600"}

Start = Callable[..., tuple[Installation, Simulator]]


@pytest.fixture
def start(tmp_path: Path, redis_server: str, broker_url: str) -> Iterator[Start]:
    """Start a simulator, and lay out an installation without leases and sweeps to rely on."""
    with ExitStack() as stack:

        def begin(grace_seconds: int, flagged_rate: float = 0.01) -> tuple[Installation, Simulator]:
            simulator = stack.enter_context(running_simulator(processing_seconds=0.3, flagged_rate=flagged_rate))
            settings = {**NO_HELP, "COMPLYQ_BROKER_URL": broker_url, "COMPLYQ_SHUTDOWN_SECONDS": str(grace_seconds)}
            return stack.enter_context(installation(tmp_path, redis_server, simulator, settings)), simulator

        yield begin


def offsets(simulator: Simulator) -> list[int]:
    """The first byte of each upload request."""
    ranges = [line["content_range"] for line in simulator.journal() if (line.get("content_range") or "").find("-") > 0]
    return [int(text.removeprefix("bytes ").split("-")[0]) for text in ranges]


def received(simulator: Simulator) -> int:
    """How many bytes X has of the first job."""
    jobs: list[dict[str, Any]] = simulator.jobs()
    return int(jobs[0]["received"]) if jobs else 0


@on_both_brokers
def test_an_upload_checkpoints_and_another_worker_goes_on(start: Start) -> None:
    """A slow upload that cannot end in time is handed over at the server's offset, before its worker is cut off."""
    running, simulator = start(grace_seconds=12)
    simulator.arm({"on": "upload", "fault": "throttle", "bytes_per_second": 500_000, "times": 1})
    old = running.start_worker()
    batch = running.producer().enqueue(MANY_POSTS, "tweets")
    wait_until(lambda: received(simulator) >= 500_000)
    running.start_worker()
    old.send_signal(signal.SIGTERM)
    assert wait_for_end(running.producer(), batch.id).state is BatchState.COMPLETED
    assert old.wait(30) == 0
    assert '"step_preempted"' in running.log()
    first, second = sorted(offsets(simulator))  # the journal has the first one's end last
    assert first == 0
    assert second > 500_000
    assert len(simulator.jobs()) == 1


def test_a_step_that_waits_for_a_server_is_cut_and_gives_its_lease_back(start: Start) -> None:
    """An upload that hangs never gets to a checkpoint."""
    running, simulator = start(grace_seconds=2)
    simulator.arm({"on": "upload", "fault": "stall", "after_bytes": 3_000_000, "times": 1})
    old = running.start_worker()
    batch = running.producer().enqueue(POSTS, "tweets")
    wait_until(lambda: received(simulator) >= 2_000_000)
    running.start_worker()
    old.send_signal(signal.SIGTERM)
    assert wait_for_end(running.producer(), batch.id).state is BatchState.COMPLETED
    assert old.wait(30) == 0
    assert max(offsets(simulator)) >= 2_000_000
    assert len(simulator.jobs()) == 1


@pytest.mark.redis_broker  # it looks at what Redis holds
def test_a_download_is_begun_again_elsewhere(start: Start) -> None:
    """What was collected so far lies on the old worker's disk, so the next one begins at the start."""
    running, simulator = start(grace_seconds=3, flagged_rate=0.5)
    simulator.arm({"on": "download", "fault": "throttle", "bytes_per_second": 1_000_000, "times": 1})
    old = running.start_worker()
    batch = running.producer().enqueue(POSTS, "tweets")
    wait_until(lambda: Broker.of(running).is_under_way("collect_job:tweets:1"))
    running.start_worker()
    old.send_signal(signal.SIGTERM)
    status = wait_for_end(running.producer(), batch.id)
    assert status.state is BatchState.COMPLETED
    assert old.wait(30) == 0
    assert '"step_preempted"' in running.log()
    assert len(list(running.producer().results(batch.id))) == status.flagged > 0


@pytest.mark.redis_broker  # it looks at what Redis holds
def test_a_step_that_ends_in_time_is_let_end(start: Start) -> None:
    """Its worker stops then, and does not sleep out the grace period."""
    running, simulator = start(grace_seconds=600)
    simulator.arm({"on": "upload", "fault": "throttle", "bytes_per_second": 2_000_000, "times": 1})
    old = running.start_worker("transfer")
    running.start_worker("control")
    batch = running.producer().enqueue(POSTS, "tweets")
    wait_until(lambda: received(simulator) >= 500_000)
    old.send_signal(signal.SIGTERM)
    assert old.wait(60) == 0
    running.start_worker("transfer")
    assert wait_for_end(running.producer(), batch.id).state is BatchState.COMPLETED
    assert offsets(simulator) == [0]
    assert '"step_preempted"' not in running.log()
    wait_until(lambda: not any(b"upload_job" in held for held in Broker.of(running).unacknowledged()))


@pytest.mark.parametrize(
    ("number", "broker_url"),
    [(signal.SIGTERM, "redis"), (signal.SIGINT, "redis"), (signal.SIGTERM, "rabbitmq")],
    indirect=["broker_url"],
)
def test_an_idle_worker_stops_at_once(start: Start, number: signal.Signals) -> None:
    """However long the grace period is."""
    running, _ = start(grace_seconds=600)
    worker = running.start_worker()
    batch = running.producer().enqueue(range(1, 100), "users")
    wait_for_end(running.producer(), batch.id)
    worker.send_signal(number)
    assert worker.wait(30) == 0


def test_a_second_signal_cuts_the_grace_period_short(start: Start) -> None:
    """An operator who does not want to wait need not kill: leases are given back all the same."""
    running, simulator = start(grace_seconds=600)
    simulator.arm({"on": "upload", "fault": "throttle", "bytes_per_second": 100_000, "times": 1})
    old = running.start_worker()
    batch = running.producer().enqueue(POSTS, "tweets")
    wait_until(lambda: received(simulator) >= 300_000)
    running.start_worker()
    old.send_signal(signal.SIGTERM)
    wait_until(lambda: "worker_stopping" in running.log())
    old.send_signal(signal.SIGTERM)
    assert old.wait(30) == 0
    assert wait_for_end(running.producer(), batch.id).state is BatchState.COMPLETED
    assert len(simulator.jobs()) == 1
