"""`complyq release`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from complyq_producer.cli.options import JsonOption
from complyq_producer.cli.output import print_json, say
from complyq_producer.cli.session import open_producer
from complyq_producer.errors import InvalidArgumentError, NothingParkedError

if TYPE_CHECKING:
    from complyq_producer.client import Producer
    from complyq_producer.parked import ParkedWork

app = typer.Typer(add_completion=False)


@app.command()
def release(
    batch_id: Annotated[
        str | None, typer.Argument(metavar="[BATCH]", help="The batch's id, as `complyq parked` shows it.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Release all that is parked.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have parked work of a batch tried again, once its cause is mended.

    The parts of a parked job travel in a new job as soon as X shows the old one final. If that crashes five times too, it
    is parked again. `--json` prints one object a line for what was released.

    [dim]complyq release 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b[/]

    [dim]complyq release --all[/]
    """
    if (batch_id is None) is not everything:
        raise InvalidArgumentError("name one batch, or say --all")
    producer = open_producer()
    released = producer.release(batch_id) if batch_id else _release_all(producer)
    for work in released:
        if as_json:
            print_json(work)
        else:
            typer.echo(_line(work))
    if not released:
        say("Nothing is parked." if everything else f"Batch {batch_id} was released before.")


def _release_all(producer: Producer) -> list[ParkedWork]:
    released: list[ParkedWork] = []
    for batch_id in dict.fromkeys(work.batch_id for work in producer.parked()):
        with suppress(NothingParkedError):  # it has just ended
            released += producer.release(batch_id)
    return released


def _line(work: ParkedWork) -> str:
    what = f"plan {work.plan}" if work.plan else "its publishing"
    return f"Released {work.step} of batch {work.batch_id} ({what}). Follow it: complyq watch {work.batch_id}"
