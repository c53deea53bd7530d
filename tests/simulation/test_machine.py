"""Hypothesis decides what happens in the simulated world, and shrinks a history that breaks a promise to its essence."""

import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from simulation.gates import faults_of
from simulation.listening import let_hear, listen_to_logs
from simulation.playing import Player
from simulation.shape import Shape, Wanted
from simulation.world import World
from simulation.x_transport import SERVER_FAULTS

PLACES = st.integers(0, 30)
SECONDS = st.sampled_from([0.1, 5.0, 40.0, 1000.0, 100_000.0])
FAULTS = st.sampled_from(
    sorted({*faults_of("store", "create"), *faults_of("messages", "send"), *sum(SERVER_FAULTS.values(), ())})
)


class OneFault:
    """Implements `Adversary`: the fault that was chosen strikes the first call it can, after some others."""

    def __init__(self) -> None:
        self.chosen: str | None = None
        self.skip = 0

    def fault(self, port: str, call: str) -> str | None:
        """Name the fault that strikes a call, or None."""
        possible = (
            () if port == "fate" else faults_of(port, call) + (SERVER_FAULTS.get(call, ()) if port == "x" else ())
        )
        if self.chosen not in possible:
            return None
        self.skip -= 1
        if self.skip >= 0:
            return None
        chosen, self.chosen = self.chosen, None
        return chosen


class WorldMachine(RuleBasedStateMachine):
    """The primitives of the world as rules. At the end all is let go on, and must come to rest."""

    @initialize(direct=st.booleans(), one_at_a_time=st.booleans(), x_ahead=st.sampled_from([0.0, 7200.0]))
    def begin(self, *, direct: bool, one_at_a_time: bool, x_ahead: float) -> None:
        """Make a world with one batch."""
        random.seed(0)
        self.folder = TemporaryDirectory()
        self.adversary = OneFault()
        shape = Shape(direct=direct, one_at_a_time=one_at_a_time, x_ahead=x_ahead)
        self.world = World(shape, self.adversary, Path(self.folder.name))
        let_hear(self.world)
        self.enqueue([1, 2, 3, 4], "tweets", key=None)

    @rule(
        ids=st.lists(st.integers(1, 50), min_size=1, max_size=6),
        type_=st.sampled_from(["tweets", "users"]),
        key=st.sampled_from([None, "key"]),
    )
    def enqueue(self, ids: list[int], type_: str, key: str | None) -> None:
        """Submit a batch; one key always means the same IDs."""
        wanted = Wanted((7, 8, 9), "tweets", key) if key else Wanted(tuple(ids), type_, None)
        if len(self.world.wanted) < 4:
            self.world.enqueue(wanted)

    @rule(place=PLACES)
    def deliver(self, place: int) -> None:
        """Give a message to a worker, if one is free."""
        if due := self.world.due():
            self.world.deliver(due[place % len(due)])

    @rule(place=PLACES, calls=st.integers(1, 60))
    def resume(self, place: int, calls: int) -> None:
        """Let somebody go on."""
        if ready := self.world.ready():
            self.world.resume(ready[place % len(ready)], calls)

    @rule(fault=FAULTS, skip=st.integers(0, 20))
    def choose_fault(self, fault: str, skip: int) -> None:
        """Let a fault strike one of the next calls."""
        self.adversary.chosen, self.adversary.skip = fault, skip

    @precondition(lambda self: bool(self.world.actors))
    @rule(place=PLACES)
    def crash(self, place: int) -> None:
        """Kill somebody."""
        self.world.crash(self.world.actors[place % len(self.world.actors)])

    @precondition(lambda self: bool(self.world.actors))
    @rule(place=PLACES, seconds=SECONDS)
    def freeze(self, place: int, seconds: float) -> None:
        """Let somebody stand still."""
        self.world.freeze(self.world.actors[place % len(self.world.actors)], seconds)

    @rule()
    def flush(self) -> None:
        """Lose what Redis held."""
        self.world.flush()

    @rule(seconds=SECONDS)
    def fail_over(self, seconds: float) -> None:
        """Lose what Redis learns in the next seconds."""
        self.world.later(seconds, self.world.remember())

    @precondition(lambda self: bool(self.world.messages))
    @rule(place=PLACES, copies=st.integers(0, 2))
    def change_messages(self, place: int, copies: int) -> None:
        """Lose a message, or send it again."""
        message = self.world.messages.pop(place % len(self.world.messages))
        self.world.messages += [message] * copies

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: float) -> None:
        """Let time pass; leases are renewed meanwhile."""
        self.world.pass_time(seconds)

    @rule(seconds=SECONDS)
    def fail_jobs(self, seconds: float) -> None:
        """Let every job fail that X begins in the next seconds."""
        self.world.x_fails_until = self.world.now + seconds

    @rule(seconds=SECONDS)
    def jump(self, seconds: float) -> None:
        """Let all stand still but time."""
        self.world.jump(seconds)

    @rule()
    def sweep(self) -> None:
        """Do what every worker's timer does."""
        self.world.sweep()

    @precondition(lambda self: bool(self.world.accepted))
    @rule(place=PLACES)
    def cancel(self, place: int) -> None:
        """Cancel a batch."""
        self.world.cancel(list(self.world.accepted)[place % len(self.world.accepted)])

    @invariant()
    def nothing_is_broken(self) -> None:
        """What is seen on the way is no violation."""
        assert not getattr(self, "world", None) or not self.world.violations

    def teardown(self) -> None:
        """Let all come to rest, without further faults."""
        if hasattr(self, "world"):
            self.adversary.chosen = None
            Player(self.world, random.Random(0)).play_to_rest()
            self.folder.cleanup()
            assert not self.world.violations


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Let the world hear the logs, and leave them as they were."""
    before = structlog.get_config()
    listen_to_logs(tracing=False)
    yield
    structlog.configure(**before)


def test_no_sequence_of_events_breaks_a_promise() -> None:
    """Hypothesis looks for one, and would show the shortest."""
    run_state_machine_as_test(
        WorldMachine,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
