"""Everything a step works with, in one value: built once a process, or from fakes in tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from complyq_producer.ledger import Ledger
from complyq_workers.pipeline.known import KnownBatches
from complyq_workers.pipeline.room import Room

if TYPE_CHECKING:
    from pathlib import Path

    from complyq_config.settings import ResultsFormat
    from complyq_producer.facts import FactStore
    from complyq_producer.store import ObjectStore
    from complyq_workers.clock import Clock
    from complyq_workers.coordination import Coordination
    from complyq_workers.events import EventPublisher
    from complyq_workers.pipeline.lease import LeaseKeeper
    from complyq_workers.pipeline.remote import Remote
    from complyq_workers.sealing import Sealer
    from complyq_workers.together import Together
    from complyq_workers.x import Transport


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that steps go by. Sizes in bytes, times in seconds."""

    namespace: str
    api_url: str
    spool_dir: Path
    max_upload_bytes: int
    merge: bool
    upload_chunk_bytes: int
    poll_min_seconds: float
    poll_max_seconds: float
    max_attempts: int
    max_parked_hours: float
    events_inline_max: int
    lease_seconds: float
    sweep_seconds: float
    results_format: ResultsFormat = "jsonl"
    events_max_backlog: int = 0
    """0: publishing never pauses."""
    events_replay_hours: float = 168.0
    retention_days: float | None = None
    """None: nothing is purged."""


@dataclass(frozen=True)
class Ports:
    """The outside world as the steps see it."""

    store: ObjectStore
    coordination: Coordination
    remote: Remote
    transport: Transport
    events: EventPublisher
    sealer: Sealer
    limits: Limits
    clock: Clock
    keep_lease: LeaseKeeper
    together: Together

    @cached_property
    def ledger(self) -> Ledger:
        """Reads views of batches and jobs."""
        return Ledger(self.store, self.clock.now)

    @cached_property
    def known(self) -> KnownBatches:
        """Remembers what was accepted."""
        return KnownBatches(self.ledger, self.together)

    @cached_property
    def room(self) -> Room:
        """Tells whether more events may be put on the results queue."""
        return Room(self.events, self.clock, self.limits.events_max_backlog)

    @property
    def facts(self) -> FactStore:
        """Creates and reads facts."""
        return self.ledger.facts
