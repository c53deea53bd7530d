"""`complyq results`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from complyq_producer.cli.files import replaced_file
from complyq_producer.cli.options import BatchArgument, LinesOption
from complyq_producer.cli.output import say, write_lines
from complyq_producer.cli.session import begin
from complyq_producer.cli.stored_results import result_lines
from complyq_producer.client import Producer
from complyq_producer.store import open_store

app = typer.Typer(add_completion=False)


@app.command()
def results(
    batch_id: BatchArgument,
    *,
    out: Annotated[Path | None, typer.Option(help="Write to this file, which is there once it is complete.")] = None,
    as_json: LinesOption = False,  # noqa: ARG001 - it is JSON either way
) -> None:
    """Print the results of a completed batch as JSON lines.

    A line for each flagged ID, sorted by ID: id, type, action, reason, created_at, redacted_at. IDs that are absent
    are compliant.

    [dim]complyq results 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b | jq -r 'select(.action == "delete").id'[/]
    """
    settings = begin()
    Producer.from_settings(settings).results(batch_id)  # refuses a batch that did not complete
    lines = result_lines(open_store(settings.store_url), batch_id, settings.spool_dir)
    if out is None:
        write_lines(lines)
        return
    with replaced_file(out) as file:
        file.writelines(lines)
    say(f"Wrote {out}.")
