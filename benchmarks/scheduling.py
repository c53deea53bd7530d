"""How long batches wait: replays hours of arrivals in minutes, with merging and without, and compares with the ideal.

    python benchmarks/scheduling.py --hours 6 --check --json result.json --plot latency.svg

The producer, the steps of the workers and the simulator are the real ones; Celery, Redis and the clock are virtual. Time
jumps from one event to the next. A step takes as much virtual time as its work really takes on this machine (`--charge 0`:
none), each queue has a few workers, and messages take no time. The store is in memory; `--store-ms 20` has it answer as
slowly as S3 may.

Latency is from the second of a batch's arrival to its completed event. A batch without one when arrivals have ended (and
ten minutes more) counts as if it had come with the last arrival: without merging, the true figures are worse.

The slot counts as busy from the creation of a job to the second at which X completes it, not to when that is noticed, and
work counts as waiting while a batch, or a part of it, is in no job at X.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from complyq_config.logging import configure_logging
from replay.arrivals import BULK_IDS, SMALL_IDS
from replay.plot import latency_plot
from replay.report import as_json, table_of, table_of_bars
from replay.scenarios import Compared, Comparison, Scenario
from replay.world import Conditions

_DEFAULTS = Conditions()
_LEAST_HOURS = 0.05
_SHOWN_SECONDS = 10
_WIDTH = 120

app = typer.Typer(add_completion=False)


@app.command()
def scheduling(  # noqa: PLR0913, PLR0917 - options
    hours: Annotated[float, typer.Option(min=_LEAST_HOURS, help="Virtual hours in which batches arrive.")] = 6.0,
    bulk_hours: Annotated[float, typer.Option(min=_LEAST_HOURS, help="The same for the scenario `bulk`.")] = 0.5,
    bulk_ids: Annotated[int, typer.Option(min=SMALL_IDS + 1, help="How huge its batch is.")] = BULK_IDS,
    scenario: Annotated[list[Scenario] | None, typer.Option(help="Only this one; may be given again.")] = None,
    poll_min: Annotated[float, typer.Option(help="COMPLYQ_POLL_MIN_SECONDS.")] = _DEFAULTS.poll_min_seconds,
    poll_max: Annotated[float, typer.Option(help="COMPLYQ_POLL_MAX_SECONDS.")] = _DEFAULTS.poll_max_seconds,
    processing_seconds: Annotated[float, typer.Option(help="How long X takes.")] = _DEFAULTS.processing_seconds,
    workers: Annotated[int, typer.Option(min=1, help="For each of the two queues.")] = _DEFAULTS.workers,
    charge: Annotated[float, typer.Option(min=0, help="Virtual seconds a second of work.")] = _DEFAULTS.charge,
    store_ms: Annotated[float, typer.Option(min=0, help="Virtual milliseconds a request to the store.")] = 0.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture of the first scenario, as SVG.")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a bar is missed.")] = False,
) -> None:
    """Replay arrivals of batches against the scheduler and a simulated X, in virtual time."""
    configure_logging("console", "ERROR")
    conditions = Conditions(
        processing_seconds=processing_seconds,
        poll_min_seconds=poll_min,
        poll_max_seconds=poll_max,
        workers=workers,
        charge=charge,
        store_seconds=store_ms / 1000,
    )
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    all_compared = []
    for wanted in scenario or [*Scenario]:
        seconds = (bulk_hours if wanted is Scenario.BULK else hours) * 3600
        all_compared.append(_compare(wanted, Comparison(seconds, conditions, bulk_ids)))
        console.print(table_of(all_compared[-1]))
    bars = [bar for compared in all_compared for bar in compared.bars]
    console.print(table_of_bars(bars))
    if json_file:
        json_file.write_text(json.dumps(as_json(conditions, all_compared), indent=1) + "\n")
    if plot:
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_text(_picture(all_compared[0]))
    if check and any(bar.met is False for bar in bars):
        raise typer.Exit(1)


def _compare(scenario: Scenario, comparison: Comparison) -> Compared:
    """Replay one scenario and show how far it is."""
    tasks: dict[str, TaskID] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:

        def show(name: str, second: float) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(f"{scenario}, {name}", total=comparison.seconds)
            if second - progress.tasks[tasks[name]].completed >= _SHOWN_SECONDS:
                progress.update(tasks[name], completed=second)

        return replace(comparison, progress=show).of(scenario)


def _picture(compared: Compared) -> str:
    return latency_plot("From enqueue to completed event", compared.curves)


if __name__ == "__main__":
    app()
