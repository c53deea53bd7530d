"""Shows which open batches have ended and are not delivered, or are parked: what somebody may have to look at."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from complyq_producer.errors import EventsError
from complyq_producer.parked import parked_facts
from complyq_workers.coordination import Unsettled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from complyq_producer.ledger import BatchView
    from complyq_producer.model import BatchId, ComplianceType
    from complyq_workers.pipeline.ports import Ports

MOST_SHOWN = 1000
"""The oldest so many; more of them are no other news."""


def show_unsettled(
    ports: Ports, type_: ComplianceType, marked: Sequence[BatchId], looked_at: Mapping[BatchId, BatchView | None]
) -> None:
    """Show what a sweep saw, and what earlier ones saw of batches that it did not look at.

    Args:
        ports: the outside world.
        type_: the type.
        marked: all open batches of the type.
        looked_at: those that this sweep looked at.
    """
    open_ones = set(marked) - set(looked_at)
    shown = [batch for batch in ports.coordination.unsettled(type_) or [] if batch.batch_id in open_ones]
    now = ports.clock.now()
    shown += [found for view in looked_at.values() if view and (found := _unsettled(view, now))]
    ports.coordination.show_unsettled(type_, sorted(shown, key=lambda batch: batch.since)[:MOST_SHOWN])


def show_backlog(ports: Ports) -> None:
    """Show how many events wait for their listeners. A queue that does not tell is noticed when events are published."""
    with suppress(EventsError):
        backlog = ports.events.backlog()
        if backlog is not None:
            ports.coordination.show_backlog(backlog)


def _unsettled(view: BatchView, now: datetime) -> Unsettled | None:
    ended = view.outcome if not view.published else None
    parked = parked_facts(view, now)
    moments = [fact.recorded_at for fact in parked] + ([ended.recorded_at] if ended else [])
    if not moments:
        return None
    return Unsettled(batch_id=view.record.batch_id, since=min(moments), has_ended=ended is not None, parked=len(parked))
