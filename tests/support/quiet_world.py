"""A world in this process with one worker, whose X, storage, store, Redis and time a test has in its hands.

The parts are those of the simulated world; here nothing happens by chance, and no time passes but the world's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from complyq_producer import Batch, Producer, task_names
from complyq_producer.facts import Attempt, Uploaded
from complyq_producer.ledger import BatchView, JobView
from complyq_producer.model import BatchId, ComplianceType
from complyq_producer.poke import Poke
from complyq_producer.store import ObjectStore
from complyq_workers.pipeline import Hint, Outcome, Pipeline, Ports, Remote
from complyq_workers.x import StaticBearer, Transport, XClient
from complyq_workers.x.messages import Reply, Request
from simulation.equipment import NothingLive
from simulation.shape import Shape
from simulation.world import World
from simulation.x_server import API, SECRET, RemoteJob, operation_of
from simulation.x_transport import SimulatedStream, SimulatedTransport
from support.event_contract import keep_contract

TWEETS = ComplianceType.TWEETS
IDS = range(10**8 + 5, 10**8 + 11)
"""Half of them are flagged."""
MOST_STEPS = 400


class NoFaults:
    """Implements `Adversary`: nothing strikes."""

    def fault(self, port: str, call: str) -> str | None:
        """Name none."""
        return None


class Meddling(SimulatedTransport):
    """The way to X, on which a test may answer in X's place, or see what is asked."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.seen: list[Request] = []
        self.seconds = 0.0
        """How long a request takes."""
        self._answers: dict[str, list[Callable[[Request], Any]]] = {}

    @property
    def asked(self) -> list[str]:
        """The operations that were asked for, in order."""
        return [operation_of(request) for request in self.seen]

    def meddle(self, operation: str, answer: Callable[[Request], Any] | Reply, times: int = 1) -> None:
        """Give the next answers to an operation; a function may look, raise, or have X answer."""
        given = (lambda _: answer) if isinstance(answer, Reply) else answer
        self._answers.setdefault(operation, []).extend([given] * times)

    def send(self, request: Request, *, limit: int = 0) -> Reply:
        """Send a request, or answer it here."""
        found, answer = self._meddled(request)
        return answer if found else super().send(request, limit=limit)

    def stream(self, request: Request) -> Any:
        """Send a request for results, or answer it here, with a reply or with a stream."""
        found, answer = self._meddled(request)
        if not found:
            return super().stream(request)
        return nullcontext(SimulatedStream(answer, cut=False) if isinstance(answer, Reply) else answer)

    def _meddled(self, request: Request) -> tuple[bool, Any]:
        self.origins.require(request.url)
        self.seen.append(request)
        self._world.pass_time(self.seconds)
        waiting = self._answers.get(operation_of(request))
        return (True, waiting.pop(0)(request)) if waiting else (False, None)


class DiedError(BaseException):
    """The process is gone."""


class Interrupted:
    """A port of a process to which something happens at one of its changes: the first that `when` chooses."""

    def __init__(self, port: object, when: Callable[..., bool], act: Callable[[], object]) -> None:
        self._port = port
        self._when = when
        self._act: Callable[[], object] | None = act

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._act is not None and self._when(name, *args):
                act, self._act = self._act, None
                act()
            return attribute(*args, **kwargs)

        return call


class Mortal:
    """Dies before the n-th change of what it touches, and stays dead."""

    def __init__(self, changes: int) -> None:
        self.left = changes

    def port(self, port: object, *calls: str) -> Any:
        """Return a port whose calls of these names are changes."""
        return _Mortal(self, port, calls)


class _Mortal:
    def __init__(self, mortal: Mortal, port: object, calls: tuple[str, ...]) -> None:
        self._mortal = mortal
        self._port = port
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        return partial(self._change, method) if name in self._calls else method

    def _change(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._mortal.left -= 1
        if self._mortal.left <= 0:
            raise DiedError
        return method(*args, **kwargs)


def die() -> None:
    """End the process here."""
    raise DiedError


class QuietWorld:
    """A producer, a worker, and what they work with."""

    def __init__(self, spool: Path, **shape: Any) -> None:
        self.world = world = World(Shape(**{"max_upload_bytes": 1000, **shape}), NoFaults(), spool)
        self.x, self.store, self.transport = world.x, world.store, Meddling(world)
        transport = cast("Transport", self.transport)
        ports = world._pipeline.ports
        self.ports: Ports = replace(
            ports,
            store=world.store,
            coordination=world.coordination,
            events=world.events,
            transport=transport,
            remote=Remote(XClient(API, transport, StaticBearer(f"{SECRET}-bearer")), world.coordination, ports.clock),
            limits=replace(ports.limits, lease_seconds=1e6),
            keep_lease=lambda _: nullcontext(),
        )
        self.producer = self.producer_with(world.store)
        self.x.fate = lambda: (60.0, "complete")

    def producer_with(self, store: object, poke: Poke | None = None) -> Producer:
        """Make a producer, as another process has."""
        return Producer(
            store=cast("ObjectStore", store),
            poke=poke or self.world,
            live=NothingLive(),
            spool_dir=self.world.spool,
            now=self.ports.clock.now,
        )

    def enqueue(self, ids: Any = IDS, type_: str = "tweets", **options: Any) -> Batch:
        """Submit a batch."""
        return self.producer.enqueue(ids, type_, **options)

    def run(self, task: str, *args: str | int, ports: Ports | None = None) -> Outcome:
        """Run a step, whatever messages there are."""
        return Pipeline(ports or self.ports).run(Hint(task, args))

    def interrupted(self, when: Callable[..., bool], act: Callable[[], object]) -> Ports:
        """Return the ports of a worker to which something happens at a call of its store."""
        return replace(self.ports, store=cast("ObjectStore", Interrupted(self.store, when, act)))

    def mortal(self, changes: int) -> Ports:
        """Return the ports of a worker that dies before its n-th change of the store or the results queue."""
        mortal = Mortal(changes)
        store = mortal.port(self.store, "create", "create_from", "delete")
        return replace(self.ports, store=store, events=mortal.port(self.world.events, "publish"))

    def run_one(self) -> None:
        """Run the step of the next message when its time has come; sweep if there is none."""
        messages = self.world.messages
        if not messages:
            self.world.pass_time(60)
            messages.append((self.world.now, Hint(task_names.SWEEP)))
        due, hint = messages.pop(messages.index(min(messages, key=lambda message: message[0])))
        self.world.pass_time(max(0.0, due - self.world.now))
        outcome = Pipeline(self.ports).run(hint)
        messages += [(self.world.now, following) for following in outcome.hints]
        messages += [(self.world.now + seconds, following) for following, seconds in outcome.later]
        if outcome.again_in is not None:
            messages.append((self.world.now + outcome.again_in, hint))

    def run_until(self, reached: Callable[[], object], steps: int = MOST_STEPS) -> None:
        """Run steps until something is true, so many at most."""
        for _ in range(steps):
            if reached():
                return
            self.run_one()
        raise AssertionError(f"not reached; messages: {self.world.messages}")

    def run_to(self, fact: str, plan: int = 1) -> None:
        """Run steps until a job of Posts has a fact."""
        self.run_until(lambda: self.has_fact(fact, plan))

    def finish(self, batch_id: str) -> str:
        """Run the batch to its published end; return how it ended."""
        self.run_until(lambda: self.batch(batch_id).published and not list(self.store.list("open/batches/")))
        outcome = self.batch(batch_id).outcome
        assert outcome is not None
        return outcome.state

    def has_fact(self, name: str, plan: int = 1) -> bool:
        """Whether a job of Posts has a fact."""
        return self.store.info(f"jobs/tweets/{plan:08}/{name}.json") is not None

    def job(self, plan: int = 1) -> JobView:
        """Read a job of Posts."""
        return self.ports.ledger.job(TWEETS, plan)

    def uploaded(self, plan: int = 1) -> Uploaded:
        """Read how the upload of a job of Posts ended."""
        uploaded = self.job(plan).uploaded
        assert uploaded is not None
        return uploaded

    def batch(self, batch_id: str) -> BatchView:
        """Read a batch."""
        view = self.ports.ledger.batch(BatchId(batch_id))
        assert view is not None
        return view

    def attempts(self, batch_id: str) -> list[Attempt]:
        """Read which plans did not check the first part of a batch."""
        return self.batch(batch_id).attempts.get(0, [])

    def remote_jobs(self) -> list[RemoteJob]:
        """List the jobs that X has, in order."""
        self.x.settle()
        return list(self.x.jobs.values())

    def shown(self, job: RemoteJob, **fields: object) -> Reply:
        """Make X's answer about a job, with other fields if they are given."""
        reply = self.x._show(job)
        data = json.loads(reply.body)["data"] | fields
        return Reply(200, reply.headers, json.dumps({"data": data}).encode())

    def events(self) -> list[dict[str, Any]]:
        """Read the results queue, whose events are as their schemas say."""
        return keep_contract([json.loads(body) for _, body in self.world.events.events])
