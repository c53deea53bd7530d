"""`complyq run`: one file, one machine, nothing else; also when it is interrupted."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command_line import CommandLine, processes_of
from support.real_workers import wait_until
from support.simulator_process import Simulator, running_simulator

pytestmark = pytest.mark.timeout(240)

POSTS = b"".join(b"%d\n" % number for number in range(10**18, 10**18 + 3_000))


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A machine without any server, with a file of IDs."""
    (tmp_path / "ids.txt").write_bytes(POSTS)
    return CommandLine(tmp_path)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """An X of its own that takes an hour for a job, and outlives the run."""
    with running_simulator(processing_seconds=3_600) as running:
        yield running


def summary(cli: CommandLine) -> dict[str, Any]:
    """Read the summary of the run."""
    read: dict[str, Any] = json.loads((cli.folder / "out" / "summary.json").read_text())
    return read


def assert_output(cli: CommandLine) -> None:
    """Results and summary agree, nothing else is in the folder, and no process is left."""
    assert sorted(path.name for path in (cli.folder / "out").iterdir()) == ["results.jsonl", "summary.json"]
    results = [json.loads(line) for line in (cli.folder / "out" / "results.jsonl").read_text().splitlines()]
    assert [int(result["id"]) for result in results] == sorted({int(result["id"]) for result in results})
    assert len(results) == summary(cli)["flagged"] == summary(cli)["results"]["count"] > 0
    assert sum(summary(cli)["by_action"].values()) == len(results)
    wait_until(lambda: processes_of(cli.folder) == [])  # the watchdogs look once a second


def test_run_simulated_needs_nothing_but_a_file(cli: CommandLine) -> None:
    """IDs from standard input, bad lines skipped: results and summary, and nothing else stays."""
    done = cli.run("run", "tweets", "-", "--out", "out", "--simulate", "--on-invalid", "skip", stdin=POSTS + b"x\n")
    assert done.code == 0, done.err
    assert_output(cli)
    assert (summary(cli)["state"], summary(cli)["invalid"], summary(cli)["unique"]) == ("completed", 1, 3_000)
    assert summary(cli)["simulated"] is True


def test_run_writes_lines_however_results_are_stored(cli: CommandLine) -> None:
    """An environment that asks for Parquet asks for it here too."""
    cli.settings = {"COMPLYQ_RESULTS_FORMAT": "parquet"}
    done = cli.run("run", "tweets", "ids.txt", "--out", "out", "--simulate")
    assert done.code == 0, done.err
    assert_output(cli)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_is_continued_by_the_same_command(
    cli: CommandLine, simulator: Simulator, number: signal.Signals
) -> None:
    """What X is working on already is not submitted again, whatever ended the run."""
    cli.settings = {
        "COMPLYQ_API_URL": simulator.api_url,
        "COMPLYQ_ALLOWED_ORIGINS": simulator.storage_url,
        "COMPLYQ_BEARER_TOKEN": simulator.token,
        "COMPLYQ_POLL_MIN_SECONDS": "0.2",
        "COMPLYQ_POLL_MAX_SECONDS": "0.5",
    }
    arguments = ("run", "tweets", "ids.txt", "--out", "out")
    with cli.start(*arguments) as process:
        wait_until(lambda: [job["status"] for job in simulator.jobs()] == ["in_progress"])
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    wait_until(lambda: processes_of(cli.folder) == [])
    if number is not signal.SIGKILL:
        assert process.returncode == 128 + number
        assert b"Continue with: complyq " in err
    simulator.advance_clock(3_600)
    done = cli.run(*arguments)
    assert done.code == 0, done.err
    assert "Continuing the run" in done.err
    assert_output(cli)
    assert [job["remote_id"] for job in simulator.jobs()] == summary(cli)["remote_ids"]


def test_bad_input_leaves_nothing_behind(cli: CommandLine) -> None:
    """Exit code 2, and the folder is not there."""
    refused = cli.run("run", "users", "-", "--out", "out", "--simulate", stdin=b"1\nabc\n")
    assert refused.code == 2
    assert "abc" in refused.err
    assert not (cli.folder / "out").exists()
    wait_until(lambda: processes_of(cli.folder) == [])  # the watchdogs look once a second


def test_without_credentials_nothing_is_started(cli: CommandLine) -> None:
    """Exit code 2; the variable and the way to try it without X are named."""
    refused = cli.run("run", "tweets", "ids.txt", "--out", "out")
    assert refused.code == 2
    assert "COMPLYQ_BEARER_TOKEN" in refused.err
    assert "--simulate" in refused.err
    assert not (cli.folder / "out").exists()


def test_a_batch_that_fails_is_told_with_its_log(cli: CommandLine) -> None:
    """Exit code 1; the summary says why, and the workers' log stays."""
    with running_simulator(processing_seconds=0.1) as simulator:
        simulator.arm({"on": "job", "fault": "fail", "times": 10})
        cli.settings = {
            "COMPLYQ_API_URL": simulator.api_url,
            "COMPLYQ_ALLOWED_ORIGINS": simulator.storage_url,
            "COMPLYQ_BEARER_TOKEN": simulator.token,
            "COMPLYQ_POLL_MIN_SECONDS": "0.2",
            "COMPLYQ_POLL_MAX_SECONDS": "0.5",
        }
        failed = cli.run("run", "tweets", "ids.txt", "--out", "out")
    assert failed.code == 1, failed.err
    assert (summary(cli)["state"], summary(cli)["unchecked"]) == ("failed", 3_000)
    assert summary(cli)["error"] in failed.err
    assert (cli.folder / "out" / "worker.log").stat().st_size > 0
