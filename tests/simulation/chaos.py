"""Draws a history from a seed: what is asked for, who runs when, and which faults strike."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from complyq_producer.model import ComplianceType
from simulation.actors import Actor
from simulation.gates import READS, faults_of
from simulation.listening import let_hear
from simulation.playing import Player, skew
from simulation.shape import Shape, Wanted
from simulation.world import World
from simulation.x_transport import SERVER_FAULTS

QUIET_CALLS = 60
"""Calls between two faults, on average, in the middle of a history."""
WORLD_FAULTS = (
    "freeze",
    "crash",
    "flush",
    "failover",
    "jump",
    "outage",
    "lose message",
    "repeat message",
    "forget events",
    "lose events",
    "foreign job",
    "x outage",
)
JUMPS = (40, 120, 1000, 4000, 100_000, 9 * 86_400)
ANY, WRITES = "any", "writes"
SHARE_OF_CALLS = {ANY: 1.0, WRITES: 0.2, "store": 0.6, "coordination": 0.3, "x": 0.05, "events": 0.02, "messages": 0.05}
"""About how large a part of all calls a target is: rare calls are struck as often as others."""
TARGETS = (*SHARE_OF_CALLS, WRITES, "x")
TURNS_STRUCK = 0.03
"""The share of turns before which something happens that is no call's fault."""
FATES = ("job fails", "job expires", "job stuck")
IDS = range(10**8, 10**8 + 40)


@dataclass
class Chaos:
    """Implements `Adversary`: strikes at random, for as long as it has faults left."""

    rng: random.Random
    left: int
    gap: float = QUIET_CALLS
    countdown: int = 0
    target: str = ANY
    """Which calls are counted."""

    def __post_init__(self) -> None:
        self._draw()

    def fault(self, port: str, call: str) -> str | None:
        """Name the fault that strikes a call, or None."""
        if port == "fate":
            return self.rng.choice(FATES) if self.left and self.rng.random() < 0.1 else None
        is_counted = self.target in {ANY, port} or (self.target == WRITES and call not in READS and port != "x")
        if not self.left or not is_counted:
            return None
        self.countdown -= 1
        if self.countdown > 0:
            return None
        self._draw()
        return self._choose(port, call)

    def _choose(self, port: str, call: str) -> str | None:
        possible = faults_of(port, call) + (SERVER_FAULTS.get(call, ()) * 2 if port == "x" else ())
        self.left -= 1
        return self.rng.choice(possible)

    def _draw(self) -> None:
        self.target = self.rng.choice(TARGETS)
        self.countdown = 1 + int(self.rng.expovariate(1 / self.gap) * SHARE_OF_CALLS[self.target])


def play(seed: int, spool: Path, *, tracing: bool = False) -> World:
    """Play one history, and return the world as it was left, with what was broken."""
    history = History(seed, spool, tracing=tracing)
    let_hear(history.world)
    return history.run()


@dataclass
class History:
    """One history of one world: some batches, perhaps a cancel, and faults, until all faults are used up and all is done."""

    seed: int
    spool: Path
    tracing: bool = False
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.rng = rng = random.Random(self.seed)
        random.seed(self.seed)  # the jitter of the code under test
        self.chaos = Chaos(rng, left=rng.choice([0, 1, 2, 4, 8, 16, 30]), gap=rng.choice([3, 10, 40, 150]))
        self.world = World(_shape(rng), self.chaos, self.spool, trace=[] if self.tracing else None)
        self.world_faults = rng.choice([0, 0, 1, 2, 4, 8])
        self._cancels = rng.choice([0, 0, 0, 1])

    def run(self) -> World:
        """Play it to the end, and look whether the promises were kept."""
        for number in range(self.rng.choice([1, 1, 2, 3, 6])):
            self.world.later(self.rng.choice([0, 0, 1, 30, 300]), lambda n=number: self._submit(n))  # type: ignore[misc]
        Player(self.world, self.rng, self._before_turn).play_to_rest()
        return self.world

    def _before_turn(self) -> None:
        if self.world_faults and self.rng.random() < TURNS_STRUCK:
            self.world_faults -= 1
            self._strike_world()

    def _submit(self, number: int) -> None:
        """Enqueue a batch; with a key perhaps twice, for a caller that was not sure."""
        rng, world = self.rng, self.world
        key = rng.choice([None, f"key{number}"])
        ids = tuple(rng.sample(IDS, rng.randint(1, 6)))
        wanted = Wanted(ids, rng.choice(["tweets", "tweets", "users"]), key)
        world.enqueue(wanted, skew(rng))
        if key and rng.random() < 0.6:
            world.later(rng.choice([0, 0.01, 100]), lambda: world.enqueue(wanted, skew(rng)))
        if self._cancels:
            self._cancels -= 1
            world.later(rng.choice([1, 20, 100, 500]), self._cancel)

    def _cancel(self) -> None:
        if self.world.accepted:
            self.world.cancel(self.rng.choice(list(self.world.accepted)))

    def _strike_world(self) -> None:
        world, rng = self.world, self.rng
        fault = rng.choice(WORLD_FAULTS)
        struck = self._strike_one(fault, rng.choice(world.actors)) if world.actors else False
        if not struck and not self._strike_all(fault):
            return
        world.faults[fault] += 1

    def _strike_one(self, fault: str, actor: Actor) -> bool:
        if fault == "freeze":
            self.world.freeze(actor, self.rng.choice([5, 45, 400, 2000, 100_000]))
        elif fault == "crash":
            self.world.crash(actor)
        else:
            return False
        return True

    def _strike_all(self, fault: str) -> bool:
        world, rng = self.world, self.rng
        match fault:
            case "flush":
                world.flush()
            case "failover":
                world.later(rng.choice([0.1, 5, 60]), world.remember())
            case "jump":
                world.jump(rng.choice(JUMPS))
            case "outage":
                world.down[rng.choice(["store", "coordination", "events"])] = world.now + rng.choice([1, 20, 600])
            case "x outage":
                world.x_fails_until = world.now + rng.choice([100, 1000, 20_000])
            case "foreign job":
                world.meddle(rng.choice(list(ComplianceType)))
            case "lose message" if world.messages:
                world.messages.pop(rng.randrange(len(world.messages)))
            case "repeat message" if world.messages:
                world.messages.append(rng.choice(world.messages))
            case "forget events":
                world.events._published.clear()
            case _:
                return fault == "lose events" and world.lose_events()
        return True


def _shape(rng: random.Random) -> Shape:
    return Shape(
        direct=rng.random() < 0.5,
        one_at_a_time=rng.random() < 0.7,
        x_ahead=rng.choice([0.0, 0.0, 5.0, -7200.0, 7200.0]),
        store_ahead=rng.choice([0.0, 0.0, -300.0, 300.0]),
        max_upload_bytes=rng.choice([42, 1000, 1000]),
        merge=rng.random() < 0.8,
        poison=frozenset(rng.sample(IDS, rng.choice([0, 0, 0, 1, 2]))),
    )
