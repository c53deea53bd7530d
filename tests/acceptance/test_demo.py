"""`complyq demo` as somebody who has just installed Complyq runs it."""

import json
import re
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from complyq_config.settings import Settings
from complyq_producer import Producer
from complyq_producer.cli.demo_batches import demo_batches
from complyq_producer.cli.demo_events import ENDS
from complyq_producer.cli.local_stack import Simulation, local_stack
from complyq_producer.listening import StreamAddress
from support.command_line import CommandLine, processes_of
from support.event_contract import keep_contract, undescribed
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


def test_what_the_demo_publishes_is_as_the_schemas_say(tmp_path: Path) -> None:
    """Every event of its batches has what its schema promises, and nothing that the schema does not name."""
    with local_stack(tmp_path, Simulation(processing_seconds=1.0)) as stack:
        producer = Producer.from_settings(stack.settings)
        batches = {planned.submit(producer).id for planned in demo_batches(tmp_path)}
        wait_until(
            lambda: {event["subject"] for event in _published(stack.settings) if event["type"] in ENDS} == batches
        )
        events = _published(stack.settings)
    assert [undescribed(event) for event in keep_contract(events) if undescribed(event)] == []


def _published(settings: Settings) -> list[dict[str, Any]]:
    """Read the results queue as it is."""
    address = StreamAddress.parse(settings.effective_events_url.get_secret_value())
    with closing(redis.Redis.from_url(address.url)) as client:
        entries: Any = client.xrange(address.stream)
    return [json.loads(fields[b"event"]) for _, fields in entries]


def test_demo_that_is_interrupted_leaves_nothing(cli: CommandLine) -> None:
    """Ctrl-C in the midst of it stops everything that was started."""
    with cli.start("demo") as process:
        wait_until(lambda: len(processes_of(cli.folder)) > 3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    wait_until(lambda: processes_of(cli.folder) == [])  # the watchdogs look once a second
    assert list(cli.folder.iterdir()) == []
