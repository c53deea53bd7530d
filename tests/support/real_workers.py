"""Real worker processes on a real Redis, against a simulator: what an installation runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from complyq_config.settings import load_settings
from complyq_producer import BatchStatus, Producer
from support.simulator_process import Simulator

SETTINGS_OF_TESTS = {
    "COMPLYQ_POLL_MIN_SECONDS": "0.2",
    "COMPLYQ_POLL_MAX_SECONDS": "0.5",
    "COMPLYQ_LEASE_SECONDS": "3",
    "COMPLYQ_SWEEP_SECONDS": "2",
    "COMPLYQ_SHUTDOWN_SECONDS": "2",
    "COMPLYQ_LOG_FORMAT": "json",
}


@dataclass
class Installation:
    """The settings that producers and workers share, and the workers that run."""

    environment: dict[str, str]
    folder: Path
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def producer(self) -> Producer:
        """Make a producer of this process."""
        names = {key.removeprefix("COMPLYQ_").lower(): value for key, value in self.environment.items()}
        wanted = ("namespace", "broker_url", "redis_url", "store_url", "spool_dir")
        return Producer.from_settings(load_settings(**{name: names[name] for name in wanted}))

    def start_worker(self, role: str = "all") -> subprocess.Popen[bytes]:
        """Start a worker in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "complyq_workers", "--role", role],
            env={**os.environ, **self.environment},
            stdout=self._log(),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def log(self) -> str:
        """What all workers have logged."""
        path = self.folder / "workers.log"
        return path.read_text() if path.exists() else ""

    def stop(self) -> None:
        """Kill what still runs."""
        for process in self._started:
            kill_group(process)

    def _log(self) -> int:
        return os.open(self.folder / "workers.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)


@dataclass
class UsualBroker:
    """Where installations have their messages carried that name no broker; None: by their Redis."""

    url: str | None = None


usual_broker = UsualBroker()


@contextmanager
def installation(
    folder: Path, redis_url: str, simulator: Simulator, settings: Mapping[str, str] | None = None
) -> Iterator[Installation]:
    """Lay out an installation; stop its workers at the end."""
    environment = {
        **SETTINGS_OF_TESTS,
        "COMPLYQ_NAMESPACE": f"t{os.getpid()}-{time.monotonic_ns() % 10**9}",
        "COMPLYQ_BEARER_TOKEN": simulator.token,
        "COMPLYQ_API_URL": simulator.api_url,
        "COMPLYQ_ALLOWED_ORIGINS": simulator.storage_url,
        "COMPLYQ_BROKER_URL": usual_broker.url or redis_url,
        "COMPLYQ_REDIS_URL": redis_url,
        "COMPLYQ_STORE_URL": f"file://{folder}/store",
        "COMPLYQ_SPOOL_DIR": str(folder / "spool"),
        "TMPDIR": str(folder),  # what killed workers leave behind goes with it
        **(settings or {}),
    }
    running = Installation(environment, folder)
    try:
        yield running
    finally:
        running.stop()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker with all its processes, as a machine that loses power does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(reached: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        time.sleep(0.1)


def wait_for_end(producer: Producer, batch_id: str, seconds: float = 60) -> BatchStatus:
    """Wait until a batch has ended."""
    wait_until(lambda: producer.status(batch_id).ended_at is not None, seconds)
    return producer.status(batch_id)
