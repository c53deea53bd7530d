"""Steps that take their process with them every time, and time that passes meanwhile."""

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from complyq_producer import task_names
from complyq_producer.store import ObjectStore
from complyq_workers.clock import SystemClock
from complyq_workers.coordination import Coordination
from complyq_workers.events import EventPublisher
from complyq_workers.pipeline import Hint
from complyq_workers.pipeline.step import MAX_STARTS
from complyq_workers.x.transport import Transport
from support.simulator_process import Simulator
from support.world import POSTS, World, has_job_fact

CRASHING_JOB_STEPS = (task_names.CREATE_JOB, task_names.UPLOAD_JOB, task_names.POLL_JOB, task_names.COLLECT_JOB)
FACT_BEFORE = dict(zip(CRASHING_JOB_STEPS, ("plan", "created", "uploaded", "finished"), strict=True))
"""The fact after which a step is next."""


def crash(world: World, task: str, *args: str | int, times: int = MAX_STARTS) -> None:
    """Begin a step as workers do that die of it: nobody gives the lease back."""
    for number in range(times):
        assert world.workers.coordination.take_step(Hint(task, args).step, f"dead {number}", 0.001)
        time.sleep(0.002)


def crash_job(world: World, task: str, plan: int = 1) -> None:
    """Have a step of a job of Posts crash as often as it may, and give the hint that a sweep would give."""
    crash(world, task, "tweets", plan)
    world.workers.poke(task, "tweets", plan)


def park(world: World, task: str, posts: list[int] | None = None) -> str:
    """Run a batch up to a step, have that crash, and wait until the job is off its slot."""
    batch = world.producer.enqueue(posts or POSTS, "tweets", labels={"tenant": "a"})
    world.workers.run_until(lambda: has_job_fact(world, FACT_BEFORE[task]))
    crash_job(world, task)
    return batch.id


def end_at_x(world: World, simulator: Simulator) -> None:
    """Run until X shows the job final; where it cannot be cancelled, its upload window lapses."""
    world.workers.run_until(lambda: has_job_fact(world, "parked"))
    world.workers.lose_messages()
    for _ in range(6):
        world.workers.run_one()
    simulator.advance_clock(16 * 60)
    world.workers.run_until(lambda: has_job_fact(world, "finished"))
    world.workers.run_all()


class LaterClock(SystemClock):
    """A clock that goes ahead of the time."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        """Return the time of day in UTC, as this clock has it."""
        return super().now() + self._ahead


def let_hours_pass(world: World, hours: float) -> None:
    """Move the workers' clock."""
    clock = LaterClock(timedelta(hours=hours))
    world.workers.pipeline.ports = replace(world.workers.ports, clock=clock)


class DiedError(BaseException):
    """The process is gone."""


class Mortal:
    """Workers that may die in the middle of a call: then nothing of what they would do on their way out is done."""

    def __init__(self, world: World, dies_before: Callable[..., bool], dies_after: Callable[..., bool]) -> None:
        self.deaths = 0
        self._workers = world.workers
        self._is_dead = False
        self._dies = (dies_before, dies_after)
        self._ports = ports = self._workers.ports
        self._workers.pipeline.ports = replace(
            ports,
            store=cast("ObjectStore", _Watched(ports.store, self._call)),
            transport=cast("Transport", _Watched(ports.transport, self._call)),
            events=cast("EventPublisher", _Watched(ports.events, self._call)),
            coordination=cast("Coordination", _Watched(ports.coordination, self._call)),
            limits=replace(ports.limits, lease_seconds=0.05),
            keep_lease=lambda _: nullcontext(),  # there is nobody else who would take it
        )

    def run_until(self, reached: Callable[[], bool]) -> None:
        """Run steps until something is true; who dies leaves its lease to run out."""
        while not reached():
            with suppress(DiedError):
                self._workers.run_one()
            self._is_dead = False

    def recover(self) -> None:
        """Nobody dies any more, and leases last as long as they should."""
        self._workers.pipeline.ports = self._ports

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        before, after = self._dies
        if self._is_dead or before(name, *args):
            self._die()
        result = method(*args, **kwargs)
        if after(name, *args):
            self._die()
        return result

    def _die(self) -> None:
        self.deaths += not self._is_dead
        self._is_dead = True
        raise DiedError


class _Watched:
    """A port whose calls may be deadly."""

    def __init__(self, port: object, call: Callable[..., Any]) -> None:
        self._port = port
        self._call = call

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """Pass for what it watches."""
        return type(self._port)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        return partial(self._call, name, attribute) if callable(attribute) else attribute


def never(_name: str, *_arguments: object) -> bool:
    """Harm nobody."""
    return False


class Once:
    """Dies of a call once for each thing that it is about, which one of its arguments names."""

    def __init__(self, name: str, argument: int) -> None:
        self._name = name
        self._argument = argument
        self._seen: set[object] = set()

    def __call__(self, name: str, *arguments: object) -> bool:
        """Whether somebody dies of this call."""
        if name != self._name or arguments[self._argument] in self._seen:
            return False
        self._seen.add(arguments[self._argument])
        return True
