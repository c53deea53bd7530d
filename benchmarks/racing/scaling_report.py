"""What more processes bring: a table of its own, since it is the pace that counts, and what the time went by with."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from racing.races import Raced

_COLUMNS = (
    "batches a second",
    "IDs a second",
    "times as fast",
    "at best",
    "slot held",
    "batches behind it",
    "processors busy",
    "of them X",
)


def scaling_table(raced: Raced, processors: int) -> Table:
    """Compare with one process.

    Args:
        raced: runs of competitors whose names begin with their number of processes.
        processors: of this machine.
    """
    race = raced.race
    table = Table(title=f"{race.title}, {race.conditions.batches} batches, a job each", title_justify="left")
    table.add_column("")
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for competitor in race.competitors:
        table.add_row(competitor, *_cells(raced, competitor, processors))
    return table


def at_best(processes: int, processors: int, *, waits: bool) -> int:
    """Return how many times as fast so many processes can be: as many as there are, where they mostly wait for X."""
    return processes if waits else min(processes, processors)


def _cells(raced: Raced, competitor: str, processors: int) -> list[str]:
    runs, processes = raced.of(competitor), int(competitor.split(maxsplit=1)[0])
    best = at_best(processes, processors, waits=raced.race.conditions.download_mb > 0)
    return [
        f"{_figure(raced, competitor, 'batches a second'):.2f}",
        f"{_figure(raced, competitor, 'IDs a second'):,.0f}",
        f"{raced.seconds(raced.race.competitors[0]) / raced.seconds(competitor):.2f}",
        f"{best}",
        f"{_figure(raced, competitor, 'share the slot was held'):.0%}",
        f"{_figure(raced, competitor, 'batches behind the slot'):.1f}",
        f"{median((run.cpu_seconds + run.x_cpu_seconds) / run.seconds for run in runs):.1f}",
        f"{median(run.x_cpu_seconds / run.seconds for run in runs):.1f}",
    ]


def _figure(raced: Raced, competitor: str, name: str) -> float:
    return float(median(run.figures[name] for run in raced.of(competitor)))
