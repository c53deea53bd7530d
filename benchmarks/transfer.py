"""How fast many IDs get through, in how much memory: Complyq against what people use, and against straight-line code.

    python benchmarks/transfer.py --row 1 --row 3 --ids 10000000 --check --json result.json

Every competitor runs in processes of its own, starts and warms up unmeasured, and takes turns with the others. They all
talk to the simulated X, which completes each job at once, and every answer is checked, down to the last ID.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from complyq_config.spool_dir import default_spool_dir
from racing.bars import bars
from racing.plot import time_plot
from racing.races import Row, races, run_race
from racing.report import as_json, tables
from replay.report import table_of_bars

_LEAST_IDS = 20_000
_WIDTH = 140

app = typer.Typer(add_completion=False)


@app.command()
def transfer(
    row: Annotated[list[Row] | None, typer.Option(help="Only this one; may be given again.")] = None,
    ids: Annotated[int, typer.Option(min=_LEAST_IDS, help="Lines of the input.")] = 10_000_000,
    repetitions: Annotated[int, typer.Option(min=1, help="How often each competitor runs.")] = 3,
    work: Annotated[
        Path | None, typer.Option(help="A folder on a disk, for all files. Default: the spool folder.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture of the times, as SVG.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a bar is missed.")] = False,
) -> None:
    """Have competitors take the same IDs through a simulated X, and compare them."""
    console, rows, finished = Console(width=None if sys.stdout.isatty() else _WIDTH), row or [*Row], {}
    with TemporaryDirectory(prefix="transfer-", dir=_made(work or default_spool_dir())) as folder:
        for race in races(rows, ids):
            finished[race.title] = run_race(race, repetitions, Path(folder), _say)
    console.print(*tables(finished.values()), sep="\n")
    judged = bars(rows, finished, ids)
    console.print(table_of_bars(judged))
    if plot:
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_text(time_plot(finished.values(), "complyq"))
    if json_file:
        json_file.write_text(json.dumps(as_json(finished.values(), judged, ids), indent=1) + "\n")
    if check and any(bar.met is False for bar in judged):
        raise typer.Exit(1)


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _say(progress: str) -> None:
    typer.echo(progress, err=True)


if __name__ == "__main__":
    app()
