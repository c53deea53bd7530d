"""What was measured of some batches, and what that is for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from costing.notes import StepCost, StepNote
from costing.redis_usage import RedisUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITES = frozenset({
    "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "ListObjectsV2",
})  # fmt: skip
"""What S3 charges as PUT, COPY, POST or LIST."""
FREE = frozenset({"DeleteObject", "AbortMultipartUpload"})
"""What it does not charge. All others cost as much as a GET."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Objects in the store."""

    objects: int
    bytes: int


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Events on the results queue."""

    count: int
    bytes: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the run itself noted. `own_cpu_seconds` are those of the process that enqueues and listens."""

    jobs: int
    enqueue: StepNote
    own_cpu_seconds: float
    steps: dict[str, StepCost]
    redis: RedisUsage
    events: Events
    remembered_bytes: int
    """What Redis keeps of them beside the events, so that none is published twice."""
    stored: dict[str, Stored]
    idle_commands_a_second: float


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """One case: so many batches, which have so many IDs together, and what they cost."""

    case: str
    batches: int
    ids: int
    flagged: int
    seconds: float
    cpu_seconds: float
    """Of all processes but X and the store."""
    load: float
    figures: Figures

    @property
    def payload_bytes(self) -> int:
        """The size of the parts, which is about that of the uploads."""
        return self.figures.stored["ids"].bytes

    @property
    def worker_cpu_seconds(self) -> float:
        """Of the workers, Celery's included."""
        return self.cpu_seconds - self.figures.own_cpu_seconds - self.figures.redis.cpu_seconds

    @property
    def stored_bytes(self) -> int:
        """What is kept in the store."""
        return sum(stored.bytes for stored in self.figures.stored.values())

    @property
    def requests(self) -> dict[str, int]:
        """All requests to the store, by operation."""
        total: dict[str, int] = {}
        for sent in (self.figures.enqueue.requests, *(step.requests for step in self.figures.steps.values())):
            for operation, count in sent.items():
                total[operation] = total.get(operation, 0) + count
        return total

    @property
    def writes(self) -> int:
        """Requests that S3 charges as PUT."""
        return charged(self.requests)[0]

    @property
    def reads(self) -> int:
        """Requests that S3 charges as GET."""
        return charged(self.requests)[1]


def charged(requests: Mapping[str, int]) -> tuple[int, int]:
    """Return how many requests S3 charges as PUT, and how many as GET."""
    writes = sum(count for operation, count in requests.items() if operation in WRITES)
    free = sum(count for operation, count in requests.items() if operation in FREE)
    return writes, sum(requests.values()) - writes - free
