"""`complyq demo` as somebody who has just installed Complyq runs it."""

import re
import signal
from pathlib import Path

import pytest

from support.command_line import CommandLine, processes_of
from support.real_workers import wait_until

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A machine without any server, and no terminal."""
    return CommandLine(tmp_path, {"NO_COLOR": "1"})


def test_demo_shows_everything_and_leaves_nothing(cli: CommandLine) -> None:
    """Batches of both types complete, results and events are shown, and neither process nor file stays."""
    shown = cli.run("demo")
    assert shown.code == 0, shown.err
    for title in ("Enqueued", "Results", "Flagged IDs by action", "Flagged IDs by reason", "Events received"):
        assert title in shown.out
    for name in ("archive", "timeline", "authors", "mentions"):
        assert re.search(rf"^{name} +completed", shown.out, re.MULTILINE)
        assert re.search(rf"complyq\.batch\.completed\.v1 +{name}", shown.out)
    assert re.search(r"archive +tweets +120,000", shown.out)
    assert "\x1b" not in shown.out + shown.err
    wait_until(lambda: processes_of(cli.folder) == [])  # the watchdogs look once a second
    assert list(cli.folder.iterdir()) == []


def test_demo_that_is_interrupted_leaves_nothing(cli: CommandLine) -> None:
    """Ctrl-C in the midst of it stops everything that was started."""
    with cli.start("demo") as process:
        wait_until(lambda: len(processes_of(cli.folder)) > 3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    wait_until(lambda: processes_of(cli.folder) == [])  # the watchdogs look once a second
    assert list(cli.folder.iterdir()) == []
