"""`complyq purge`."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from msgspec import to_builtins

from complyq_producer.cli.describing import mega, moment
from complyq_producer.cli.options import JsonOption
from complyq_producer.cli.output import print_json, say
from complyq_producer.cli.session import begin
from complyq_producer.errors import InvalidArgumentError
from complyq_producer.facts import utc_now
from complyq_producer.purging import Purge, PurgeReport, before_days
from complyq_producer.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")

app = typer.Typer(add_completion=False)

THREADS = 16
TELL_SECONDS = 2.0
LONGEST_DAYS = 36_500


@app.command()
def purge(
    *,
    days: Annotated[
        float | None,
        typer.Option(
            min=0, max=LONGEST_DAYS, help="Of batches that ended so many days ago. Default: COMPLYQ_RETENTION_DAYS."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be removed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove IDs and results of batches that ended long ago, for good.

    Removed are the parts of a batch, its results, rejected lines and the payloads that it shared with others. What it counted
    and how it ended stay, so that status and keys keep their meaning: the same key still returns the same batch. Open batches
    are never touched, nor those whose events are being published.

    It may run beside workers, be interrupted and be repeated. With COMPLYQ_RETENTION_DAYS workers do the same by
    themselves, every six hours. What is purged cannot be read (complyq results) or published again (complyq replay).

    [dim]complyq purge --days 30 --dry-run[/]

    [dim]COMPLYQ_RETENTION_DAYS=30 complyq purge --json | jq .bytes[/]
    """
    settings = begin()
    age = days if days is not None else settings.retention_days
    if age is None:
        raise InvalidArgumentError("say how old batches must be: --days 30, or set COMPLYQ_RETENTION_DAYS")
    now = utc_now()
    one = Purge(open_store(settings.store_url), before_days(age, now), _in_threads, dry_run=dry_run)
    say(f"{'Looking for' if dry_run else 'Purging'} batches that ended before {moment(one.before)}.")
    report = _told(one)
    if as_json:
        print_json({"dry_run": dry_run, "before": one.before, **to_builtins(report)})
    else:
        typer.echo(_summary(report, dry_run=dry_run))


def _told(one: Purge) -> PurgeReport:
    """Run the purge, and tell now and then how far it is."""
    report, told_at = PurgeReport(), time.monotonic()
    for report in one.run():
        if time.monotonic() - told_at > TELL_SECONDS:
            told_at = time.monotonic()
            say(f"{report.batches:,} batches, {report.objects:,} objects, {mega(report.bytes)}")
    return report


def _summary(report: PurgeReport, *, dry_run: bool) -> str:
    verb = "Would remove" if dry_run else "Removed"
    payloads = f", {report.payloads:,} of them payloads of shared jobs" if report.payloads else ""
    kept = f"\nKept: {report.kept:,} batches whose events are being published again." if report.kept else ""
    batches = f"{report.batches:,} {'batch' if report.batches == 1 else 'batches'}"
    return f"{verb} {report.objects:,} objects ({mega(report.bytes)}{payloads}) of {batches}.{kept}"


def _in_threads(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, items))
