"""A slice of the soak: what `make soak` does for ten minutes, for a minute and from a known seed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.command_line import processes_of

TESTS = Path(__file__).parents[1]


def _soak(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "soak", "--folder", str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.timeout(700)
def test_no_promise_is_broken_while_everything_fails(tmp_path: Path) -> None:
    """Workers killed, Redis emptied, S3 and X failing: every batch ends once, with exactly its results."""
    with _soak(tmp_path, "--seconds", "24", "--seed", "11", "--backlog", "2", "--pause", "2.5") as process:
        told, _ = process.communicate()
    assert process.returncode == 0, told
    assert "batches completed" in told
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_soak_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C ends all processes, and removes the folder."""
    with _soak(tmp_path, "--seconds", "300") as process:
        while not list(tmp_path.glob("*/1-*/workers.log")):
            assert process.poll() is None
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        told, _ = process.communicate()
    assert process.returncode == 130, told
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []
