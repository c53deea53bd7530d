"""`complyq` itself: its list of commands, what it loads, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from complyq_producer.cli.catalogue import COMMANDS, JOINED, catalogue, load, reflowed
from support.command_line import CommandLine

SLOW = (
    "boto3",
    "celery",
    "kombu",
    "numpy",
    "pydantic",
    "redis",
    "requests",
    "uvicorn",
    "complyq_producer.cli.enqueue",
    "complyq_workers",
    "complyq_simulator",
)


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """An installation without any server."""
    return CommandLine(tmp_path)


def test_help_lists_every_command(cli: CommandLine) -> None:
    """Commands of the other packages stand beside our own."""
    shown = cli.run("--help")
    assert shown.code == 0
    for name in (*COMMANDS, *JOINED):
        assert f" {name} " in shown.out


@pytest.mark.parametrize("name", [*COMMANDS, *JOINED])
def test_each_command_begins_its_help_as_the_list_says(name: str) -> None:
    """The list of commands is written by hand, so that nothing is imported for it."""
    text = load(name, catalogue()[name].target).help
    assert text.split("\n\n")[0] == catalogue()[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_of_ours_shows_an_example(name: str) -> None:
    """Help teaches by a line that can be typed."""
    assert f"[dim]complyq {name}" in load(name, catalogue()[name].target).help


def test_the_list_of_commands_imports_nothing_slow() -> None:
    """`complyq --help` and shell completion answer at once."""
    program = f"import sys, complyq_producer.cli.app; print([name for name in {SLOW} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert loaded.stdout.decode().strip() == "[]"


def test_version(cli: CommandLine) -> None:
    """One line for scripts."""
    assert cli.run("--version").out.startswith("complyq ")


def test_a_mistyped_command_is_wrong_use(cli: CommandLine) -> None:
    """Exit code 2, with the command that was meant."""
    refused = cli.run("enqeue")
    assert refused.code == 2
    assert "'enqueue'" in refused.err


def test_a_wrong_setting_is_wrong_use(cli: CommandLine) -> None:
    """Exit code 2, the variable's name, and no traceback."""
    refused = cli.run("status", env={"COMPLYQ_NAMESPACE": "Not Allowed"})
    assert refused.code == 2
    assert "COMPLYQ_NAMESPACE" in refused.err
    assert "Traceback" not in refused.err


def test_a_missing_extra_is_told_by_what_to_install(cli: CommandLine) -> None:
    """A base install knows the commands of workers and says how to get them."""
    hidden = cli.folder / "hidden"
    hidden.mkdir()
    (hidden / "requests.py").write_text('raise ModuleNotFoundError("No module named requests", name="requests")')
    refused = cli.run("worker", env={"PYTHONPATH": str(hidden)})
    assert refused.code == 2
    assert "pip install 'complyq[worker]'" in refused.err
    assert "Traceback" not in refused.err


def test_a_reader_that_goes_away_is_no_crash(cli: CommandLine) -> None:
    """`complyq status --json | head -1` prints no traceback."""
    for number in range(3):
        assert cli.run("enqueue", "tweets", "-", stdin=str(number + 1).encode()).code == 0
    with cli.start("status", "--json") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert b"Exception" not in process.stderr.read()
        assert process.wait(60) == 1


def test_help_is_reflowed() -> None:
    """Paragraphs stay apart; lines within one are joined, so that they fill the terminal."""
    assert reflowed("First.\n\n    Two\n    lines.\n\n    Last.\n    ") == "First.\n\nTwo lines.\n\nLast."
    assert reflowed(None) is None
