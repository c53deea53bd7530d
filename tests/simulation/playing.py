"""Plays a world on: lets somebody run, gives a message to a worker, or lets time pass, until all is done."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from complyq_producer.ledger import JobPhase, Ledger
from complyq_producer.model import ComplianceType
from simulation.promises import check_promises
from simulation.world import World

MOST_TURNS = 20_000
LONGEST_SECONDS = 60 * 86_400.0
"""A world that has not come to rest by then never will."""
LOOK_TURNS = 8
HOPELESS_FAILURES, HOPELESS_SECONDS = 10, 4 * 3600.0
"""After so many jobs that failed in a row time passes in such steps: batches are spared for a week."""
DULL_SECONDS = 3600.0
"""Without a change for so long, time passes in steps of it: nothing but polls and sweeps would be seen."""


def skew(rng: random.Random) -> float:
    """Draw by how many seconds a machine's clock is wrong."""
    return rng.choice([0.0, 0.0, 0.0, 1.0, -3600.0, 3600.0])


@dataclass
class Player:
    """Decides at random who runs when; `before_turn` may do harm."""

    world: World
    rng: random.Random
    before_turn: Callable[[], None] = lambda: None

    def play_to_rest(self) -> None:
        """Play until all batches have ended and all jobs are closed; then look whether the promises were kept."""
        turns = 0
        while not self.world.violations and (turns % LOOK_TURNS or self._goes_on()):
            self.before_turn()
            self._turn()
            turns += 1
            if turns > MOST_TURNS or self.world.now > LONGEST_SECONDS:
                self.world.violated(f"not at rest after {turns} turns and {self.world.now / 86_400:.1f} days")
        self.world.end()
        if not self.world.violations:
            check_promises(self.world)

    def _goes_on(self) -> bool:
        world = self.world
        if world.timers or any(not actor.name.startswith("sweep") for actor in world.actors):
            return True
        if any(True for _ in world.store.list("open/replays/")) or (world.lost and world.unnoticed_loss()):
            return True
        return any(True for _ in world.store.list("open/batches/")) or any(map(self._has_open_job, ComplianceType))

    def _has_open_job(self, type_: ComplianceType) -> bool:
        jobs = Ledger(self.world.store).marked_jobs(type_)
        return len(jobs) > 1 or any(job.plan and job.phase not in {JobPhase.CLOSED, JobPhase.SPLIT} for job in jobs)

    def _turn(self) -> None:
        world, rng = self.world, self.rng
        ready, due = world.ready(), world.due()
        if ready and (not due or rng.random() < 0.7):
            world.resume(rng.choice(ready), 1 + int(rng.expovariate(1 / 12)))
        elif due:
            world.deliver(rng.choice(due), skew(rng))
        else:
            self._wait()

    def _wait(self) -> None:
        """Nothing can happen now: let time pass until something does, and longer where nothing has changed for hours."""
        world = self.world
        if world.now >= world.sweep_at:
            world.sweep()
            return
        following = world.next_event() or world.sweep_at
        if world.now - world.changed_at > DULL_SECONDS:
            following += DULL_SECONDS
            world.release()
        elif world.x.failed_in_row > HOPELESS_FAILURES and all(actor.frozen for actor in world.actors):
            following += HOPELESS_SECONDS
        world.pass_time(max(0.0, following - world.now))
