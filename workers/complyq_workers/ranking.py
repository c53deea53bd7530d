"""The order in which parts are planned: fair, bounded, and the same for whoever works it out. Pure.

A part's rank is a moment: when its batch was accepted, later for each part before it, earlier or later by its
priority, earlier where a deadline nears. It never changes, and it is never more than `MAX_LEAD` before the acceptance.
So of all that is accepted later than `MAX_LEAD` after a part's rank nothing overtakes it: nobody is starved.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from complyq_producer.live import LivePlace
from complyq_producer.model import BatchId, Priority

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from complyq_producer.facts import BatchRecord

PRIORITY_SHIFT = {
    Priority.LOW: timedelta(hours=1),
    Priority.NORMAL: timedelta(0),
    Priority.HIGH: timedelta(hours=-1),
    Priority.URGENT: timedelta(hours=-6),
}
"""How much later (or earlier) than it was a batch counts as accepted."""
PART_DELAY = timedelta(minutes=10)
"""How much later each further part of a batch counts as accepted: small batches overtake the rest of a huge one."""
DEADLINE_LEAD = timedelta(hours=6)
"""A part ranks at the latest so long before the deadline of its batch: before all that is accepted from then on."""
MAX_LEAD = timedelta(hours=6)
"""No part ranks earlier than this before its batch was accepted, however urgent it is said to be."""


class WaitingBatch(msgspec.Struct, frozen=True, gc=False):
    """What ordering and packing need to know of an accepted batch. Thousands of them are kept in memory.

    Attributes:
        batch_id: the batch.
        accepted_at: by the store's clock.
        priority: as it was asked for.
        deadline: when its results are due, if that was said.
        counts: the IDs of each part.
        sizes: the bytes of each part.
    """

    batch_id: BatchId
    accepted_at: datetime
    priority: Priority
    deadline: datetime | None
    counts: tuple[int, ...]
    sizes: tuple[int, ...]


class RankedPart(msgspec.Struct, frozen=True, gc=False, order=True):
    """A part in its place: earlier ranks come first, of equal ones the batch that was staged first."""

    rank: datetime
    batch_id: BatchId
    part: int
    count: int
    bytes: int
    of: int

    @property
    def key(self) -> tuple[BatchId, int]:
        """The part, whatever its place."""
        return self.batch_id, self.part


def waiting_batch(record: BatchRecord, accepted_at: datetime) -> WaitingBatch:
    """Keep of a batch's record what is needed here."""
    return WaitingBatch(
        batch_id=record.batch_id,
        accepted_at=accepted_at,
        priority=record.priority,
        deadline=record.deadline,
        counts=tuple(part.count for part in record.parts),
        sizes=tuple(part.bytes for part in record.parts),
    )


def ranked(batches: Iterable[WaitingBatch]) -> list[RankedPart]:
    """Return all parts of some batches in order."""
    return sorted(
        RankedPart(rank(batch, part), batch.batch_id, part, count, size, len(batch.sizes))
        for batch in batches
        for part, (count, size) in enumerate(zip(batch.counts, batch.sizes, strict=True))
    )


def rank(batch: WaitingBatch, part: int) -> datetime:
    """Return when a part counts as accepted."""
    due = batch.accepted_at + PRIORITY_SHIFT[batch.priority] + part * PART_DELAY
    if batch.deadline:
        due = min(
            due, max(batch.deadline, batch.accepted_at) - DEADLINE_LEAD
        )  # earlier changes nothing, and dates have a beginning
    return max(due, batch.accepted_at - MAX_LEAD)


def places(waiting: Sequence[RankedPart], room: int, *, merge: bool) -> list[LivePlace]:
    """Return the place of each waiting batch, and how many jobs go before the one that carries its last part.

    Args:
        waiting: all parts that wait, in order.
        room: the bytes that a job carries.
        merge: whether batches share jobs.
    """
    last_job: dict[BatchId, int] = {}
    passed = 0
    for part in waiting if merge else _by_batch(waiting):
        if not merge and part.batch_id not in last_job:
            passed = -(-passed // room) * room  # a batch begins with a job
        passed += part.bytes
        last_job[part.batch_id] = (passed - 1) // room
    return [LivePlace(batch_id=b, place=place, jobs_ahead=jobs) for place, (b, jobs) in enumerate(last_job.items(), 1)]


def _by_batch(waiting: Sequence[RankedPart]) -> list[RankedPart]:
    first: dict[BatchId, int] = {}
    for place, part in enumerate(waiting):
        first.setdefault(part.batch_id, place)
    return sorted(waiting, key=lambda part: first[part.batch_id])
