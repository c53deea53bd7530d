"""Complyq under a bookkeeper: one run that tells what each step, the store, and Redis were asked for.

The workers stand still while batches are enqueued that may share a job, so that one job carries them all.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from complyq_producer.layout import kind_of, open_batches
from complyq_producer.listening import StreamAddress
from complyq_producer.live import connect_redis
from complyq_producer.model import ComplianceType
from complyq_producer.redis_keys import RedisKeys
from costing.costs import Events, Figures, Stored
from costing.notes import FILE, StoreRequests, Stretch, read_notes, sums
from costing.redis_usage import RedisUsage, usage
from racing.complyq_stack import started, sum_of
from racing.task import JOB_TYPE, Answer, Contender

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import redis

    from complyq_producer.client import Batch
    from complyq_producer.embedded.processes import ChildProcess
    from complyq_producer.store import ObjectStore
    from racing.complyq_stack import Stack
    from racing.task import IdArray, Task

_WARM_UPS = 20
_IDLE_SECONDS = 5.0
_PAUSE_SECONDS = 0.05


@contextmanager
def start(task: Task) -> Iterator[Contender]:
    """Start workers that keep notes, and warm them up."""
    notes = Path(task.folder) / "notes.jsonl"
    os.environ[FILE] = str(notes)
    requests = StoreRequests()
    requests.count_all()
    with started(task) as stack:
        workers = [stack.start_workers("--role", role, module="costing.worker") for role in ("control", "transfer")]
        for _ in range(_WARM_UPS):
            stack.warm_up()
        audit = _Audit(task, stack, workers, requests, notes)
        yield Contender(audit.run, audit.ids, audit.figures)


class _Audit:
    def __init__(
        self, task: Task, stack: Stack, workers: Sequence[ChildProcess], requests: StoreRequests, notes: Path
    ) -> None:
        self._task = task
        self._stack = stack
        self._workers = workers
        self._requests = requests
        self._notes = notes
        self._redis = connect_redis(stack.settings.redis_url.get_secret_value())
        self._given = _batches(task)
        self._batches: list[Batch] = []
        self._stored = stored(stack.store)
        self._figures: dict[str, Any] = {}

    def run(self) -> Answer:
        """Take all batches through, and note what changed meanwhile."""
        before, whole, cpu = usage(self._redis), Stretch(self._requests), time.process_time()
        last_event = _last_event(self._redis, self._stream)
        self._notes.unlink(missing_ok=True)
        with _standing_still(self._workers if self._task.merge else ()):
            self._batches = [self._stack.producer.enqueue(ids, JOB_TYPE) for ids in self._given]
            enqueued = whole.note("enqueue")
        ends = self._stack.ends(self._batches)
        self._wait_until_closed()
        redis_usage = usage(self._redis).since(before)
        self._figures = {
            "enqueue": enqueued,
            "own_cpu_seconds": time.process_time() - cpu,
            "steps": sums(read_notes(self._notes)),
            "redis": redis_usage,
            "events": _events_since(self._redis, self._stream, last_event),
            "remembered_bytes": self._remembered_bytes(),
        }
        return sum_of(ends)

    def ids(self) -> IdArray:
        """Return the flagged IDs of all batches."""
        return self._stack.flagged(self._batches)

    def figures(self) -> Mapping[str, Any]:
        """Return what was noted, what the store has got, and what Redis is asked while nothing happens."""
        figures = Figures(
            jobs=sum("/plan.json" in info.key for info in self._stack.store.list(f"jobs/{JOB_TYPE}/")),
            stored=more(stored(self._stack.store), self._stored),
            idle_commands_a_second=self._idle().commands / _IDLE_SECONDS,
            **self._figures,
        )
        told: dict[str, Any] = msgspec.to_builtins(figures)
        return told

    def _wait_until_closed(self) -> None:
        """Wait for what workers do after the last event: then all that they did has been noted."""
        while next(self._stack.store.list(open_batches(ComplianceType(JOB_TYPE))), None):
            time.sleep(_PAUSE_SECONDS)

    def _remembered_bytes(self) -> int:
        keys = RedisKeys(self._stack.settings.namespace)
        sizes = (self._redis.memory_usage(keys.published(batch.id)) for batch in self._batches)
        return sum(cast("int", size or 0) for size in sizes)

    @property
    def _stream(self) -> str:
        return StreamAddress.parse(self._stack.settings.effective_events_url.get_secret_value()).stream

    def _idle(self) -> RedisUsage:
        before = usage(self._redis)
        time.sleep(_IDLE_SECONDS)
        return usage(self._redis).since(before)


@contextmanager
def _standing_still(workers: Sequence[ChildProcess]) -> Iterator[None]:
    """Stop all processes of some workers for the length of a block; each leads a group."""
    for worker in workers:
        os.killpg(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in workers:
            os.killpg(worker.pid, signal.SIGCONT)


def stored(store: ObjectStore) -> dict[str, Stored]:
    """Count what is in a store, by kind."""
    found: dict[str, Stored] = {}
    for info in store.list(""):
        kind = kind_of(info.key)
        known = found.get(kind, Stored(objects=0, bytes=0))
        found[kind] = Stored(objects=known.objects + 1, bytes=known.bytes + info.size)
    return found


def more(after: Mapping[str, Stored], before: Mapping[str, Stored]) -> dict[str, Stored]:
    """Return what was added, by kind."""
    nothing = Stored(objects=0, bytes=0)
    found = {
        kind: Stored(objects=now.objects - then.objects, bytes=now.bytes - then.bytes)
        for kind, now in after.items()
        for then in [before.get(kind, nothing)]
    }
    return {kind: added for kind, added in found.items() if added != nothing}


def _last_event(client: redis.Redis, stream: str) -> bytes:
    newest = cast("list[tuple[bytes, Any]]", client.xrevrange(stream, count=1))
    return newest[0][0] if newest else b"0"


def _events_since(client: redis.Redis, stream: str, last: bytes) -> Events:
    count = size = 0
    while entries := cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(stream, b"(" + last, count=1000)):
        count += len(entries)
        size += sum(len(fields[b"event"]) for _, fields in entries)
        last = entries[-1][0]
    return Events(count=count, bytes=size)


def _batches(task: Task) -> list[list[int]] | list[str]:
    """Return the IDs of each batch: many small ones as a service has them at hand, a large one as a file."""
    if task.batches == 1:
        return [task.ids_file]
    with Path(task.ids_file).open() as file:
        ids = [int(line) for line in file]
    each = -(-len(ids) // task.batches)
    return [ids[first : first + each] for first in range(0, len(ids), each)]
