"""Tables of what was measured, and the same as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from replay.bars import Bar
    from replay.figures import Figures
    from replay.scenarios import Compared
    from replay.world import Conditions

_VERDICTS = {True: "[green]met[/]", False: "[red]missed[/]", None: "[dim]not judged[/]"}


def table_of(compared: Compared) -> Table:
    """Put the replays of a scenario side by side, with what the perfect schedulers would reach."""
    table = Table(title=f"{compared.scenario}, {compared.seconds / 3600:g} h", title_justify="left")
    table.add_column("")
    for name in (*compared.runs, "perfect, never idle", "perfect, may idle"):
        table.add_column(name, justify="right")
    perfect = (compared.perfect.never_waiting, compared.perfect.least_total)
    runs = [*compared.runs.values()]
    latencies = [*(run.latency for run in runs), *perfect]
    table.add_row("small batches", *(f"{latency.batches:,}" for latency in latencies))
    table.add_row("not answered by the end", *(f"{latency.unanswered:,}" for latency in latencies))
    table.add_row("median latency", *(f"{latency.median:,.1f} s" for latency in latencies))
    table.add_row("95th percentile", *(f"{latency.p95:,.1f} s" for latency in latencies))
    for row in _rows(runs):
        table.add_row(*row)
    return table


def table_of_bars(bars: Iterable[Bar]) -> Table:
    """List what must hold, and whether it does."""
    table = Table(title="Bars", title_justify="left")
    for name in ("scenario", "what", "measured", "bound", ""):
        table.add_column(name)
    for bar in bars:
        table.add_row(bar.scenario, bar.what, bar.measured, bar.bound, _VERDICTS[bar.met])
    return table


def as_json(conditions: Conditions, all_compared: Iterable[Compared]) -> dict[str, Any]:
    """Return all that was measured as a JSON object."""
    return {
        "conditions": asdict(conditions),
        "scenarios": {compared.scenario.value: _scenario_as_json(compared) for compared in all_compared},
    }


def _rows(runs: Sequence[Figures]) -> Iterator[list[str]]:
    yield ["jobs", *(f"{run.jobs:,}" for run in runs)]
    yield ["requests (create, get, list)", *(f"{_limited(run):,}" for run in runs)]
    yield ["most of a kind in 15 min", *(f"{max(run.most_in_a_window.values())}" for run in runs)]
    yield ["slot busy while work waits", *(f"{run.busy:.1%}" for run in runs)]
    yield ["store requests a batch", *(f"{sum(run.store_calls.values()) / run.latency.batches:,.1f}" for run in runs)]
    yield ["real time of the replay", *(f"{run.real_seconds:,.0f} s" for run in runs)]


def _limited(run: Figures) -> int:
    return sum(run.requests.get(name, 0) for name in run.most_in_a_window)


def _scenario_as_json(compared: Compared) -> dict[str, Any]:
    return {
        "seconds": compared.seconds,
        "runs": {name: asdict(run) for name, run in compared.runs.items()},
        "perfect": asdict(compared.perfect),
        "noted": compared.noted,
        "bars": [asdict(bar) for bar in compared.bars],
    }
