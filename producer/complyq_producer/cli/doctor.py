"""`complyq doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from complyq_producer.cli.checks.broker import check_broker
from complyq_producer.cli.checks.events import check_events
from complyq_producer.cli.checks.finding import Finding, Verdict
from complyq_producer.cli.checks.joined import joined_checks
from complyq_producer.cli.checks.redis_server import check_redis
from complyq_producer.cli.checks.storage import check_results_format, check_spool, check_store
from complyq_producer.cli.options import JsonOption
from complyq_producer.cli.output import data_console, print_json
from complyq_producer.cli.session import begin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from complyq_config.settings import Settings

app = typer.Typer(add_completion=False)

_STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red"}


@app.command()
def doctor(*, as_json: JsonOption = False) -> None:
    """Check every configured part, and say how to mend it.

    Looks at Redis (version, eviction, persistence, clock), the broker and its queues, the store and its conditional
    writes, the results queue, the spool folder, the format of results, and the credentials by one list call to X. Ends
    with 1 if something failed.

    [dim]complyq doctor --json | jq -r 'select(.verdict != "ok").mend'[/]
    """
    settings = begin()
    if as_json:
        findings = [_printed(finding) for finding in examine(settings)]
    else:
        findings = list(examine(settings))
        data_console().print(_table(findings))
        typer.echo(_conclusion(findings))
    if any(finding.verdict is Verdict.FAILED for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Run all checks, one after another."""
    yield from check_redis(settings)
    yield from check_broker(settings)
    yield from check_store(settings)
    yield from check_events(settings)
    yield from check_spool(settings)
    yield from check_results_format(settings)
    yield from joined_checks(settings)


def _printed(finding: Finding) -> Finding:
    print_json(finding)
    return finding


def _table(findings: Sequence[Finding]) -> Table:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        mend = f"\n→ {finding.mend}" if finding.mend else ""
        verdict = Text(finding.verdict, style=_STYLES[finding.verdict])
        table.add_row(verdict, finding.check, Text(finding.found + mend))
    return table


def _conclusion(findings: Sequence[Finding]) -> str:
    failures = sum(finding.verdict is Verdict.FAILED for finding in findings)
    warnings = sum(finding.verdict is Verdict.WARNING for finding in findings)
    if failures:
        return f"{failures} of {len(findings)} checks failed."
    return f"Ready for work, with {warnings} warnings." if warnings else "Ready for work."
