"""`python -m simulation`: play histories for a given time, and say how many, which faults and how often."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from simulation.chaos import play
from simulation.every_call import SHAPES, OneStrike, play_once, strikes
from simulation.listening import listen_to_logs
from simulation.world import World

MEMORY = Path("/dev/shm")
"""For what the steps spill: where a system has it, small files cost nothing."""
SHOW_SECONDS = 5.0

console, errors = Console(), Console(stderr=True)


@dataclass
class Tally:
    """What was played so far."""

    started: float = field(default_factory=time.monotonic)
    shown: float = 0.0
    histories: int = 0
    calls: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """For how long histories have been played."""
        return time.monotonic() - self.started

    def add(self, history: object, world: World) -> None:
        """Count a history; show what was broken at once, and how far it is now and then."""
        self.histories += 1
        self.calls += world.calls
        self.faults += world.faults
        if world.violations:
            self.broken.append(str(history))
            errors.print(f"[red]{history}[/]: " + "\n  ".join(world.violations), highlight=False)
        if self.seconds - self.shown > SHOW_SECONDS:
            self.shown = self.seconds
            errors.print(f"{self.seconds:5.0f} s  {self.histories} histories, {len(self.broken)} broken")

    def report(self) -> None:
        """Say it all."""
        table = Table("fault", "times", title=f"{self.histories} histories in {self.seconds:.0f} s")
        for name, times in sorted(self.faults.items()):
            table.add_row(name, str(times))
        console.print(table)
        rate = self.histories / self.seconds * 60
        console.print(f"{rate:.0f} histories a minute, {self.calls} calls, {sum(self.faults.values())} faults")
        console.print(f"broken: {self.broken or 'none'}")


def main(
    seconds: Annotated[float, typer.Option(help="How long to play histories drawn from seeds.")] = 60,
    seed: Annotated[int, typer.Option(help="The first seed; each history takes the next.")] = 1,
    most: Annotated[int, typer.Option(help="Stop after so many broken histories.")] = 1,
    *,
    every_call: Annotated[bool, typer.Option("--every-call", help="First let every fault strike every call.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Play this one seed, and print what happens.")] = False,
) -> None:
    """Play histories of the simulated world until the time is up or a promise is broken. Exits with 1 in that case."""
    listen_to_logs(tracing=trace)
    tally = Tally()
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        histories = [_struck(Path(folder))] if every_call else []
        for name, world in chain(*histories, _drawn(seed, seconds, Path(folder), tracing=trace)):
            if trace:
                sys.stdout.write("\n".join(world.trace or []) + "\n")
            tally.add(name, world)
            if trace or len(tally.broken) >= most:
                break
    tally.report()
    raise typer.Exit(1 if tally.broken else 0)


def _struck(spool: Path) -> Iterator[tuple[str, World]]:
    """Let every fault strike every call."""
    for shape in SHAPES:
        for strike in strikes(shape, spool):
            yield f"{shape} {strike}", play_once(shape, spool, OneStrike(strike))


def _drawn(first: int, seconds: float, spool: Path, *, tracing: bool) -> Iterator[tuple[str, World]]:
    """Draw histories from seeds for a while."""
    until = time.monotonic() + seconds
    for seed in count(first):
        yield f"seed {seed}", play(seed, spool, tracing=tracing)
        if time.monotonic() > until:
            return


if __name__ == "__main__":
    typer.run(main)
