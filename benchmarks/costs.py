"""What batches cost: processor time by step, requests to the store and to Redis, bytes; and what follows for more of them.

    python benchmarks/costs.py --json costs.json        # measures, three minutes
    python benchmarks/costs.py --load costs.json        # only works out

The store is an S3 server on this machine, so that requests are counted as S3 would charge them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from complyq_config.spool_dir import default_spool_dir
from costing.cases import CASES, measure_case
from costing.costs import Costs
from costing.report import tables
from racing.report import machine

_WIDTH = 140

app = typer.Typer(add_completion=False)


@app.command()
def costs(
    case: Annotated[list[str] | None, typer.Option(help="Only this one, by its name; may be given again.")] = None,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the batches, or of a single batch's IDs.")] = 1.0,
    work: Annotated[
        Path | None, typer.Option(help="A folder on a disk, for all files. Default: the spool folder.")
    ] = None,
    load: Annotated[Path | None, typer.Option(help="Measure nothing: read figures that were written.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
) -> None:
    """Measure what batches of some sizes cost, and work out what a thousand times a small load needs."""
    measured = _read(load) if load else _measure(case, share, work or default_spool_dir())
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(*tables(measured), sep="\n")
    if json_file:
        told = {"machine": machine(), "costs": msgspec.to_builtins(measured)}
        json_file.write_text(json.dumps(told, indent=1) + "\n")


def _measure(names: list[str] | None, share: float, work: Path) -> list[Costs]:
    chosen = [case for case in CASES if not names or case.name in names]
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    measured = []
    with TemporaryDirectory(prefix="costs-", dir=work) as folder:
        for case in chosen:
            typer.echo(case.name, err=True)
            measured.append(measure_case(case.smaller(share), Path(folder)))
    return measured


def _read(path: Path) -> list[Costs]:
    return msgspec.convert(json.loads(path.read_text())["costs"], list[Costs])


if __name__ == "__main__":
    app()
