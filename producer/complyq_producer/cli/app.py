"""The typer app of `complyq`: its options; the commands come from the catalogue when they are asked for."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from complyq_producer.cli.catalogue import CommandGroup

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # they would show local variables, which hold credentials
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(f"complyq {version('complyq')}")
        raise typer.Exit


@app.callback()
def complyq(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep stored X content compliant: run Post and user IDs through X's batch compliance API.

    [bold]Try it[/] with nothing but this machine: [cyan]complyq demo[/]

    [bold]One file, one machine:[/] [cyan]complyq run tweets ids.txt --out results/[/]

    [bold]As a service:[/] start [cyan]complyq worker[/], check it with [cyan]complyq doctor[/], then
    [cyan]complyq enqueue tweets ids.txt --key archive-2026-11[/] and [cyan]complyq watch BATCH[/].

    Settings are environment variables that begin with COMPLYQ_. Exit codes: 0 done, 1 the work failed, 2 wrong use
    or bad input.
    """
