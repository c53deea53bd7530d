"""`complyq listen`."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Annotated, cast

import typer

from complyq_producer.cli.options import LinesOption
from complyq_producer.cli.output import print_json
from complyq_producer.cli.session import begin
from complyq_producer.listening import Event, StreamAddress
from complyq_producer.listening import listen as listen_to
from complyq_producer.live import connect_redis

if TYPE_CHECKING:
    from collections.abc import Generator

    from complyq_config.settings import Settings

app = typer.Typer(add_completion=False)

GROUP = "complyq-cli"
"""A group of its own, so that looking takes no event away from the services that listen."""


@app.command()
def listen(
    *,
    group: Annotated[str, typer.Option(help="Who listens: each group gets every event once, in shares.")] = GROUP,
    count: Annotated[int | None, typer.Option(min=1, help="End after this many events.")] = None,
    as_json: LinesOption = False,  # noqa: ARG001 - it is JSON either way
) -> None:
    """Print the events of the results queue as JSON lines.

    They are printed as they come, until Ctrl-C. An event is acknowledged once its line is written. Without --group
    this gets all events, and takes none away from your services. A group that is new begins with the events that are on the queue already.

    [dim]complyq listen --group archive | while read -r event; do handle "$event"; done[/]

    [dim]complyq listen --count 1 | jq .data.by_action[/]
    """
    settings = begin(log_from="WARNING")  # a queue that is away is waited for, which should be seen
    consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    events = cast("Generator[Event]", listen_to(settings=settings, group=group, consumer=consumer, block_seconds=2))
    with closing(events):
        for event in islice(events, count):
            print_json(event)
        _acknowledge(settings, group, consumer)


def _acknowledge(settings: Settings, group: str, consumer: str) -> None:
    """Acknowledge the last event, which the loop would do only when it asks for another."""
    address = StreamAddress.parse(settings.effective_events_url.get_secret_value())
    with closing(connect_redis(address.url)) as client:
        pending = client.xpending_range(address.stream, group, "-", "+", 1, consumername=consumer)
        for entry in cast("list[dict[str, bytes]]", pending):
            client.xack(address.stream, group, entry["message_id"])
