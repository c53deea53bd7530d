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

LOST_AT = 100.0
"""When one batch has ended and another has not."""
SHAPES = (
    *(
        Shape(direct=direct, one_at_a_time=one_at_a_time, max_upload_bytes=30)
        for direct, one_at_a_time in product((False, True), repeat=2)
    ),
    Shape(max_upload_bytes=30, merge=False),
    Shape(direct=True, max_upload_bytes=30, fails_until=30.0),
    Shape(max_upload_bytes=30, loses_events_at=LOST_AT),
)
WANTED = (
    (0.0, Wanted((10**8, 10**8 + 1, 10**8 + 2), "tweets", "key")),
    (0.0, Wanted((10**8,), "tweets", None)),
    (60.0, Wanted((10**8, 10**8 + 1, 10**8 + 2), "tweets", "key")),
)
"""Two batches that share an ID and a job, and one of them has two jobs; it is asked for twice, with a key."""
SCHEDULE = 7
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
    for seconds, wanted in WANTED:
        world.later(seconds, lambda wanted=wanted: world.enqueue(wanted))  # type: ignore[misc]
    if shape.loses_events_at is not None:
        world.later(shape.loses_events_at, world.lose_events)
    Player(world, random.Random(SCHEDULE)).play_to_rest()
    return world
