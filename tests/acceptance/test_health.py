"""What probes are told of real workers: frozen, deaf, or cut off from what they need."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from complyq_workers import vital_signs
from support.real_workers import Installation, installation, wait_until
from support.redis_server import RedisServer, running_redis_server
from support.simulator_process import Simulator

NO_X = Simulator(None, "http://127.0.0.1:1", "http://127.0.0.1:1", "t")  # type: ignore[arg-type] # no process
PATIENCE = 15.0
"""Seconds: more than the ten from one sign of life to the next."""


@dataclass
class Site:
    """An installation whose broker is a Redis of its own."""

    running: Installation
    broker: RedisServer

    def probe(self, *options: str, role: str = "control") -> tuple[int, str]:
        """Ask after the worker of a role; return exit code and the one line."""
        command = [sys.executable, "-m", "complyq_workers", "--healthcheck", "--role", role, *options]
        environment = {**os.environ, **self.running.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.count("\n") == 1, done
        return done.returncode, done.stdout.strip()

    def signs(self, role: str = "control") -> vital_signs.Signs | None:
        """Read what the worker of a role shows."""
        name = vital_signs.worker_name(role, self.running.environment["COMPLYQ_NAMESPACE"], socket.gethostname())
        found = vital_signs.read(name)
        return found[0] if found else None

    def wait_for_life(self, role: str = "control") -> int:
        """Wait until a worker shows that it is connected; return its main process."""
        wait_until(lambda: bool((signs := self.signs(role)) and signs.connected))
        signs = self.signs(role)
        assert signs
        return signs.pid


@pytest.fixture
def site(tmp_path: Path, redis_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Lay out an installation without workers, which show their signs of life where these tests look."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (
        running_redis_server() as broker,
        installation(tmp_path, redis_server, NO_X, {"COMPLYQ_BROKER_URL": broker.url}) as running,
    ):
        yield Site(running, broker)


def test_workers_that_do_their_work_are_alive_and_ready(site: Site) -> None:
    """Before they start and after they have ended they are neither."""
    assert site.probe() == (1, "not alive: control: it is not running")
    assert site.probe("--readiness") == (1, "not ready: control: it is not running")
    worker = site.running.start_worker()
    for role in ("control", "transfer"):
        site.wait_for_life(role)
    assert site.probe(role="all") == (0, "alive: control, transfer")
    assert site.probe("--readiness", role="all") == (0, "ready: control, transfer")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert site.probe(role="all")[0] == 1


def test_a_frozen_worker_is_not_alive(site: Site) -> None:
    """Its machine stood still, or it hangs; woken it is alive again. Killed it is found out at once."""
    worker = site.running.start_worker("control")
    pid = site.wait_for_life()
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: site.probe(f"--patience={PATIENCE}")[0] == 1)
    assert "shown no life for" in site.probe(f"--patience={PATIENCE}")[1]
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: site.probe(f"--patience={PATIENCE}")[0] == 0)
    for process in psutil.Process(worker.pid).children(recursive=True):
        process.kill()
    worker.kill()
    worker.wait()
    assert site.probe() == (1, f"not alive: control: its main process {pid} is gone")


def test_a_worker_without_its_broker_is_alive_but_not_ready(site: Site) -> None:
    """Starting it anew would not bring the broker back; when it is back, the worker is ready by itself."""
    site.running.start_worker("control")
    site.wait_for_life()
    site.broker.kill()
    wait_until(lambda: bool((signs := site.signs()) and not signs.connected))
    began = os.times().elapsed
    wait_until(lambda: os.times().elapsed - began > PATIENCE)
    assert site.probe(f"--patience={PATIENCE}") == (0, "alive: control")
    code, line = site.probe("--readiness")
    assert code == 1
    assert "control: it waits for its broker; broker: " in line
    site.broker.start()
    wait_until(lambda: site.probe("--readiness") == (0, "ready: control"), 90)


def test_what_does_not_answer_is_named(site: Site, tmp_path: Path) -> None:
    """Redis and the store; what hangs does not keep the others from being looked at."""
    site.running.start_worker("control")
    site.wait_for_life()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        port = silent.getsockname()[1]
        site.running.environment["COMPLYQ_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
        site.running.environment["COMPLYQ_STORE_URL"] = f"s3://nowhere-{os.getpid()}"
        site.running.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
        code, line = site.probe("--readiness")
    assert code == 1
    assert line.startswith("not ready: Redis: ")
    assert "; store: " in line
    assert "broker" not in line


DEAF = """
from complyq_workers import bootsteps, consumer
bootsteps.COUNT_SECONDS = bootsteps.SHOW_SECONDS = 0.5
def show(self, **how):
    self._consumer.task_consumer and self._consumer.task_consumer.cancel()
    return of_old(self, **how)
of_old, bootsteps.SelfExamination.show = bootsteps.SelfExamination.show, show
from complyq_workers.command import main
main()
"""


def test_a_worker_that_takes_no_messages_is_found_out(site: Site) -> None:
    """It turns and is connected, and hears nothing: messages wait, which it counts."""
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF, "--role", "control"],
        env={**os.environ, **site.running.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: bool((signs := site.signs()) and signs.unread_seconds > 2))
        signs = site.signs()
        assert signs
        assert signs.unread > 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
