"""twarc2, the command line with which archivists check their collections."""

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from racing.redirecting import X_URL, ToSimulator
from support.bytes_of_jobs import BODY, flagged_ids, ids_in
from support.simulator_process import Simulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pkg_resources, which it imports
    from twarc import command2
    from twarc.client2 import Twarc2

Twarc = Callable[..., Result]


@pytest.fixture
def twarc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Simulator], Twarc]:
    """Make `twarc2` speak to a simulator; its waits of a minute pass a thousand times as fast."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # this user's own configuration of twarc stays out
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command2, "time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 1000)))
    (tmp_path / "ids.txt").write_bytes(BODY)

    def redirected(simulator: Simulator) -> Twarc:
        _redirect(simulator.api_url, monkeypatch)
        options = ["--bearer-token", simulator.token, "--log", str(tmp_path / "twarc.log"), "compliance-job"]

        def run(*arguments: str) -> Result:
            return CliRunner().invoke(command2.twarc2, [*options, *arguments])

        return run

    return redirected


def _redirect(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = Twarc2.connect

    def connect_to_simulator(client: Any) -> None:
        connect(client)
        client.client.mount(X_URL, ToSimulator(origin))

    monkeypatch.setattr(Twarc2, "connect", connect_to_simulator)


def test_twarc_checks_a_file_of_ids(cloud: Simulator, twarc: Any, tmp_path: Path) -> None:
    """In one command: create, upload, wait, download; the results name exactly the flagged IDs."""
    done = twarc(cloud)("create", "tweets", "ids.txt", "results.json", "--job-name", "from twarc", "--hide-progress")
    assert done.exit_code == 0, done.output
    assert ids_in((tmp_path / "results.json").read_text()) == flagged_ids()
    [job] = cloud.jobs()
    assert (job["name"], job["status"], job["received"]) == ("from twarc", "complete", len(BODY))


def test_twarc_lists_gets_and_downloads_jobs(cloud: Simulator, twarc: Any, tmp_path: Path) -> None:
    """A job that was begun without waiting is found in the list, and its results are fetched later."""
    run = twarc(cloud)
    run("create", "users", "ids.txt", "--no-wait", "--hide-progress")
    [job] = json.loads(run("list", "users", "--json-output").stdout)
    shown = run("list", "users", "--verbose")
    assert job["id"] in shown.output
    assert json.loads(run("get", job["id"], "--json-output").stdout)["data"]["type"] == "users"
    done = run("download", job["id"], "later.json", "--hide-progress")
    assert done.exit_code == 0, done.output
    assert ids_in((tmp_path / "later.json").read_text()) == flagged_ids()


def test_twarc_stops_at_a_job_that_failed(cloud: Simulator, twarc: Any) -> None:
    """It tells the status instead of waiting on."""
    cloud.arm({"on": "job", "fault": "fail", "error": "Internal error"})
    done = twarc(cloud)("create", "tweets", "ids.txt", "results.json", "--hide-progress")
    assert "Job status is failed" in done.output


def test_twarc_says_that_the_slot_is_busy(simulator: Simulator, twarc: Any) -> None:
    """In both contracts the second job of a type is refused with 409."""
    run = twarc(simulator)
    run("create", "tweets", "ids.txt", "--no-wait", "--hide-progress")
    simulator.arm({"on": "job", "fault": "stuck"})
    refused = run("create", "tweets", "ids.txt", "--no-wait", "--hide-progress")
    assert "409" in str(refused.exception) + refused.output


def test_twarc_does_not_know_the_direct_contract(direct: Simulator, twarc: Any) -> None:
    """It sends the bytes without the bearer token and does not look at the answer: the job waits until it expires."""
    done = twarc(direct)("create", "tweets", "ids.txt", "--no-wait", "--hide-progress")
    assert done.exit_code == 0
    [upload] = [line for line in direct.journal() if line.get("method") == "PUT"]
    assert (upload["status"], upload["authorization"]) == (401, False)
    assert [job["status"] for job in direct.jobs()] == ["created"]
