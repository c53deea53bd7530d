"""`complyq parked`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table

from complyq_producer.cli.describing import moment
from complyq_producer.cli.options import JsonOption
from complyq_producer.cli.output import data_console, print_json, say
from complyq_producer.cli.session import open_producer

if TYPE_CHECKING:
    from complyq_producer.parked import ParkedWork

app = typer.Typer(add_completion=False)


@app.command()
def parked(*, as_json: JsonOption = False) -> None:
    """List work that crashed its worker every time and waits for you.

    A step that crashed five times without getting on is not begun again: its batch waits, others go on. Look for the cause
    in the workers' logs (step_parked, and what came before it), mend it, then let the work go on with `complyq release`.
    What nobody releases fails at the time shown (COMPLYQ_MAX_PARKED_HOURS). `--json` prints one object a line.

    [dim]complyq parked[/]

    [dim]complyq parked --json | jq -r .batch_id[/]
    """
    found = open_producer().parked()
    if as_json:
        for one in found:
            print_json(one)
    elif found:
        data_console().print(_table(found))
    else:
        say("Nothing is parked.")


def _table(found: list[ParkedWork]) -> Table:
    table = Table("batch", "type", "plan", "step", "since", "fails at", "reason", box=None, padding=(0, 2, 0, 0))
    for one in found:
        plan = str(one.plan) if one.plan else ""
        table.add_row(one.batch_id, one.type, plan, one.step, moment(one.since), _deadline(one), one.reason)
    return table


def _deadline(one: ParkedWork) -> str:
    if one.fails_at:
        return moment(one.fails_at)
    return f"never; tried again {moment(one.retried_at)}" if one.retried_at else ""
