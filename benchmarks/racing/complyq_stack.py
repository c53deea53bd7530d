"""Complyq as `complyq run` puts it together: a Redis, `complyq worker` with two processes a queue, a producer, a listener.

Measured is from `Producer.enqueue` to the completed event. Everything has been started before, and one small batch has
been through it: that is how a service finds it.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from complyq_config.logging import configure_logging
from complyq_config.settings import Settings, load_settings
from complyq_producer.client import Producer
from complyq_producer.embedded.processes import ChildProcess, child_process
from complyq_producer.embedded.redis_server import embedded_redis
from complyq_producer.facts import BatchRecord, Fact
from complyq_producer.layout import BatchKeys
from complyq_producer.listening import listen
from complyq_producer.store import open_store
from racing.task import JOB_TYPE, Answer, Contender

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from complyq_producer.client import Batch
    from complyq_producer.listening import Event
    from complyq_producer.store import ObjectStore
    from racing.task import IdArray, Task

_COMPLETED = "complyq.batch.completed.v1"
_ENDS = (_COMPLETED, "complyq.batch.failed.v1", "complyq.batch.cancelled.v1")
_OTHER_TYPE = "users"
_STEPS = ("plan", "merged", "created", "uploaded", "finished", "collected")


@contextmanager
def start(task: Task) -> Iterator[Contender]:
    """Start everything. Workers that shall find many batches at once are started when these are enqueued."""
    with started(task) as stack:
        if task.batches == 1:
            stack.start_workers()
            stack.warm_up()
        yield Contender(stack.run, stack.ids, stack.figures)


@contextmanager
def started(task: Task) -> Iterator[Stack]:
    """Start everything but the workers."""
    configure_logging("console", "WARNING")
    with ExitStack() as running:
        settings = _settings(task, running.enter_context(embedded_redis(Path(task.folder) / "redis")))
        yield Stack(task, settings, running)


class Stack:
    """The services of one run, and what its producer and its listener do."""

    def __init__(self, task: Task, settings: Settings, running: ExitStack) -> None:
        self.producer = Producer.from_settings(settings)
        self.store = open_store(settings.store_url)
        self._task = task
        self.settings = settings
        self._running = running
        self._events = listen(settings=settings, block_seconds=1)
        self._batches: list[Batch] = []

    def start_workers(self, *arguments: str, module: str = "complyq_workers") -> ChildProcess:
        """Start `complyq worker`, or what stands in for it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPLYQ_")}
        command = [sys.executable, "-m", module, *arguments]
        name = "-".join(["worker", *(argument for argument in arguments if not argument.startswith("-"))])
        log = Path(self._task.folder) / f"{name}.log"
        return self._running.enter_context(child_process(command, environment | self.settings.environment(), log))

    def warm_up(self) -> None:
        """Send one small batch through."""
        self.ends([self.producer.enqueue(range(1, 1001), _OTHER_TYPE)])

    def run(self) -> Answer:
        """Enqueue all batches and wait until they have ended."""
        self._batches = list(self._enqueue())
        if len(self._batches) > 1:
            self.start_workers()
        return sum_of(self.ends(self._batches))

    def ids(self) -> IdArray:
        """Return the flagged IDs of all batches."""
        return self.flagged(self._batches)

    def flagged(self, batches: Iterable[Batch]) -> IdArray:
        """Return the flagged IDs of some batches."""
        found = (int(result.id) for batch in batches for result in self.producer.results(batch.id))
        return np.fromiter(found, np.uint64)

    def figures(self) -> Mapping[str, Any]:
        """Return when the facts of the first batch were written."""
        return phases(self.store, self._batches[0])

    def _enqueue(self) -> Iterator[Batch]:
        if self._task.batches == 1:
            yield self.producer.enqueue(self._task.ids_file, JOB_TYPE)
            return
        with Path(self._task.ids_file).open() as file:
            each = -(-sum(1 for _ in file) // self._task.batches)
            file.seek(0)
            for _ in range(self._task.batches):
                yield self.producer.enqueue((line.strip() for line in islice(file, each)), JOB_TYPE)

    def ends(self, batches: list[Batch]) -> list[Event]:
        """Wait for the end of each batch."""
        waiting = {str(batch.id) for batch in batches}
        ends = []
        while waiting:
            event = next(self._events)
            if event.type in _ENDS and event.subject in waiting:
                waiting.remove(event.subject)
                ends.append(event)
        return ends


def _settings(task: Task, redis_url: str) -> Settings:
    return load_settings(
        namespace="bench",
        broker_url=redis_url,
        redis_url=redis_url,
        store_url=task.store_url,
        spool_dir=Path(task.folder) / "spool",
        api_url=task.api_url,
        allowed_origins=(task.storage_url,),
        bearer_token=task.token,
        poll_min_seconds=task.poll_seconds,
        poll_max_seconds=task.poll_seconds * 2,
        max_upload_bytes=task.max_upload_bytes,
        merge=task.merge,
        log_level="INFO",
    )


def sum_of(ends: Sequence[Event]) -> Answer:
    """Add up what became of some batches.

    Raises:
        RuntimeError: one did not complete.
    """
    if failed := [end.data for end in ends if end.type != _COMPLETED]:
        raise RuntimeError(f"a batch did not complete: {failed[0].get('error')}")
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("by_action", "by_reason")}
    for end in ends:
        for name, total in counts.items():
            total.update(end.data[name])
    unique, flagged = (sum(end.data[name] for end in ends) for name in ("unique", "flagged"))
    return Answer(unique=unique, flagged=flagged, **{name: dict(total) for name, total in counts.items()})


def phases(store: ObjectStore, batch: Batch) -> dict[str, Any]:
    """Return when each fact of a batch and of the jobs was written, in seconds since the batch was begun to be accepted."""
    keys = BatchKeys(batch.id)
    accepted = msgspec.json.decode(store.read(keys.record).body, type=BatchRecord).recorded_at
    jobs: dict[str, float] = {}
    for info in store.list(f"jobs/{JOB_TYPE}/"):
        _, _, number, name = info.key.split("/")
        step = name.removesuffix(".json")
        if step in _STEPS:
            jobs[f"{number} {step}"] = (_recorded(store, info.key) - accepted).total_seconds()
    ended = (_recorded(store, keys.outcome) - accepted).total_seconds()
    return {"seconds since accepted": dict(sorted(jobs.items(), key=lambda job: job[1])) | {"outcome": ended}}


def _recorded(store: ObjectStore, key: str) -> datetime:
    return msgspec.json.decode(store.read(key).body, type=Fact).recorded_at
