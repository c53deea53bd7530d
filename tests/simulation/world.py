"""The simulated world: what workers share, the workers, and time. Who calls it decides what happens next.

Its primitives are what a history is made of: start a message, let an actor go on, let a fault strike the next call,
freeze, lose, flush, let time pass. `chaos.py` draws them from a seed, and a Hypothesis state machine chooses them too.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

from greenlet import getcurrent

from complyq_config.errors import ComplyqError
from complyq_producer import Producer, task_names
from complyq_producer.errors import InvalidArgumentError, KeyConflictError
from complyq_producer.layout import BatchKeys, queue_life
from complyq_producer.model import ComplianceType
from complyq_producer.store import MemoryStore, ObjectStore
from complyq_workers.coordination import MemoryCoordination
from complyq_workers.events import MemoryPublisher
from complyq_workers.pipeline import Hint, Pipeline, StepLease
from simulation.actors import Actor, CrashedError, make_actor
from simulation.equipment import SWEEP_SECONDS, NothingLive, WorldClock, ports_of
from simulation.gates import ERRORS, Gate, strike
from simulation.shape import EPOCH, PART_BYTES, Adversary, Shape, Wanted
from simulation.x_server import DOWNLOAD_SECONDS, RemoteJob, XServer

DAY_SECONDS = 86_400.0
CALL_SECONDS = 0.01
LONGEST_SWEEP_SECONDS = 6 * 3600.0
REDELIVERED = 0.5
"""How likely it is that the message of a step that died comes again."""
VISIBILITY_SECONDS = 1800.0
BUSY = 4
"""Steps that may run at once."""
X_OUTAGE, POISON = "job in outage", "poisoned job"


@dataclass(eq=False)
class World:
    """Everything there is, apart from who decides what happens."""

    shape: Shape
    adversary: Adversary
    spool: Path
    now: float = 0.0
    running: Actor | None = None
    struck: str | None = None
    actors: list[Actor] = field(default_factory=list)
    messages: list[tuple[float, Hint]] = field(default_factory=list)
    timers: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    down: dict[str, float] = field(default_factory=dict)
    x_fails_until: float = 0.0
    """Until then every job that X begins fails."""
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    lost: list[tuple[str, bytes]] = field(default_factory=list)
    """The events that the results queue held when it lost them."""
    wanted: list[Wanted] = field(default_factory=list)
    accepted: dict[str, Wanted] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    trace: list[str] | None = None
    sweep_at: float = 0.0
    sweep_pause: float = SWEEP_SECONDS
    changed_at: float = 0.0
    calls: int = 0

    def __post_init__(self) -> None:
        self._hub = getcurrent()
        ahead = timedelta(seconds=self.shape.store_ahead)
        self.store = MemoryStore(lambda: EPOCH + ahead + timedelta(seconds=self.now))
        self.coordination = MemoryCoordination(lambda: self.now)
        self.events = MemoryPublisher(lambda: self.now)
        self.x = XServer(
            lambda: self.now, direct=self.shape.direct, one_at_a_time=self.shape.one_at_a_time, fate=self._fate
        )
        self.x.epoch = EPOCH.timestamp() + self.shape.x_ahead
        self.x.fails = self._fails
        self.x_fails_until = self.shape.fails_until
        self._pipeline = Pipeline(ports_of(self))
        self._producer = self.producer(cast("ObjectStore", Gate(self, "store", self.store)))
        self._sent = Gate(self, "messages", self)

    # What happens

    def enqueue(self, wanted: Wanted, skew: float = 0.0) -> None:
        """Have a producer submit a batch."""
        self.wanted.append(wanted)
        self._start(f"enqueue {wanted.type} {wanted.key}", skew, lambda: self._enqueue(wanted))

    def cancel(self, batch_id: str, skew: float = 0.0) -> None:
        """Have a producer cancel a batch."""
        self.cancelled.add(batch_id)
        self._start(f"cancel {batch_id}", skew, lambda: self._try(lambda: self._producer.cancel(batch_id)))

    def release(self) -> None:
        """Have an operator release what is parked."""
        for work in self.producer(self.store).parked():
            self._say(f"{work.batch_id} is released")
            self._start(
                f"release {work.batch_id}", 0.0, partial(self._try, partial(self._producer.release, work.batch_id))
            )

    def deliver(self, place: int, skew: float = 0.0) -> None:
        """Give a message to a worker."""
        _, hint = self.messages.pop(place)
        self._start(hint.step, skew, lambda: self._work(hint))

    def resume(self, actor: Actor, calls: int) -> None:
        """Let an actor go on for some calls to the outside."""
        actor.calls_left, actor.frozen, actor.wakes_at = calls, False, 0.0
        self._say(f"{actor.name} runs")
        self.running = actor
        try:
            actor.runs.switch()
        finally:
            self.running = None
        if actor.ended:
            self.actors.remove(actor)

    def freeze(self, actor: Actor, seconds: float) -> None:
        """Have an actor stand still, together with whatever would renew its lease."""
        actor.frozen, actor.disturbed, actor.wakes_at = True, True, self.now + seconds

    def crash(self, actor: Actor) -> None:
        """End an actor, wherever it is; its message may come again."""
        self._say(f"{actor.name} crashes")
        actor.alive = False
        self.running = actor  # while its frames unwind it is known by this, and may touch nothing
        try:
            if actor.runs:
                actor.runs.throw(CrashedError)
        finally:
            self.running = None
        self.actors.remove(actor)

    def flush(self) -> None:
        """Lose all that Redis held, but for the events."""
        self._say("Redis is empty")
        self.coordination.flush()
        self._disturb_all()

    def lose_events(self) -> bool:
        """Lose the results queue, once a sweep has seen it; who had listened has all that it held."""
        if self.unnoticed_loss():
            return False
        self._say("the results queue is empty")
        self.lost += self.events.events
        self.events.flush()
        self._disturb_all()
        return True

    def unnoticed_loss(self) -> bool:
        """Whether no worker has seen the results queue as it is now, since it lost what it held or ever."""
        return self.store.info(queue_life(self.events.life())) is None

    def remember(self) -> Callable[[], None]:
        """Return how to fail over to a Redis that knows what is known now, and nothing later."""
        kept = {name: copy.deepcopy(held) for name, held in vars(self.coordination).items() if isinstance(held, dict)}

        def fail_over() -> None:
            self._say("Redis fails over")
            vars(self.coordination).update(copy.deepcopy(kept))
            self._disturb_all()

        return fail_over

    def meddle(self, type_: ComplianceType) -> None:
        """Have somebody else create a job; who has X's list in hand cannot know of it."""
        self.x.create(type_, "theirs")
        self._disturb_all()

    def pass_time(self, seconds: float) -> None:
        """Let time pass; whoever is not frozen renews its lease meanwhile."""
        until = self.now + seconds
        while (instant := self._next_instant()) <= until:
            self.now = max(self.now, instant)
            self._come_due()
        self.now = until

    def jump(self, seconds: float) -> None:
        """Let everything but time stand still for a while: leases, windows and clocks. X forgets results after a week."""
        self._say(f"{seconds:.0f} s are gone")
        self.now += seconds
        if seconds > DAY_SECONDS:
            self.faults["job expires"] += 1
        self._disturb_all()
        self._come_due()

    def end(self) -> None:
        """Crash whatever still stands still."""
        for actor in list(self.actors):
            self.crash(actor)

    def next_event(self) -> float | None:
        """Return when something will happen by itself, if nothing can happen now."""
        instants = [actor.wakes_at for actor in self.actors] + [due for due, _ in self.messages]
        instants += [due for due, _ in self.timers] + [self.sweep_at]
        return min((instant for instant in instants if instant > self.now), default=None)

    def ready(self) -> list[Actor]:
        """List the actors that could go on now."""
        return [actor for actor in self.actors if actor.wakes_at <= self.now]

    def due(self) -> list[int]:
        """List the places of the messages that could be delivered now, if a worker is free."""
        if len(self.actors) >= BUSY:
            return []
        return [place for place, (due, _) in enumerate(self.messages) if due <= self.now]

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Have something happen after a while."""
        self.timers.append((self.now + seconds, act))

    def sweep(self) -> None:
        """Do what the timer of every worker does, less and less often while nothing changes."""
        if not any(hint.task == task_names.SWEEP for _, hint in self.messages):
            self.messages.append((self.now, Hint(task_names.SWEEP)))
        self.sweep_pause = min(self.sweep_pause * 1.5, LONGEST_SWEEP_SECONDS)
        self.sweep_at = self.now + self.sweep_pause

    # What the ports ask

    def call(self, port: str, name: str, act: Callable[[], Any]) -> Any:
        """Carry out a call of the running actor to a port, unless a fault strikes it."""
        actor = self.running
        if actor is None:  # a lease is renewed, or somebody looks at the end
            self._refuse_if_down(port)
            return act()
        self._enter(actor)
        self._refuse_if_down(port)
        fault = self.adversary.fault(port, name)
        if fault is None:
            self.struck = None
            return act()
        self.faults[fault] += 1
        self._say(f"{actor.name}: {fault}: {port}.{name}")
        return strike(self, fault, port, name, act)

    def pause(self, seconds: float) -> None:
        """Let the running actor wait, and others run."""
        actor = self.running
        if actor is None:
            self.pass_time(seconds)
            return
        actor.wakes_at = self.now + seconds
        self.give_way(actor)

    def give_way(self, actor: Actor) -> None:
        """Go back to whoever decides, until somebody lets the actor go on."""
        self.running = None
        self._hub.switch()
        if not actor.alive:
            raise CrashedError
        self.running = actor

    def send(self, hint: Hint, seconds: float = 0.0) -> None:
        """Put a message into the queue."""
        self.messages.append((self.now + seconds, hint))

    def poke(self, task: str, *args: str | int) -> None:
        """Put a producer's hint into the queue."""
        self._sent.send(Hint(task, args))

    @contextmanager
    def keep_lease(self, lease: StepLease) -> Iterator[None]:
        """Renew a lease as time passes."""
        actor = self.running
        assert actor is not None
        actor.lease, actor.renews_at = lease, self.now + lease.renewal_seconds
        try:
            yield
        finally:
            actor.lease = None

    # What is seen

    def disturb(self) -> None:
        """Note that the running actor cannot know all that it should."""
        if self.running:
            self.running.disturbed = True

    def witness_created(self, job: RemoteJob, *, excused: bool = False) -> None:
        """Look at a remote job that has just been created: by the running actor, or too late by one that gave up."""
        job.excused = excused or (self.running is not None and self.running.disturbed)
        others = [other for other in self.x.active(job.type) if other is not job and not other.excused]
        if others and not job.excused:
            self.violated(f"{job.name} and {others[0].name} are active at once")
        listed = [other for other in self.x.jobs.values() if self.now < other.created_at + DOWNLOAD_SECONDS]
        again = [other for other in listed if other is not job and other.name == job.name]
        if again and not job.excused and not any(other.excused for other in again):
            self.violated(f"{job.name} was created again")

    def violated(self, what: str) -> None:
        """Note that a promise was broken."""
        self._say(f"VIOLATION {what}")
        self.violations.append(what)

    def producer(self, store: ObjectStore) -> Producer:
        """Make a producer."""
        now = WorldClock(self).now
        return Producer(
            store=store, poke=self, live=NothingLive(), spool_dir=self.spool, part_bytes=PART_BYTES, now=now
        )

    # Inside

    def _start(self, name: str, skew: float, act: Callable[[], None]) -> None:
        self.actors.append(make_actor(name, skew, act, self._hub))

    def _work(self, hint: Hint) -> None:
        """Do what a Celery task does."""
        before = len(self.store._objects)
        try:
            outcome = self._pipeline.run(hint)
            for following in outcome.hints:
                self._sent.send(following)
            for following, seconds in outcome.later:
                self._sent.send(following, seconds)
            if outcome.again_in is not None:
                self._sent.send(hint, outcome.again_in)
        except CrashedError:
            if random.random() < REDELIVERED:
                self.send(hint, random.uniform(0, VISIBILITY_SECONDS))
            raise
        if len(self.store._objects) != before:
            self.sweep_pause, self.changed_at = SWEEP_SECONDS, self.now

    def _enqueue(self, wanted: Wanted) -> None:
        def enqueue() -> None:
            batch = self._producer.enqueue(wanted.ids, wanted.type, key=wanted.key)
            self.accepted[batch.id] = wanted
            if self.store.info(BatchKeys(batch.id).record) is None:
                self.violated(f"batch {batch.id} was promised before it was accepted")
            if wanted.key and self.owners.setdefault(wanted.key, batch.id) != batch.id:
                self.violated(f"key {wanted.key} belongs to two batches")

        self._try(enqueue)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (KeyConflictError, InvalidArgumentError):
            raise
        except ComplyqError as error:
            self._say(f"given up: {error}")

    def _fate(self) -> tuple[float, str]:
        fault = self.adversary.fault("fate", "")
        if fault is None:
            return random.uniform(1, 600), "complete"
        self.faults[fault] += 1
        return {"job fails": (5.0, "failed"), "job expires": (5.0, "expired"), "job stuck": (1e9, "complete")}[fault]

    def _fails(self, job: RemoteJob) -> bool:
        fault = POISON if self.shape.poison & job.ids else X_OUTAGE if self.now < self.x_fails_until else None
        if fault:
            self.faults[fault] += 1
            self._say(f"{fault}: {job.name}")
        return fault is not None

    def _enter(self, actor: Actor) -> None:
        self.calls += 1
        if not actor.alive:
            raise CrashedError
        self.now += CALL_SECONDS
        self._come_due()
        actor.calls_left -= 1
        if actor.calls_left <= 0:
            self.give_way(actor)

    def _refuse_if_down(self, port: str) -> None:
        if self.down.get(port, 0.0) > self.now:
            raise ERRORS[port](f"{port} is down")

    def _next_instant(self) -> float:
        renewals = [actor.renews_at for actor in self.actors if actor.lease and not actor.frozen]
        return min([*renewals, *(due for due, _ in self.timers)], default=float("inf"))

    def _come_due(self) -> None:
        for actor in self.actors:
            if actor.lease and not actor.frozen and actor.renews_at <= self.now:
                actor.renews_at = self.now + actor.lease.renewal_seconds
                self._renew(actor)
        for timer in [timer for timer in self.timers if timer[0] <= self.now]:
            self.timers.remove(timer)
            timer[1]()

    def _renew(self, actor: Actor) -> None:
        running, self.running = self.running, None
        try:
            if actor.lease:
                actor.lease.renew()
        finally:
            self.running = running

    def _disturb_all(self) -> None:
        for actor in self.actors:
            actor.disturbed = True

    def _say(self, what: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.now:12.2f} {what}")
