"""Tables of races, and the same as JSON."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from racing.races import SCALED
from racing.scaling_report import scaling_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from racing.races import Raced
    from replay.bars import Bar


def tables(finished: Iterable[Raced]) -> Iterator[Table]:
    """List the competitors of each race, with medians and, of the time, the range; who runs alone stands with his like."""
    alone = _table("alone")
    for raced in finished:
        race = raced.race
        if len(race.competitors) == 1:
            alone.add_row(race.title, *_cells(raced, race.competitors[0], race.competitors[0]))
        else:
            table = _table(f"{race.title}, {race.lines:,} IDs")
            for competitor in race.competitors:
                table.add_row(competitor, *_cells(raced, competitor, race.competitors[0]))
            yield table
        if race.competitors == SCALED:
            yield scaling_table(raced, os.cpu_count() or 1)
    if alone.row_count:
        yield alone


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in ("seconds", "from, to", "CPU s", "peak MB", "times as long", "in each turn", "load", "right"):
        table.add_column(name, justify="right")
    return table


def as_json(raced: Iterable[Raced], bars: Sequence[Bar], lines: int) -> dict[str, Any]:
    """Return all that was measured as a JSON object."""
    return {
        "machine": machine(),
        "ids": lines,
        "races": {
            each.race.title: {"race": asdict(each.race), "runs": [asdict(run) for run in each.runs]} for each in raced
        },
        "bars": [asdict(bar) for bar in bars],
    }


def machine() -> dict[str, Any]:
    """Say on what was measured."""
    models = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "")
    return {
        "processor": models[0].partition(":")[2].strip() if models else platform.processor(),
        "processors": os.cpu_count(),
        "memory_mb": int((memory.split() or "00")[1]) // 1000,
        "python": platform.python_version(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def _cells(raced: Raced, competitor: str, first: str) -> list[str]:
    runs = raced.of(competitor)
    seconds, loads = [run.seconds for run in runs], [run.load for run in runs]
    return [
        f"{raced.seconds(competitor):.2f}",
        f"{min(seconds):.2f}, {max(seconds):.2f}",
        f"{raced.cpu_seconds(competitor):.2f}",
        f"{raced.peak(competitor) / 1e6:.0f}",
        f"{raced.seconds(competitor) / raced.seconds(first):.2f}",
        " ".join(f"{times:.2f}" for times in raced.times(competitor, first)),
        f"{min(loads):.1f}-{max(loads):.1f}",
        "no" if any(run.wrong for run in runs) else "yes",
    ]
