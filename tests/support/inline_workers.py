"""Runs the pipeline's steps one after another in this process: real store, real X client, no Celery."""

import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from complyq_producer import Producer, task_names
from complyq_producer.estimates import JobDuration
from complyq_producer.live import LiveBudget, LiveJob, LivePlace, LiveQueue
from complyq_producer.model import BatchId, ComplianceType
from complyq_producer.store import ObjectStore
from complyq_workers.clock import SystemClock
from complyq_workers.coordination import MemoryCoordination
from complyq_workers.events import MemoryPublisher
from complyq_workers.pipeline import Hint, Limits, Pipeline, Ports, Remote, kept_by_thread
from complyq_workers.sealing import Sealer
from complyq_workers.together import in_threads
from complyq_workers.x.client import XClient
from complyq_workers.x.credentials import StaticBearer
from complyq_workers.x.transport import Timeouts, Transport
from support.simulator_process import Simulator

SWEEP_SECONDS = 0.1
SWEEP_AGAIN_SECONDS = 0.06
"""When a sweep is due again."""


@dataclass
class InlineWorkers:
    """A queue of hints and the pipeline that runs them. Implements the producer's `Poke`."""

    pipeline: Pipeline
    repeats: int = 1
    """How often each message is delivered."""
    _queue: list[tuple[float, int, Hint]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    @property
    def ports(self) -> Ports:
        """What the steps work with."""
        return self.pipeline.ports

    @property
    def events(self) -> MemoryPublisher:
        """The results queue."""
        assert isinstance(self.ports.events, MemoryPublisher)
        return self.ports.events

    @property
    def coordination(self) -> MemoryCoordination:
        """What a Redis would hold."""
        assert isinstance(self.ports.coordination, MemoryCoordination)
        return self.ports.coordination

    def poke(self, task: str, *args: str | int) -> None:
        """Take a hint."""
        self._push(0.0, Hint(task, args))

    def lose_messages(self) -> None:
        """Forget everything that was queued."""
        self._queue.clear()

    def change_limits(self, **limits: object) -> None:
        """Replace some settings."""
        self.pipeline.ports = replace(self.ports, limits=replace(self.ports.limits, **limits))  # type: ignore[arg-type]

    def run_until(self, reached: Callable[[], bool], seconds: float = 30) -> None:
        """Run steps until something is true."""
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"not reached within {seconds} s; queue: {self._queue}"
            self.run_one()

    def run_all(self) -> None:
        """Run steps until none is left."""
        while self._queue:
            self.run_one()

    def sweep(self) -> None:
        """Sweep, and run what that leads to."""
        self._push(SWEEP_AGAIN_SECONDS, Hint(task_names.SWEEP))
        self.run_all()

    def run_one(self) -> None:
        """Run the next step; sweep if there is none."""
        if not self._queue:
            self._push(SWEEP_AGAIN_SECONDS, Hint(task_names.SWEEP))
        due, _, hint = heapq.heappop(self._queue)
        time.sleep(max(0.0, due - time.monotonic()))
        outcome = self.pipeline.run(hint)
        for following in outcome.hints * self.repeats:
            self._push(0.0, following)
        for following, seconds in outcome.later:
            self._push(seconds, following)
        if outcome.again_in is not None:
            self._push(outcome.again_in, hint)

    def _push(self, delay: float, hint: Hint) -> None:
        heapq.heappush(self._queue, (time.monotonic() + delay, next(self._order), hint))


class NoLiveView:
    """Knows nothing of the workers."""

    def answers(self) -> bool:
        """There is nobody to ask."""
        return False

    def job(self, type_: ComplianceType) -> LiveJob | None:
        """Know nothing."""
        return None

    def queue(self, type_: ComplianceType) -> LiveQueue | None:
        """Know nothing."""
        return None

    def position(self, type_: ComplianceType, batch_id: BatchId) -> LivePlace | None:
        """Know nothing."""
        return None

    def durations(self, type_: ComplianceType) -> list[JobDuration]:
        """Know nothing."""
        return []

    def budgets(self) -> dict[str, LiveBudget]:
        """Know nothing."""
        return {}


@contextmanager
def inline_workers(store: ObjectStore, simulator: Simulator, spool_dir: Path) -> Iterator[InlineWorkers]:
    """Connect a pipeline to a simulator."""
    coordination, clock = MemoryCoordination(), SystemClock()
    timeouts = Timeouts(connect=3, read=5)
    transport = Transport([simulator.storage_url], simulator.api_url, timeouts=timeouts)
    ports = Ports(
        store=store,
        coordination=coordination,
        remote=Remote(XClient(simulator.api_url, transport, StaticBearer(simulator.token)), coordination, clock),
        transport=transport,
        events=MemoryPublisher(),
        sealer=Sealer(simulator.token),
        limits=Limits(
            namespace="tests",
            api_url=simulator.api_url,
            spool_dir=spool_dir,
            max_upload_bytes=120_000_000,
            merge=True,
            upload_chunk_bytes=0,
            poll_min_seconds=0.05,
            poll_max_seconds=0.2,
            max_attempts=3,
            max_parked_hours=12,
            events_inline_max=10_000,
            lease_seconds=30,
            sweep_seconds=SWEEP_SECONDS,
        ),
        clock=clock,
        keep_lease=kept_by_thread,
        together=in_threads,
    )
    try:
        yield InlineWorkers(Pipeline(ports))
    finally:
        transport.close()


def producer_of(workers: InlineWorkers) -> Producer:
    """Make a producer that pokes these workers."""
    limits = workers.ports.limits
    return Producer(store=workers.ports.store, poke=workers, live=NoLiveView(), spool_dir=limits.spool_dir)
