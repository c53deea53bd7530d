"""`complyq watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from complyq_producer.cli.describing import describe, moment, moved
from complyq_producer.cli.following import follow, progress_display
from complyq_producer.cli.options import BatchArgument, JsonOption
from complyq_producer.cli.output import print_json
from complyq_producer.cli.session import open_producer
from complyq_producer.model import BatchState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from complyq_producer.client import Producer
    from complyq_producer.status import BatchStatus

app = typer.Typer(add_completion=False)

PAUSE_SECONDS = 1.0


@app.command()
def watch(
    batch_id: BatchArgument,
    *,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = PAUSE_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Follow a batch until it ends.

    Shows phase, bytes, IDs, place in the queue and time in the slot: live on a terminal, else a line when something
    changed. Ends with 0 if the batch completed, with 1 if it failed or was cancelled. Ctrl-C only ends the watching.

    [dim]complyq watch 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b && complyq results 0193a1b2-…[/]
    """
    raise typer.Exit(wait_for(open_producer(), batch_id, every=every, as_json=as_json))


def wait_for(producer: Producer, batch_id: str, *, every: float = PAUSE_SECONDS, as_json: bool = False) -> int:
    """Follow a batch to its end and return the exit code: 0 if it completed."""
    producer.status(batch_id)  # an unknown batch is told before a display opens
    if as_json:
        [last] = follow(lambda: [producer.status(batch_id)], JsonLines(), every)
    else:
        with progress_display() as display:
            [last] = follow(lambda: [producer.status(batch_id)], display, every)
        typer.echo(_ending(last))
    return 0 if last.state is BatchState.COMPLETED else 1


class JsonLines:
    """Prints the status as a line of JSON whenever something changed."""

    def __init__(self) -> None:
        self._shown: dict[str, object] = {}

    def show(self, statuses: Sequence[BatchStatus]) -> None:
        """Print what changed."""
        for status in statuses:
            if self._shown.get(status.batch_id) != moved(status):
                self._shown[status.batch_id] = moved(status)
                print_json(status)


def _ending(status: BatchStatus) -> str:
    line = f"Batch {status.batch_id} {describe(status)}"
    if status.purged_at:
        line += f"\nIts IDs and results were purged on {moment(status.purged_at)}."
    elif status.state is BatchState.COMPLETED:
        line += f"\nRead them with: complyq results {status.batch_id}"
    return line
