"""A producer, its workers in this process, and a simulator: what the pipeline's tests play with."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from complyq_producer import Producer
from complyq_producer.model import BatchState
from complyq_producer.store import open_store
from support.event_contract import keep_contract
from support.inline_workers import InlineWorkers, inline_workers, producer_of
from support.simulator_process import Simulator

POSTS = [1_000_000_000_000_000_000 + 7919 * n for n in range(30_000)]


class World:
    """A producer and its workers."""

    def __init__(self, workers: InlineWorkers) -> None:
        self.workers = workers
        self.producer: Producer = producer_of(workers)

    def finish(self, batch_id: str, state: BatchState = BatchState.COMPLETED) -> None:
        """Run the workers until the batch is published to its end."""
        self.workers.run_until(lambda: self.producer.status(batch_id).ended_at is not None)
        self.workers.run_all()
        status = self.producer.status(batch_id)
        assert status.state is state, status

    def events(self) -> list[dict[str, Any]]:
        """The results queue, whose events are as their schemas say."""
        return keep_contract([json.loads(body) for _, body in self.workers.events.events])

    def flagged(self, batch_id: str) -> set[str]:
        """The IDs with a result."""
        return {result.id for result in self.producer.results(batch_id)}


def world_of(simulator: Simulator, folder: Path) -> Iterator[World]:
    """Connect a world to a simulator."""
    spool = folder / "spool"
    spool.mkdir()
    with inline_workers(open_store(f"file://{folder}/store"), simulator, spool) as workers:
        yield World(workers)


def has_job_fact(world: World, name: str) -> bool:
    """Whether the first job of Posts has a fact of this name."""
    return world.workers.ports.store.info(f"jobs/tweets/00000001/{name}.json") is not None
