"""One small history, again and again: each fault strikes each call to the outside once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from simulation.gates import faults_of
from simulation.listening import let_hear
from simulation.playing import Player
from simulation.shape import Shape, Wanted
from simulation.world import World
from simulation.x_transport import SERVER_FAULTS

SHAPES = tuple(
    Shape(direct=direct, one_at_a_time=one_at_a_time, max_upload_bytes=42)
    for direct, one_at_a_time in product((False, True), repeat=2)
)
WANTED = (Wanted((100, 200, 300, 400, 500), "tweets", "key"), Wanted((100, 600), "tweets", None))
"""Two batches, one of them of two jobs."""
SCHEDULE = 4
"""Seeds who runs when."""


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault at the call of this number."""

    number: int
    port: str
    call: str
    fault: str


@dataclass
class OneStrike:
    """Implements `Adversary`: strikes once, and remembers which calls there were."""

    strike: Strike | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)

    def fault(self, port: str, call: str) -> str | None:
        """Name the fault that strikes a call, or None."""
        if port == "fate":
            return None
        self.calls.append((port, call))
        return self.strike.fault if self.strike and len(self.calls) == self.strike.number else None


def strikes(shape: Shape, spool: Path) -> Iterator[Strike]:
    """Name all faults that can strike a call of the history."""
    adversary = OneStrike()
    play_once(shape, spool, adversary)
    for number, (port, call) in enumerate(adversary.calls, start=1):
        for fault in dict.fromkeys(faults_of(port, call) + (SERVER_FAULTS.get(call, ()) if port == "x" else ())):
            yield Strike(number, port, call, fault)


def play_once(shape: Shape, spool: Path, adversary: OneStrike) -> World:
    """Play the history with its one fault, and return the world as it was left."""
    random.seed(SCHEDULE)
    world = World(replace(shape), adversary, spool)
    let_hear(world)
    for seconds, wanted in enumerate((*WANTED, WANTED[0])):  # the first one twice: with a key that is one batch
        world.later(seconds * 60.0, lambda wanted=wanted: world.enqueue(wanted))  # type: ignore[misc]
    Player(world, random.Random(SCHEDULE)).play_to_rest()
    return world
