"""An installation with failpoints, kept running from one case to the next: workers die and are replaced, the rest stays."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import redis

from complyq_producer import Producer
from complyq_producer.estimates import NEIGHBOURS, JobDuration
from complyq_producer.live import RedisLiveView, connect_redis
from complyq_producer.model import ComplianceType
from complyq_producer.redis_keys import RedisKeys
from complyq_producer.store import ObjectStore, open_store
from complyq_workers.failpoints import VARIABLE, Failpoints
from support.event_contract import keep_contract
from support.forked_workers import ForkedWorker, fork_worker
from support.real_workers import Installation, installation, wait_until
from support.simulator_process import Simulator, running_simulator

SETTINGS = {
    "COMPLYQ_POLL_MIN_SECONDS": "0.1",
    "COMPLYQ_POLL_MAX_SECONDS": "0.2",
    "COMPLYQ_LEASE_SECONDS": "1",
    "COMPLYQ_SWEEP_SECONDS": "0.5",
    "COMPLYQ_UPLOAD_CHUNK_BYTES": "262144",
}
PATIENCE = 90
"""Seconds after which something that must happen has not; on a quiet machine it takes two."""

Kind = tuple[str, float]
"""The contract of a site, and the seconds that its X takes over a job."""


@dataclass
class Site:
    """One installation and the simulator that it asks."""

    running: Installation
    simulator: Simulator
    points: Failpoints
    _workers: list[ForkedWorker] = field(default_factory=list)
    _log_seen: int = 0

    @cached_property
    def producer(self) -> Producer:
        """Submits batches."""
        return self.running.producer()

    def producer_of_parts(self, part_bytes: int) -> Producer:
        """Make a producer that cuts batches into small parts."""
        settings = self.running.environment
        live = RedisLiveView(self.redis, settings["COMPLYQ_NAMESPACE"])
        spool = Path(settings["COMPLYQ_SPOOL_DIR"])
        return Producer(store=self.store, poke=self.producer._poke, live=live, spool_dir=spool, part_bytes=part_bytes)

    @cached_property
    def store(self) -> ObjectStore:
        """Where the facts are."""
        return open_store(self.running.environment["COMPLYQ_STORE_URL"])

    @cached_property
    def redis(self) -> redis.Redis:
        """Where messages, leases and events are."""
        return connect_redis(self.running.environment["COMPLYQ_REDIS_URL"])

    @property
    def worker(self) -> ForkedWorker | None:
        """The worker that runs, if any does."""
        return next((worker for worker in self._workers if worker.is_alive), None)

    def start_worker(self) -> ForkedWorker:
        """Start a worker."""
        self._workers.append(fork_worker(self.running.environment, self.running.folder / "workers.log"))
        return self._workers[-1]

    def stop(self) -> None:
        """Kill what still runs."""
        for worker in self._workers:
            worker.kill()

    def events(self, batch_id: str) -> list[dict[str, Any]]:
        """All events of a batch, in the order of the stream; they are as their schemas say."""
        entries: Any = self.redis.xrange("complyq.events")
        bodies: list[dict[str, Any]] = [json.loads(fields[b"event"]) for _, fields in entries]
        return keep_contract([body for body in bodies if body["subject"] == batch_id])

    def jobs_made(self) -> int:
        """How many remote jobs there ever were."""
        return sum(line["kind"] == "job" and line["from"] is None for line in self.simulator.journal())

    def open_markers(self) -> list[str]:
        """The markers of unfinished work."""
        return [info.key for info in self.store.list("open/")]

    def hurry(self) -> None:
        """Shorten the times for which requests that may be under way are waited for: 90 s for a create, 15 s for others."""
        for what in ("due:unanswered_create", "probe"):
            for key in self.redis.scan_iter(f"{self._keys.prefix}{what}:*"):
                self.redis.pexpire(key, 3_000)

    @contextmanager
    def planning_held(self, type_: str) -> Iterator[None]:
        """Have nothing planned of a type meanwhile, so that what is submitted meets in one job."""
        due, lease = self._keys.due(f"plan:{type_}"), self._keys.step(f"plan:{type_}")
        self.redis.set(due, "1", ex=PATIENCE)
        wait_until(lambda: not self.redis.exists(lease))
        self.redis.set(due, "1", ex=PATIENCE)  # also where the step that has just ended set a time
        yield
        self.redis.delete(due)

    def teach_duration(self, type_: str, seconds: float) -> None:
        """Have it known that jobs of a type take so long, whatever was learnt before."""
        key = self._keys.durations(ComplianceType(type_))
        duration = msgspec.json.encode(JobDuration(300, seconds, seconds))
        with self.redis.pipeline() as pipe:
            pipe.delete(key)
            pipe.lpush(key, *[duration] * NEIGHBOURS)
            pipe.execute()

    @property
    def _keys(self) -> RedisKeys:
        return RedisKeys(self.running.environment["COMPLYQ_NAMESPACE"])

    def surprises(self) -> list[str]:
        """Return the log lines since the last call that tell of errors nobody foresaw."""
        text = self.running.log()
        lines, self._log_seen = text[self._log_seen :].splitlines(), len(text)
        crashes = "WorkerLostError"  # Celery's word for a process that a failpoint killed
        return [line for line in lines if ("step_failed" in line or "Traceback" in line) and crashes not in line]


@dataclass
class Sites:
    """The sites of a test process, one a contract and speed of X, made when they are first needed."""

    folder: Path
    redis_url: str
    _sites: dict[Kind, tuple[Site, ExitStack]] = field(default_factory=dict)
    _made: int = 0

    @contextmanager
    def use(self, contract: str, processing_seconds: float = 0.2) -> Iterator[Site]:
        """Lend a site. After a failure it is thrown away, so that the next test begins afresh."""
        kind = contract, processing_seconds
        if kind not in self._sites:
            self._sites[kind] = self._make(*kind)
        site, _ = self._sites[kind]
        try:
            yield site
        except BaseException:
            self._throw_away(kind)
            raise
        site.points.disarm()
        site.simulator.disarm()

    def close(self) -> None:
        """Stop everything."""
        for kind in list(self._sites):
            self._throw_away(kind)

    def _make(self, contract: str, processing_seconds: float) -> tuple[Site, ExitStack]:
        self._made += 1
        folder = self.folder / f"{contract}-{self._made}"
        folder.mkdir()
        points = Failpoints(folder / "failpoints.json")
        stack = ExitStack()
        # X refuses no second active job here: were one asked for, it would show.
        simulator = stack.enter_context(
            running_simulator(
                contract=contract,
                processing_seconds=processing_seconds,
                rate_limit=1_000_000,
                allow_concurrent_jobs=True,
            )
        )
        settings = {**SETTINGS, VARIABLE: str(points.file)}
        running = stack.enter_context(installation(folder, self.redis_url, simulator, settings))
        site = Site(running, simulator, points)
        stack.callback(site.stop)
        return site, stack

    def _throw_away(self, kind: Kind) -> None:
        _, stack = self._sites.pop(kind)
        stack.close()


def await_death(worker: ForkedWorker, site: Site, name: str) -> None:
    """Wait until the failpoint has killed a worker."""
    wait_until(lambda: not worker.is_alive, PATIENCE)
    assert any(reached.name == name for reached in site.points.reached()), "the worker died of something else"
    site.hurry()  # also of steps that ran beside the one that it died of
