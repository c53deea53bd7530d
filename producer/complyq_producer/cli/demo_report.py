"""What the demo tells when it is done: tables of batches, results and events."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table

from complyq_producer.cli.demo_events import ENDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from complyq_producer.cli.demo_batches import DemoBatch
    from complyq_producer.client import Batch
    from complyq_producer.listening import Event
    from complyq_producer.status import BatchStatus

_NUMBERS = {"submitted", "invalid", "duplicates", "unique", "compliant", "flagged", "rejected", "tweets", "users"}


def print_submitted(console: Console, submitted: Iterable[tuple[DemoBatch, Batch]]) -> None:
    """Show what was enqueued."""
    table = _table("Enqueued", "batch", "type", "submitted", "invalid", "duplicates", "unique", "this shows")
    for planned, batch in submitted:
        counts = (batch.submitted, batch.invalid, batch.duplicates, batch.unique)
        shows = planned.shows if batch.created else f"{planned.shows} ({str(batch.id)[-6:]})"
        table.add_row(planned.name, batch.type, *_numbers(counts), shows)
    console.print(table, "")


def print_results(console: Console, ended: Sequence[BatchStatus], events: Sequence[Event]) -> None:
    """Show what X said, as the last event of each batch tells it."""
    data = {event.subject: event.data for event in events if event.type in ENDS}
    table = _table("Results", "batch", "state", "unique", "compliant", "flagged", "rejected", "X's job")
    for status in ended:
        end = data[status.batch_id]
        counts = (end["unique"], end["compliant"], end["flagged"], end["rejected"])
        table.add_row(status.name, status.state, *_numbers(counts), ", ".join(end["remote_ids"]))
    console.print(table, "")
    for word in ("action", "reason"):
        tallies = [(str(status.type), data[status.batch_id][f"by_{word}"]) for status in ended]
        _print_tallies(console, tallies, word)


def print_events(console: Console, ended: Sequence[BatchStatus], events: Iterable[Event]) -> None:
    """Show which events came, and what they held."""
    names = {str(status.batch_id): status.name for status in ended}
    table = _table("Events received", "time", "type", "batch", "holds")
    for event in events:
        table.add_row(f"{event.time:%H:%M:%S}", event.type, names[event.subject], _contents(event.data))
    console.print(table, "")


def print_explanation(console: Console, ended: Sequence[BatchStatus]) -> None:
    """Say in three lines what happened."""
    checked, flagged = sum(status.unique for status in ended), sum(status.flagged for status in ended)
    console.print(
        f"[bold]1.[/] Services enqueued {len(ended)} batches; their {checked:,} IDs were checked, sorted and stored.\n"
        "[bold]2.[/] Workers ran one job at a time for each type through X's API (simulated here): create, upload, poll, "
        "download.\n"
        f"[bold]3.[/] {flagged:,} IDs were flagged, stored as results and announced by events; all others are compliant.",
        soft_wrap=True,
    )


def _print_tallies(console: Console, tallies: Iterable[tuple[str, dict[str, int]]], word: str) -> None:
    """Show one column for each type, one row for each action or reason, the most frequent first."""
    sums: dict[str, Counter[str]] = {}
    for type_, tally in tallies:
        sums.setdefault(type_, Counter()).update(tally)
    types = sorted(sums)
    table = _table(f"Flagged IDs by {word}", word, *types)
    for name, _ in sum(sums.values(), Counter[str]()).most_common():
        table.add_row(name, *_numbers(sums[type_][name] for type_ in types))
    console.print(table, "")


def _contents(data: dict[str, Any]) -> str:
    if "ref" in data:
        return f"a reference to {data['ref']['count']:,} stored results"
    if "results" in data:
        return f"{len(data['results']):,} results"
    if "parked_at" in data:
        return f"a warning: {data['reason']}"
    return f"the end: {data['flagged']:,} flagged in all"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    return table


def _numbers(counts: Iterable[int]) -> list[str]:
    return [f"{count:,}" for count in counts]
