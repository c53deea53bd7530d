"""`complyq status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from complyq_producer.cli.describing import describe, label, lateness, moment
from complyq_producer.cli.options import JsonOption
from complyq_producer.cli.output import data_console, print_json, say
from complyq_producer.cli.overview_tables import budget_table, types_table
from complyq_producer.cli.session import open_producer
from complyq_producer.errors import InvalidArgumentError

if TYPE_CHECKING:
    from complyq_producer.client import Producer
    from complyq_producer.parked import ParkedWork
    from complyq_producer.status import BatchStatus, JobStatus

app = typer.Typer(add_completion=False)


@app.command()
def status(
    batch_id: Annotated[
        str | None, typer.Argument(metavar="[BATCH]", help="The batch's id; without one, what is going on.")
    ] = None,
    *,
    batches: Annotated[bool, typer.Option("--batches", help="List all open batches.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how far a batch is, or what is going on.

    Without a batch: the slot and the queue of each type, when all of it may be done, and the request budget at X. `--json` prints an object, with `--batches` one object a line.

    [dim]complyq status[/]

    [dim]complyq status --batches[/]

    [dim]complyq status 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b --json | jq .state[/]
    """
    if batch_id and batches:
        raise InvalidArgumentError("name a batch or ask for all with --batches, not both")
    producer = open_producer()
    if batches:
        _list(producer, as_json=as_json)
    elif batch_id:
        found = producer.status(batch_id)
        print_json(found) if as_json else data_console().print(_details(found))
    else:
        _overview(producer, as_json=as_json)


def _overview(producer: Producer, *, as_json: bool) -> None:
    overview = producer.overview()
    if as_json:
        print_json(overview)
        return
    console = data_console()
    console.print(types_table(overview))
    if overview.redis_answers:
        console.print()
        console.print(budget_table(overview))
    else:
        say("Redis (COMPLYQ_REDIS_URL) does not answer: only what the store tells is shown. Check with: complyq doctor")


def _list(producer: Producer, *, as_json: bool) -> None:
    if as_json:
        for one in producer.open_batches():
            print_json(one)
        return
    found = list(producer.open_batches())
    if found:
        data_console().print(_table(found))
    else:
        say("No open batches.")


def _table(found: list[BatchStatus]) -> Table:
    table = Table("batch", "type", "name", "state", "IDs", "parts", "now", box=None, padding=(0, 2, 0, 0))
    for one in sorted(found, key=lambda status: (status.type, status.accepted_at)):
        parts = f"{one.parts_done}/{one.parts}"
        table.add_row(one.batch_id, one.type, one.name or "", one.state, f"{one.unique:,}", parts, describe(one))
    return table


def _details(one: BatchStatus) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in _lines(one):
        if value:
            table.add_row(name, value)
    return table


def _lines(one: BatchStatus) -> list[tuple[str, str]]:
    return [
        ("batch", one.batch_id),
        ("name", label(one) if one.name else ""),
        ("key", one.key or ""),
        ("labels", ", ".join(f"{name}={value}" for name, value in one.labels.items())),
        ("type", one.type),
        ("state", f"{one.state}"),
        ("now", "" if one.state.is_final and not one.error else describe(one)),
        ("IDs", f"{one.submitted:,} submitted, {one.invalid:,} invalid, {one.duplicates:,} duplicates"),
        ("", f"{one.unique:,} unique, {one.checked:,} checked: {one.flagged:,} flagged, {one.rejected:,} rejected"),
        ("parts", f"{one.parts_done} of {one.parts} done"),
        *(("job", _job(job)) for job in one.jobs),
        *(("parked", _parked(work)) for work in one.parked),
        ("priority", f"{one.priority}" + (f", due {moment(one.deadline)}" if one.deadline else "")),
        ("deadline", lateness(one) if one.state.is_final else ""),
        ("accepted", moment(one.accepted_at)),
        ("ended", moment(one.ended_at) if one.ended_at else ""),
        ("events", "some wait to be published" if one.ended_at and not one.published else ""),
        ("purged", f"{moment(one.purged_at)}: its IDs and results are gone" if one.purged_at else ""),
    ]


def _job(job: JobStatus) -> str:
    remote = f", X's {job.remote_id}" if job.remote_id else ""
    shared = f", shared by {job.batches:,} batches" if job.batches > 1 else ""
    error = f" ({job.error})" if job.error else ""
    return f"{job.plan}{remote}: {job.status}{error}, {job.ids:,} IDs{shared}"


def _parked(work: ParkedWork) -> str:
    then = f"fails {moment(work.fails_at)}" if work.fails_at else "is tried again by itself"
    return f"{work.reason}\nsince {moment(work.since)}; {then} unless: complyq release {work.batch_id}"
