"""What a load needs, worked out from measured costs, X's limits and list prices. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from costing.costs import charged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from costing.costs import Costs

DAY, MONTH = 86_400, 30 * 86_400
"""Seconds."""
_HOUR = 3_600
_SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class XLimits:
    """What X allows an App, for each type of IDs."""

    upload_bytes: int = 120_000_000
    """COMPLYQ_MAX_UPLOAD_BYTES."""
    creates: int = 150
    window_seconds: int = 900


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars, list prices of AWS in us-east-1 as they were in 2026; they change."""

    thousand_writes: float = 0.005
    """S3 Standard: PUT, COPY, POST, LIST."""
    thousand_reads: float = 0.0004
    """S3 Standard: GET and all others; DELETE is free."""
    gb_month: float = 0.023
    """S3 Standard, the first 50 TB."""
    cpu_hour: float = 0.04048
    """Fargate, Linux on x86, a vCPU."""
    memory_gb_hour: float = 0.004445
    """Fargate, a GB of memory."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is of everything at the base: a small machine, a Redis, a prefix in a bucket."""

    cpus: int = 2
    redis_cpus: int = 1
    """Redis runs commands in one thread."""
    writes_a_second: int = 3_500
    """S3, for a prefix that it has not split up."""
    reads_a_second: int = 5_500


@dataclass(frozen=True, slots=True)
class Load:
    """Batches that come evenly."""

    batches_a_second: float
    ids_a_batch: int

    @property
    def ids_a_second(self) -> float:
        """IDs that come in a second."""
        return self.batches_a_second * self.ids_a_batch

    def times(self, factor: float) -> Load:
        """Return so many times the load, in batches of the same size."""
        return Load(self.batches_a_second * factor, self.ids_a_batch)

    def in_batches_of(self, ids: int) -> Load:
        """Return as many IDs, in batches of another size."""
        return Load(self.ids_a_second / ids, ids)


BASE_LOAD = Load(1.0, 5_000)


@dataclass(frozen=True, slots=True)
class PerBatch:
    """What one batch costs, without what is done by the clock. Bytes are kept."""

    worker_cpu_seconds: float
    producer_cpu_seconds: float
    redis_commands: float
    redis_cpu_seconds: float
    writes: float
    reads: float
    stored_bytes: float
    event_bytes: float
    remembered_bytes: float
    payload_bytes: float

    @classmethod
    def of(cls, costs: Costs) -> PerBatch:
        """Divide what some batches cost; sweeps come by the clock, and are left out."""
        figures, batches = costs.figures, costs.batches
        sweep = figures.steps.get(_SWEEP)
        writes, reads = charged(sweep.requests) if sweep else (0, 0)
        return cls(
            worker_cpu_seconds=(costs.worker_cpu_seconds - (sweep.cpu_seconds if sweep else 0)) / batches,
            producer_cpu_seconds=figures.enqueue.cpu_seconds / batches,
            redis_commands=figures.redis.commands / batches,
            redis_cpu_seconds=figures.redis.cpu_seconds / batches,
            writes=(costs.writes - writes) / batches,
            reads=(costs.reads - reads) / batches,
            stored_bytes=costs.stored_bytes / batches,
            event_bytes=figures.events.bytes / batches,
            remembered_bytes=figures.remembered_bytes / batches,
            payload_bytes=costs.payload_bytes / batches,
        )


@dataclass(frozen=True, slots=True)
class Sweeping:
    """The searches for lost work: at most so many open batches are looked at, in two listings each."""

    seconds: float = 10.0
    """Between two; half of COMPLYQ_SWEEP_SECONDS, where several workers hint at them."""
    looked_at: int = 256

    def writes_a_second(self, open_batches: float) -> float:
        """Listings in a second, of one App."""
        return 2 * min(self.looked_at, open_batches) / self.seconds


def ids_a_job(limits: XLimits, bytes_an_id: float) -> int:
    """Return how many IDs fit into a job."""
    return int(limits.upload_bytes / bytes_an_id)


def ids_a_second_of_app(limits: XLimits, bytes_an_id: float, slot_seconds: float) -> float:
    """Return how many IDs of a type one App can have checked in a second.

    Args:
        limits: of X.
        bytes_an_id: with its line feed.
        slot_seconds: from one job's creation to the next: upload, X's work, and until that is noticed.
    """
    return ids_a_job(limits, bytes_an_id) / max(slot_seconds, limits.window_seconds / limits.creates)


def apps(load: Load, capacity: float) -> int:
    """Return how many Apps have the slots that a load needs."""
    return ceil(load.ids_a_second / capacity)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a load needs. Rates are a second's; memory of Redis after `remembered_hours`."""

    apps: int
    worker_cpus: float
    redis_commands: float
    redis_cpus: float
    writes: float
    reads: float
    stored_gb_a_day: float
    event_gb_a_day: float
    remembered_gb: float
    dollars: dict[str, float]
    """A month's, by what they are paid for; storage for what one month adds, and every month that it is kept."""


def needs(
    load: Load, unit: PerBatch, slot_seconds: float, *, limits: XLimits, prices: Prices, remembered_hours: int = 168
) -> Needs:
    """Work out what a load needs in steady operation.

    Args:
        load: what comes.
        unit: what a batch of this size costs.
        slot_seconds: how long a job has the slot.
        limits: of X.
        prices: what is charged.
        remembered_hours: COMPLYQ_EVENTS_REPLAY_HOURS.
    """
    pace = load.batches_a_second
    capacity = ids_a_second_of_app(limits, unit.payload_bytes / load.ids_a_batch, slot_seconds)
    count = apps(load, capacity)
    # A batch waits for half a job on average, then for its own.
    sweeping = count * Sweeping().writes_a_second(1.5 * slot_seconds * pace / count)
    writes, reads = pace * unit.writes + sweeping, pace * unit.reads
    cpus = pace * unit.worker_cpu_seconds
    redis_cpus = pace * unit.redis_cpu_seconds
    remembered_gb = pace * unit.remembered_bytes * remembered_hours * _HOUR / 1e9
    stored_gb = pace * unit.stored_bytes * DAY / 1e9
    hours = MONTH / _HOUR
    return Needs(
        apps=count,
        worker_cpus=cpus,
        redis_commands=pace * unit.redis_commands,
        redis_cpus=redis_cpus,
        writes=writes,
        reads=reads,
        stored_gb_a_day=stored_gb,
        event_gb_a_day=pace * unit.event_bytes * DAY / 1e9,
        remembered_gb=remembered_gb,
        dollars={
            "store, writes and listings": writes * MONTH / 1_000 * prices.thousand_writes,
            "store, reads": reads * MONTH / 1_000 * prices.thousand_reads,
            "store, bytes": stored_gb * MONTH / DAY * prices.gb_month,
            "processors": (cpus + redis_cpus) * hours * prices.cpu_hour,
            "memory of Redis": remembered_gb * hours * prices.memory_gb_hour,
        },
    )


def dollars_a_million_ids(unit: PerBatch, ids_a_batch: float, prices: Prices) -> float:
    """Return what checking a million IDs costs in batches of this size: requests and processors, without keeping anything."""
    hours = (unit.worker_cpu_seconds + unit.redis_cpu_seconds) / _HOUR
    requests = (unit.writes * prices.thousand_writes + unit.reads * prices.thousand_reads) / 1_000
    return (requests + hours * prices.cpu_hour) / ids_a_batch * 1e6


@dataclass(frozen=True, slots=True)
class Bound:
    """Something that there is only so much of, and how many times the base load it carries."""

    what: str
    times: float


def bounds(unit: PerBatch, load: Load, limits: XLimits, machine: Machine) -> list[Bound]:
    """List what bounds one App on one small machine, what runs out first on top."""
    return sorted(_bounds(unit, load, limits, machine), key=lambda bound: bound.times)


def _bounds(unit: PerBatch, load: Load, limits: XLimits, machine: Machine) -> Iterator[Bound]:
    bytes_an_id = unit.payload_bytes / load.ids_a_batch
    for name, seconds in (("an hour", 3_600), ("ten minutes", 600), ("a minute", 60), ("no time", 0)):
        capacity = ids_a_second_of_app(limits, bytes_an_id, seconds)
        yield Bound(f"the slot, where X takes {name}", capacity / load.ids_a_second)
    pace = load.batches_a_second
    yield Bound(f"{machine.cpus} processors for workers", machine.cpus / (pace * unit.worker_cpu_seconds))
    yield Bound("the one thread of a Redis", machine.redis_cpus / (pace * unit.redis_cpu_seconds))
    yield Bound("S3, writes and listings of a prefix", machine.writes_a_second / (pace * unit.writes))
    yield Bound("S3, reads of a prefix", machine.reads_a_second / (pace * unit.reads))
