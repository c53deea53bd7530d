"""`complyq cancel`."""

from __future__ import annotations

import typer

from complyq_producer.cli.options import BatchArgument, JsonOption
from complyq_producer.cli.output import print_json
from complyq_producer.cli.session import open_producer

app = typer.Typer(add_completion=False)


@app.command()
def cancel(batch_id: BatchArgument, *, as_json: JsonOption = False) -> None:
    """Ask for a batch to be ended early.

    What was checked by then stays in the store and its events are published; a batch that has ended stays as it is.

    [dim]complyq cancel 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b[/]
    """
    status = open_producer().cancel(batch_id)
    if as_json:
        print_json(status)
    elif status.state.is_final:
        typer.echo(f"Batch {batch_id} has ended: {status.state}.")
    else:
        typer.echo(f"Asked for batch {batch_id} to be ended. The workers do it: complyq watch {batch_id}")
