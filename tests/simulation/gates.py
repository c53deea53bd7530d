"""Stand before a port: every call goes through the world, which may let a fault strike it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from complyq_config.errors import ComplyqError
from complyq_producer.errors import EventsError, StoreUnavailableError
from complyq_workers.coordination import CoordinationError
from complyq_workers.x import AmbiguousAnswerError
from simulation.actors import Actor, CrashedError

if TYPE_CHECKING:
    from simulation.world import World

CRASHES = ("crash before", "crash after")
FREEZES = ("freeze before", "freeze after")
LOSSES = ("refused", "answer lost")
"""The call is not carried out, or it is and nobody learns of it: the port's error either way."""
REPEAT = "repeated"
"""A client library that lost the answer sends the call again; a write once done is then refused."""
READS = frozenset(
    {"read", "open", "info", "list", "url", "seconds_until_due", "is_idle", "budgets", "durations", "verify", "backlog"}
)
ERRORS: dict[str, Callable[[str], ComplyqError]] = {
    "store": StoreUnavailableError,
    "coordination": CoordinationError,
    "events": EventsError,
    "x": AmbiguousAnswerError,
}


def faults_of(port: str, call: str) -> tuple[str, ...]:
    """Name the faults that can strike a call."""
    if port == "messages":
        return (*CRASHES, "message lost", "message twice")
    if call in READS:
        return (*CRASHES, *FREEZES, "refused")
    if port == "x":
        return (*CRASHES, *FREEZES, *LOSSES)
    return (*CRASHES, *FREEZES, *LOSSES, REPEAT)


class Gate:
    """Looks like the port behind it. Not typed as one: which calls there are is the port's matter."""

    def __init__(self, world: World, port: str, inner: object) -> None:
        self._world = world
        self._port = port
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        behind = getattr(self._inner, name)
        if not callable(behind):
            return behind
        world, port = self._world, self._port

        def call(*args: Any, **kwargs: Any) -> Any:
            return world.call(port, name, lambda: behind(*args, **kwargs))

        self.__dict__[name] = call
        return call


def strike(world: World, fault: str, port: str, call: str, act: Callable[[], Any]) -> Any:
    """Let a fault strike a call of the running actor."""
    world.struck = None
    if fault in CRASHES:
        return _crash_around(world, fault, act)
    if fault in FREEZES:
        return _freeze_around(world, fault, act, knows=(port, call) != ("x", "list"))
    if fault == "refused":
        raise ERRORS[port](f"{port} refuses")
    if fault == "answer lost":
        act()
        raise ERRORS[port](f"the answer of {port} was lost")
    if fault == "message lost":
        return None
    if fault in {REPEAT, "message twice"}:
        act()
        return act()
    world.struck = fault
    return act()


def _crash_around(world: World, fault: str, act: Callable[[], Any]) -> NoReturn:
    if fault == "crash after":
        act()
    _running(world).alive = False
    raise CrashedError


def _freeze_around(world: World, fault: str, act: Callable[[], Any], *, knows: bool) -> Any:
    actor = _running(world)
    answer, disturbed = act() if fault == "freeze after" else None, actor.disturbed
    world.freeze(actor, random.choice([5, 45, 400, 2000, 100_000]))
    if not knows:  # with X's list in hand a step makes sure of its lease before it believes the list
        actor.disturbed = disturbed
    world.give_way(actor)
    return answer if fault == "freeze after" else act()


def _running(world: World) -> Actor:
    assert world.running is not None
    return world.running
