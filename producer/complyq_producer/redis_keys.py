"""The names of our keys in Redis. All of it can be lost: locks, what is due, and what status shows live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from complyq_producer.model import BatchId, ComplianceType


@dataclass(frozen=True, slots=True)
class RedisKeys:
    """Key names under `{complyq:<namespace>}:`. The braces keep them in one slot of a cluster."""

    namespace: str

    @property
    def prefix(self) -> str:
        """What every key begins with."""
        return f"{{complyq:{self.namespace}}}:"

    def slot(self, type_: ComplianceType) -> str:
        """The lock of a type: which plan drives the one active job."""
        return f"{self.prefix}slot:{type_}"

    def step(self, name: str) -> str:
        """The lease on running one step."""
        return f"{self.prefix}step:{name}"

    def again(self, name: str) -> str:
        """Somebody asked for the step while it ran."""
        return f"{self.prefix}again:{name}"

    def starts(self, name: str) -> str:
        """How often a step was begun since it last came to an end or made progress."""
        return f"{self.prefix}starts:{name}"

    def position(self, name: str) -> str:
        """How far a step has come."""
        return f"{self.prefix}position:{name}"

    def due(self, name: str) -> str:
        """Exists while a step is not due yet."""
        return f"{self.prefix}due:{name}"

    def budget(self, endpoint: str) -> str:
        """How many requests an endpoint of X has left, a hash that lives until its window ends."""
        return f"{self.prefix}budget:{endpoint}"

    def in_flight(self, endpoint: str) -> str:
        """Requests to an endpoint of X that are under way, each with the millisecond until which it counts."""
        return f"{self.prefix}in_flight:{endpoint}"

    def probe(self, endpoint: str) -> str:
        """Exists while a request is to learn how many an endpoint of X has left."""
        return f"{self.prefix}probe:{endpoint}"

    def blocked(self, endpoint: str) -> str:
        """Exists while X refuses requests to an endpoint."""
        return f"{self.prefix}blocked:{endpoint}"

    def live(self, type_: ComplianceType) -> str:
        """What the slot of a type is doing, as JSON."""
        return f"{self.prefix}live:{type_}"

    def queue(self, type_: ComplianceType) -> str:
        """What waits, as JSON."""
        return f"{self.prefix}queue:{type_}"

    def places(self, type_: ComplianceType) -> str:
        """Places of waiting batches, a hash of batch id to JSON."""
        return f"{self.prefix}places:{type_}"

    def durations(self, type_: ComplianceType) -> str:
        """How long the last jobs of a type took, as JSON, newest first."""
        return f"{self.prefix}took:{type_}"

    def failures(self, name: str) -> str:
        """How often a step failed in a row."""
        return f"{self.prefix}failures:{name}"

    @property
    def counted(self) -> str:
        """What is counted for metrics, a hash of whole numbers. It never ends by itself."""
        return f"{self.prefix}counted"

    def unsettled(self, type_: ComplianceType) -> str:
        """Which open batches have ended or are parked, as JSON."""
        return f"{self.prefix}unsettled:{type_}"

    @property
    def backlog(self) -> str:
        """How many events wait for their listeners."""
        return f"{self.prefix}backlog"

    def alive(self, role: str) -> str:
        """Processes of workers of a role, each with the millisecond until which it counts as alive."""
        return f"{self.prefix}alive:{role}"

    def published(self, batch_id: BatchId) -> str:
        """Which events of a batch are on the results queue."""
        return f"{self.prefix}published:{batch_id}"

    def life(self, stream: str) -> str:
        """The life of a stream of events, a hash beside it: its id, and what tells that it is still the same stream."""
        return f"{self.prefix}life:{stream}"
