"""One replay: a producer, the steps of the workers, and the simulator, from the first arrival to the last answer."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import count, takewhile
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar, cast

from complyq_producer import Producer
from complyq_producer.ledger import Ledger
from complyq_producer.model import ComplianceType
from complyq_workers.coordination import MemoryCoordination
from complyq_workers.pipeline import Limits, Pipeline, Ports, Remote
from complyq_workers.sealing import Sealer
from complyq_workers.together import THREADS, one_by_one
from complyq_workers.x import StaticBearer, XClient
from replay.answers import SEED, Answers
from replay.queues import Queues
from replay.simulated_x import TOKEN, LockstepTransport, SimulatedX, simulated_x
from replay.store import ReplayStore
from replay.virtual_time import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from complyq_producer.ledger import JobView
    from complyq_producer.live import LiveView
    from replay.arrivals import Arrival
    from replay.simulated_x import Entry

T = TypeVar("T")
R = TypeVar("R")

TYPE = ComplianceType.TWEETS
DRAIN_SECONDS = 600.0
"""For so long after the last arrival the answers to what is under way are waited for."""
MANY_OPEN = 1_000
"""With so many open batches producers' hints at planning are lost: a lost hint costs nothing while jobs are running."""
SPOOL_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - where there is one, temporary files are made in it by a safe name


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which a replay is run; times in virtual seconds."""

    processing_seconds: float = 60.0
    flagged_rate: float = 0.01
    rate_limit: int = 150
    poll_min_seconds: float = 1.0
    poll_max_seconds: float = 60.0
    sweep_seconds: float = 20.0
    workers: int = 4
    """For each of the two queues."""
    charge: float = 1.0
    """How much virtual time a second of real work takes."""
    store_seconds: float = 0.0
    """How long the store takes to answer a request; as many as production has threads are asked side by side."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A batch, and the virtual seconds at which the last of it was in a job, and its completed event came, if they did."""

    arrival: Arrival
    carried: float | None
    completed: float | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What happened in a replay; times in virtual seconds since its begin."""

    merge: bool
    seconds: float
    """When the last batch may have arrived."""
    end: float
    batches: list[Answered]
    requests: list[tuple[float, str, int | None]]
    """When a request came, which it was, and the status of its answer."""
    jobs: list[tuple[float, float]]
    """When each job was active at X: from its creation to its end, which may be later than the end of the replay."""
    wrong: list[str]
    store_calls: dict[str, int]
    steps: dict[str, int]
    work: dict[str, float]
    real_seconds: float


def replay(
    arrivals: Sequence[Arrival],
    seconds: float,
    conditions: Conditions,
    *,
    merge: bool,
    progress: Callable[[float], None] = lambda _: None,
) -> Replayed:
    """Replay arrivals until all is answered, or at most `DRAIN_SECONDS` longer than they come."""
    begun = perf_counter()
    folder = SPOOL_IN_MEMORY if SPOOL_IN_MEMORY.is_dir() else None
    with TemporaryDirectory(prefix="complyq-replay-", dir=folder) as spool, _x(conditions) as x:
        world = _World(x, Path(spool), conditions, merge=merge)
        end = world.run(arrivals, seconds, progress)
        return world.told(seconds, end, perf_counter() - begun)


def _x(conditions: Conditions) -> AbstractContextManager[SimulatedX]:
    return simulated_x(
        processing_seconds=conditions.processing_seconds,
        flagged_rate=conditions.flagged_rate,
        rate_limit=conditions.rate_limit,
        seed=SEED,
    )


class _World:
    def __init__(self, x: SimulatedX, spool: Path, conditions: Conditions, *, merge: bool) -> None:
        self._x = x
        self._conditions = conditions
        self._merge = merge
        self._clock = VirtualClock(x.epoch(), charge=conditions.charge)
        self._store = ReplayStore(self._clock, conditions.store_seconds)
        self._answers = Answers(self._clock, conditions.flagged_rate)
        self._accepted: dict[str, tuple[Arrival, int]] = {}
        self._queues = Queues(Pipeline(self._ports(spool)), self._clock, conditions.workers)
        self._producer = Producer(
            store=self._store,
            poke=self,
            live=cast("LiveView", None),  # only a status asks it
            spool_dir=spool,
            now=self._clock.now,
        )

    def poke(self, task: str, *args: str | int) -> None:
        """Pass on a producer's hint; while very many batches wait it is lost, and costs nobody the time to look at them."""
        if len(self._accepted) - len(self._answers.completed) < MANY_OPEN:
            self._queues.poke(task, *args)

    def run(self, arrivals: Sequence[Arrival], seconds: float, progress: Callable[[float], None]) -> float:
        """Let everything happen; return the second that was reached."""
        for arrival in arrivals:
            self._queues.at(arrival.at, partial(self._enqueue, arrival))
        self._queues.sweep_every(self._conditions.sweep_seconds)
        last = arrivals[-1].at

        def goes_on(second: float) -> bool:
            progress(second)
            is_open = len(self._answers.completed) < len(arrivals)
            return second <= last or (is_open and second <= seconds + DRAIN_SECONDS)

        return self._queues.run(goes_on)

    def told(self, seconds: float, end: float, real_seconds: float) -> Replayed:
        """Tell what happened."""
        journal = self._x.journal()
        self._clock.begin(end)
        created = {entry.remote_id: self._second(entry) for entry in journal if entry.after == "created"}
        carried = self._carried(created)
        return Replayed(
            merge=self._merge,
            seconds=seconds,
            end=end,
            batches=[
                Answered(arrival, carried.get(batch_id), self._answers.completed.get(batch_id))
                for batch_id, (arrival, _) in self._accepted.items()
            ],
            requests=[(self._second(entry), entry.op, entry.status) for entry in journal if entry.kind == "request"],
            jobs=self._active(journal, created),
            wrong=self._answers.wrong,
            store_calls=dict(self._store.calls),
            steps=dict(self._queues.steps),
            work=dict(self._queues.work),
            real_seconds=real_seconds,
        )

    def _ports(self, spool: Path) -> Ports:
        coordination = MemoryCoordination(self._clock.seconds)
        transport = LockstepTransport(self._x, self._keep_up)
        return Ports(
            store=self._store,
            coordination=coordination,
            remote=Remote(XClient(self._x.api_url, transport, StaticBearer(TOKEN)), coordination, self._clock),
            transport=transport,
            events=self._answers,
            sealer=Sealer(TOKEN),
            limits=_limits(self._conditions, self._x.api_url, spool, merge=self._merge),
            clock=self._clock,
            keep_lease=lambda _: nullcontext(),  # no step outlasts its lease
            together=self._together,
        )

    def _together(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        waiting = list(items)
        with self._clock.side_by_side(min(THREADS, len(waiting)) or 1):
            return one_by_one(work, waiting)

    def _keep_up(self) -> None:
        """Have the simulator's clock show what the virtual one shows."""
        now = self._clock.seconds()
        with self._clock.stopped():
            self._x.move_to(now)

    def _enqueue(self, arrival: Arrival, second: float) -> None:
        self._clock.begin(second)
        batch = self._producer.enqueue(arrival.ids, TYPE)
        self._answers.expect(batch.id, arrival)
        self._accepted[batch.id] = (arrival, batch.parts)

    def _carried(self, created: dict[str, float]) -> dict[str, float]:
        """Tell of each batch when the last of its parts was in a remote job; without those of which one never was."""
        parts: dict[str, dict[int, float]] = {}
        for job in self._jobs():
            if job.plan and job.remote_id:
                for part in job.plan.parts:
                    parts.setdefault(part.batch_id, {})[part.part] = created[job.remote_id]
        return {
            batch_id: max(seconds.values())
            for batch_id, seconds in parts.items()
            if len(seconds) == self._accepted[batch_id][1]
        }

    def _jobs(self) -> Iterator[JobView]:
        jobs = (Ledger(self._store).job(TYPE, number) for number in count(1))
        return takewhile(lambda job: job.plan is not None, jobs)

    def _active(self, journal: list[Entry], created: dict[str, float]) -> list[tuple[float, float]]:
        """Tell when each job was active. The journal shows the end of a job when X was asked next: too late."""
        ends = {
            entry.remote_id: self._second(entry) + self._conditions.processing_seconds
            for entry in journal
            if entry.after == "in_progress"
        }
        return [(since, ends.get(remote_id, inf)) for remote_id, since in created.items()]

    def _second(self, entry: Entry) -> float:
        return (entry.at - self._clock.epoch).total_seconds()


def _limits(conditions: Conditions, api_url: str, spool: Path, *, merge: bool) -> Limits:
    return Limits(
        namespace="replay",
        api_url=api_url,
        spool_dir=spool,
        max_upload_bytes=120_000_000,
        merge=merge,
        upload_chunk_bytes=0,
        poll_min_seconds=conditions.poll_min_seconds,
        poll_max_seconds=conditions.poll_max_seconds,
        max_attempts=3,
        max_parked_hours=12.0,
        events_inline_max=10_000,
        lease_seconds=30.0,
        sweep_seconds=conditions.sweep_seconds,
    )
