"""What a worker wants to be sure of before it does anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from complyq_workers import supervisor
from support.misbehaving_s3 import Misbehaviour, misbehaving_s3


@pytest.mark.parametrize("role", ["control", "all"])
def test_workers_refuse_a_store_that_overwrites(tmp_path: Path, role: str) -> None:
    """Facts would not be safe there: nothing is begun, and the setting is named."""
    with misbehaving_s3(Misbehaviour(ignores_conditions=True)) as endpoint:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "COMPLYQ_BEARER_TOKEN": "AAAAtoken",
            "COMPLYQ_STORE_URL": "s3://bucket/prefix",
            "COMPLYQ_SPOOL_DIR": str(tmp_path),
            "COMPLYQ_BROKER_URL": "redis://127.0.0.1:9/0",  # nobody is there: a worker that starts waits for it for ever
        }
        command = [sys.executable, "-m", "complyq_workers", "--role", role]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                _, said = process.communicate(timeout=30)
            finally:
                process.kill()
    assert process.returncode == 2
    assert "COMPLYQ_STORE_URL" in said


TOGETHER = """
import subprocess, sys
from complyq_workers import supervisor

def start(arguments):
    return subprocess.Popen([sys.executable, "-c", arguments[0]])

supervisor._start = start
sys.exit(supervisor.run_together([["raise SystemExit(3)"], ["import time; time.sleep(600)"]]))
"""


def test_workers_that_run_as_one_end_as_one() -> None:
    """One of them died: the other is stopped, and whoever watches them both sees it."""
    ended = subprocess.run([sys.executable, "-c", TOGETHER], check=False, timeout=30)
    assert ended.returncode == 1


def test_a_worker_whose_supervisor_died_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, rather than run on unwatched; one that runs alone has nobody to miss."""
    assert not supervisor.is_orphan()
    monkeypatch.setenv(supervisor.SUPERVISOR, str(os.getppid()))
    assert not supervisor.is_orphan()
    monkeypatch.setenv(supervisor.SUPERVISOR, "1000000000")
    assert supervisor.is_orphan()
