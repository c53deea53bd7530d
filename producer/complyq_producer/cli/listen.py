"""`complyq listen`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from complyq_producer.cli.options import LinesOption
from complyq_producer.cli.output import print_json
from complyq_producer.cli.session import begin
from complyq_producer.listening import LOOKING_GROUP, SqsAddress, address_of
from complyq_producer.listening import listen as listen_to

if TYPE_CHECKING:
    from complyq_config.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def listen(
    *,
    group: Annotated[
        str | None,
        typer.Option(help="Who listens: each group gets every event once, in shares.", show_default=LOOKING_GROUP),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after this many events.")] = None,
    as_json: LinesOption = False,  # noqa: ARG001 - it is JSON either way
) -> None:
    """Print the events of the results queue as JSON lines.

    They are printed as they come, until Ctrl-C. An event is acknowledged once its line is written. Without --group
    this gets all events, and takes none away from your services. A group that is new begins with the events that are on the stream already; in RabbitMQ it gets what comes from then on.

    An SQS queue has no groups: what is printed is taken off the queue, so this asks for --group there.

    [dim]complyq listen --group archive | while read -r event; do handle "$event"; done[/]

    [dim]complyq listen --count 1 | jq .data.by_action[/]
    """
    settings = begin(log_from="WARNING")  # a queue that is away is waited for, which should be seen
    with listen_to(settings=settings, group=group or _looking_group(settings), block_seconds=2) as events:
        for event in islice(events, count):
            print_json(event)
        events.acknowledge()


def _looking_group(settings: Settings) -> str:
    """A group of its own, so that looking takes no event away from the services that listen; not to be had on SQS."""
    address = address_of(settings.effective_events_url.get_secret_value())
    if isinstance(address, SqsAddress):
        raise typer.BadParameter(
            f"The {address} hands each message to one listener: what is printed here, your services do not get. "
            "If that is what you want, name any group, for example --group complyq.",
            param_hint="--group",
        )
    return LOOKING_GROUP
