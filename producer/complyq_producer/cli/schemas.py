"""`complyq schemas`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from complyq_producer.cli.files import make_folder, replaced_file
from complyq_producer.cli.options import LinesOption
from complyq_producer.cli.output import print_json, say
from complyq_producer.schemas import contract_files, event_schemas

app = typer.Typer(add_completion=False)


@app.command()
def schemas(
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the files into this folder, with an AsyncAPI document that refers to them."),
    ] = None,
    as_json: LinesOption = False,  # noqa: ARG001 - it is JSON either way
) -> None:
    """Print the JSON Schemas of the events, one a line.

    For listeners in any language: the `title` is the event's `type`, the `$id` its `dataschema`. Fields that a schema does
    not name are allowed: versions to come add some.

    [dim]complyq schemas --out contract/[/]

    [dim]complyq schemas | jq 'select(.title == "complyq.batch.completed.v1")'[/]
    """
    if out is None:
        for schema in event_schemas().values():
            print_json(schema)
        return
    folder = make_folder(out)
    for name, body in contract_files().items():
        with replaced_file(folder / name) as file:
            file.write(body)
        say(f"Wrote {out / name}.")
