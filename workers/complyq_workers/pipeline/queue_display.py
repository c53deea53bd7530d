"""Shows what waits of a type, for `status`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from complyq_producer.live import LivePlace, LiveQueue, usual_seconds
from complyq_workers.pipeline.durations import durations_of
from complyq_workers.ranking import places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from complyq_producer.model import ComplianceType
    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.ranking import RankedPart, WaitingBatch

SHOWN_A_SECOND = 2000.0
"""A long queue is not worth showing at each new batch."""


def is_queue_shown(ports: Ports, type_: ComplianceType) -> bool:
    """Whether what is shown is new enough."""
    return ports.coordination.seconds_until_due(_shown(type_)) > 0


def show_queue(
    ports: Ports,
    type_: ComplianceType,
    batches: Sequence[WaitingBatch],
    waiting_parts: Sequence[RankedPart],
    jobs_before: int,
) -> None:
    """Show which batches wait, in which order, and whether they may be late.

    Args:
        ports: the outside world.
        type_: the type.
        batches: its open batches.
        waiting_parts: their parts that are in no job, in order.
        jobs_before: how many jobs run or are ready.
    """
    if is_queue_shown(ports, type_):
        return
    where = places(waiting_parts, ports.limits.max_upload_bytes, merge=ports.limits.merge)
    waiting = {place.batch_id for place in where}
    queue = LiveQueue(
        batches=len(where),
        ids=sum(part.count for part in waiting_parts),
        oldest=min((batch.accepted_at for batch in batches if batch.batch_id in waiting), default=None),
        late=_late(ports, type_, batches, where, jobs_before),
        jobs=1 + max((place.jobs_ahead for place in where), default=-1),
        shown_at=ports.clock.now(),
        places=where,
    )
    ports.coordination.show_queue(type_, queue)
    ports.coordination.postpone(_shown(type_), len(where) / SHOWN_A_SECOND)


def _late(
    ports: Ports, type_: ComplianceType, batches: Sequence[WaitingBatch], where: Sequence[LivePlace], jobs_before: int
) -> int:
    """Count the batches that may miss their deadline."""
    deadlines = {batch.batch_id: batch.deadline for batch in batches if batch.deadline}
    seconds = usual_seconds(durations_of(ports, type_)) if deadlines else None
    late = 0
    for place in where:
        deadline = deadlines.get(place.batch_id)
        ends = ports.clock.now() + timedelta(seconds=(jobs_before + place.jobs_ahead + 1) * (seconds or 0.0))
        late += deadline is not None and deadline < ends
    return late


def _shown(type_: ComplianceType) -> str:
    return f"queue_shown:{type_}"
