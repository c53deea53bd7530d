"""Complyq with more and more processes for what is long: many batches, a job each, so that each must have the slot once.

One process does all uploads and collections in turn. With more of them, batches are collected side by side, while the next
one has the slot. Of that there is one, however many processes there are.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import requests

from complyq_producer.facts import Fact
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_producer.ledger import Ledger
from complyq_producer.model import ComplianceType
from racing.complyq_stack import started, sum_of
from racing.inputs import expected, pieces
from racing.scaling_times import Times, shares
from racing.task import JOB_TYPE, Answer, Contender

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from complyq_producer.client import Batch
    from complyq_producer.listening import Event
    from complyq_producer.store import ObjectStore
    from racing.complyq_stack import Stack
    from racing.task import IdArray, Task

_WARM_UPS = 10
_SECONDS = 60
_TYPE = ComplianceType(JOB_TYPE)


@contextmanager
def _start(processes: int, task: Task) -> Iterator[Contender]:
    """Start workers with so many processes for uploads and collections, and have each do something."""
    with started(task) as stack:
        stack.start_workers("--role", "control")
        stack.start_workers("--role", "transfer", "--processes", str(processes))
        for _ in range(_WARM_UPS * processes):
            stack.warm_up()
        if task.download_mb:
            _slow_down(task)
        scaled = _Scaled(task, stack)
        yield Contender(scaled.run, scaled.ids, scaled.figures)


start_1 = partial(_start, 1)
start_2 = partial(_start, 2)
start_4 = partial(_start, 4)


def _slow_down(task: Task) -> None:
    """Have X send the results of the jobs to come no faster than the task says."""
    fault = {"on": "download", "fault": "throttle", "bytes_per_second": task.download_mb * 1e6, "times": task.batches}
    with requests.Session() as session:
        session.trust_env = False
        session.post(f"{task.api_url}/_simulator/faults", json=fault, timeout=_SECONDS).raise_for_status()


class _Scaled:
    """The batches of a task on their way."""

    def __init__(self, task: Task, stack: Stack) -> None:
        self._task = task
        self._stack = stack
        self._files = pieces(Path(task.ids_file), task.batches)
        self._ends: list[tuple[Batch, Event]] = []
        self._taken = 0.0

    def run(self) -> Answer:
        """Enqueue all batches, then wait for the last end."""
        begun = time.perf_counter()
        batches = [self._stack.producer.enqueue(file, JOB_TYPE) for file in self._files]
        ends = {event.subject: event for event in self._stack.ends(batches)}
        self._taken = time.perf_counter() - begun
        self._ends = [(batch, ends[batch.id]) for batch in batches]
        return sum_of([*ends.values()])

    def ids(self) -> IdArray:
        """Return the flagged IDs of all batches, once the answer to each by itself has been found right.

        Raises:
            RuntimeError: one is wrong.
        """
        for file, (batch, end) in zip(self._files, self._ends, strict=True):
            given = np.fromstring(file.read_bytes(), np.uint64, sep="\n")
            told, right = sum_of([end]), expected(np.unique(given), self._task.rate).answer
            if told != right:
                raise RuntimeError(f"the answer to batch {batch.id} is {told}, not {right}")
        return self._stack.flagged(batch for batch, _ in self._ends)

    def figures(self) -> Mapping[str, Any]:
        """Return how fast it went, and what the time went by with."""
        ids = sum(batch.unique for batch, _ in self._ends)
        pace = {"batches a second": len(self._ends) / self._taken, "IDs a second": ids / self._taken}
        return pace | shares([*times_of_jobs(self._stack.store)])


def times_of_jobs(store: ObjectStore) -> Iterator[Times]:
    """Read when the facts of all jobs were recorded that carried one batch each, in seconds since the epoch."""
    ledger = Ledger(store)
    for number in sorted({int(info.key.split("/")[2]) for info in store.list(f"jobs/{JOB_TYPE}/")}):
        job, keys = ledger.job(_TYPE, number), JobKeys(_TYPE, number)
        if job.plan is None:
            continue
        facts = (keys.plan, keys.created, keys.uploaded, keys.finished, keys.collected)
        published = BatchKeys(job.plan.parts[0].batch_id).published
        yield Times(*(_recorded(store, key) for key in (*facts, published)))


def _recorded(store: ObjectStore, key: str) -> float:
    return msgspec.json.decode(store.read(key).body, type=Fact).recorded_at.timestamp()
