"""What `Producer.enqueue` itself takes: everything around it does nothing but remember."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, cast

import numpy as np

from complyq_producer.client import Producer
from complyq_producer.store.memory import MemoryStore
from racing.task import JOB_TYPE, Answer, Contender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.live import LiveView
    from racing.task import IdArray, Task

BATCH_IDS = 5_000
_WARM_UP = 20


class _NobodyListens:
    """Takes hints and forgets them."""

    def poke(self, task: str, *args: str | int) -> None:
        """Do nothing."""


@contextmanager
def start(task: Task) -> Iterator[Contender]:
    """Make a producer and warm it up; as many batches are enqueued as the file has IDs for."""
    # What Redis knows is asked for status only.
    store = MemoryStore()
    producer = Producer(
        store=store, poke=_NobodyListens(), live=cast("LiveView", None), spool_dir=Path(task.folder) / "spool"
    )
    ids = np.fromstring(Path(task.ids_file).read_bytes(), np.uint64, sep="\n")
    batches = [batch.tolist() for batch in np.split(ids, range(BATCH_IDS, len(ids), BATCH_IDS))]
    for batch in batches[:_WARM_UP]:
        producer.enqueue(batch, JOB_TYPE)
    seconds: dict[str, list[float]] = {}

    def run() -> Answer:
        return Answer(unique=_enqueue_all(producer, batches, seconds))

    yield Contender(run, lambda: _stored(store), lambda: _figures(seconds))


def _enqueue_all(producer: Producer, batches: list[list[int]], seconds: dict[str, list[float]]) -> int:
    """Enqueue every batch twice, as numbers and as strings; return how many IDs there are once."""
    unique = 0
    for kind in (int, str):
        taken = seconds.setdefault(kind.__name__, [])
        for batch in batches:
            ids = [kind(identifier) for identifier in batch]
            begun = time.perf_counter()
            unique += producer.enqueue(ids, JOB_TYPE).unique
            taken.append(time.perf_counter() - begun)
    return unique // 2


def _stored(store: MemoryStore) -> IdArray:
    parts = [store.read(info.key).body for info in store.list("batches/") if "/ids/" in info.key]
    return np.unique(np.fromstring(b"".join(parts), np.uint64, sep="\n"))


def _figures(seconds: dict[str, list[float]]) -> dict[str, float]:
    figures = {}
    for kind, taken in seconds.items():
        figures[f"median ms, {kind}"] = median(taken) * 1000
        figures[f"95th percentile ms, {kind}"] = quantiles(taken, n=20)[-1] * 1000
    return figures
