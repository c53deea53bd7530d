import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.simulator_process import Simulator, running_simulator

COMMAND = [sys.executable, "-m", "complyq_simulator"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Also while a client is connected: exit 0, an empty folder for temporary files."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*COMMAND, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        port = int(json.loads(process.stdout.readline())["api_url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 404"
            assert list(tmp_path.iterdir())
            process.send_signal(number)
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "export COMPLYQ_API_URL=http://127.0.0.1:" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_said_plainly() -> None:
    """Exit 1, with the option to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run([*COMMAND, f"--port={port}"], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_works_with_few_file_descriptors() -> None:
    """Twenty-four are enough."""
    script = f"ulimit -n 24; exec {shlex.quote(sys.executable)} -m complyq_simulator --port=0"
    with subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert "api_url" in json.loads(process.stdout.readline())
        process.terminate()


def test_the_two_origins_have_ports_of_their_own() -> None:
    """So that what is sent to the wrong one shows."""
    with running_simulator() as sim:
        assert sim.api_url != sim.storage_url
        assert all(url.startswith("http://127.0.0.1:") for url in (sim.api_url, sim.storage_url))


def test_it_ends_although_a_client_is_held_up() -> None:
    """A stalled answer does not keep the process alive."""
    with running_simulator() as sim:
        sim.arm({"on": "token", "fault": "stall"})
        address = sim.api_url.removeprefix("http://").partition(":")
        with socket.create_connection((address[0], int(address[2]))) as connection:
            connection.sendall(b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            while sim.armed():
                pass
            sim.process.terminate()
            assert connection.recv(1) == b""
    assert sim.process.returncode == 0


def test_a_still_clock_goes_on_only_when_it_is_moved() -> None:
    """Whoever simulates time decides when it passes."""
    with running_simulator(still_clock=True) as simulator:
        begun = _time_of(simulator)
        assert _time_of(simulator) == begun
        simulator.advance_clock(1.5)
        assert _time_of(simulator) - begun == timedelta(seconds=1.5)


def _time_of(simulator: Simulator) -> datetime:
    return datetime.fromisoformat(json.loads(simulator._control("POST", "clock", {"advance": 0}))["now"])
