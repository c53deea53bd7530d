"""What the workers of a simulated world work with: its clock, and ports that go through its gates."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from complyq_producer.estimates import JobDuration
from complyq_producer.live import LiveBudget, LiveJob, LivePlace, LiveQueue
from complyq_producer.model import BatchId, ComplianceType
from complyq_producer.store import ObjectStore
from complyq_workers.coordination import Coordination
from complyq_workers.events import EventPublisher
from complyq_workers.pipeline import Limits, Ports, Remote
from complyq_workers.sealing import Sealer
from complyq_workers.together import one_by_one
from complyq_workers.x import StaticBearer, Transport, XClient
from simulation.gates import Gate
from simulation.shape import EPOCH, MAX_ATTEMPTS, Shape
from simulation.x_server import API, SECRET
from simulation.x_transport import SimulatedTransport

if TYPE_CHECKING:
    from simulation.world import World

LEASE_SECONDS = 30.0
SWEEP_SECONDS = 20.0


class WorldClock:
    """The clock of the machine on which the running actor runs."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        """Return the world's time, ahead or behind by the machine's error."""
        skew = self._world.running.skew if self._world.running else 0.0
        return EPOCH + timedelta(seconds=self._world.now + skew)

    def monotonic(self) -> float:
        """Return the world's time."""
        return self._world.now

    def sleep(self, seconds: float) -> None:
        """Let others run meanwhile."""
        self._world.pause(seconds)


class NothingLive:
    """Knows nothing of the workers."""

    def answers(self) -> bool:
        """There is nobody to ask."""
        return False

    def job(self, type_: ComplianceType) -> LiveJob | None:
        """Know nothing."""
        return None

    def queue(self, type_: ComplianceType) -> LiveQueue | None:
        """Know nothing."""
        return None

    def position(self, type_: ComplianceType, batch_id: BatchId) -> LivePlace | None:
        """Know nothing."""
        return None

    def durations(self, type_: ComplianceType) -> list[JobDuration]:
        """Know nothing."""
        return []

    def budgets(self) -> dict[str, LiveBudget]:
        """Know nothing."""
        return {}


def ports_of(world: World) -> Ports:
    """Make the ports that all workers of a world share."""
    coordination = cast("Coordination", Gate(world, "coordination", world.coordination))
    clock, transport = WorldClock(world), cast("Transport", SimulatedTransport(world))
    return Ports(
        store=cast("ObjectStore", Gate(world, "store", world.store)),
        coordination=coordination,
        remote=Remote(XClient(API, transport, StaticBearer(f"{SECRET}-bearer")), coordination, clock),
        transport=transport,
        events=cast("EventPublisher", Gate(world, "events", world.events)),
        sealer=_sealer(),
        limits=_limits(world.spool, world.shape),
        clock=clock,
        keep_lease=world.keep_lease,
        together=one_by_one,
    )


@cache
def _sealer() -> Sealer:
    return Sealer("a seal key")


def _limits(spool: Path, shape: Shape) -> Limits:
    return Limits(
        namespace="simulated",
        api_url=API,
        spool_dir=spool,
        max_upload_bytes=shape.max_upload_bytes,
        merge=shape.merge,
        upload_chunk_bytes=0,
        poll_min_seconds=30.0,
        poll_max_seconds=60.0,
        max_attempts=MAX_ATTEMPTS,
        max_parked_hours=12.0,
        events_inline_max=5,
        lease_seconds=LEASE_SECONDS,
        sweep_seconds=SWEEP_SECONDS,
    )
