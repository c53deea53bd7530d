"""What crashed whoever worked on it and waits for somebody to look at it, as people and programs see it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from complyq_producer.model import BatchId, ComplianceType

if TYPE_CHECKING:
    from complyq_producer.facts import Parked
    from complyq_producer.ledger import BatchView


class ParkedWork(msgspec.Struct, frozen=True, kw_only=True):
    """A job of a batch, or its publishing, that is left alone until it is released or its time is over."""

    batch_id: BatchId
    type: ComplianceType
    name: str | None
    plan: int | None
    """The plan whose job is parked; None where publishing the batch is."""
    step: str
    """What crashed: upload_job, collect_job, publish_batch …"""
    reason: str
    since: datetime
    fails_at: datetime | None
    """When the batch fails, unless the job is released before; None where publishing is parked."""
    retried_at: datetime | None
    """When parked publishing is tried again by itself; None where a job is parked."""


def parked_facts(view: BatchView, now: datetime) -> list[Parked]:
    """Return what of a batch waits to be released."""
    publishing = view.parked_publishing(now)
    return [*view.parked_jobs(), *([publishing] if publishing else [])]


def parked_work(view: BatchView, fact: Parked) -> ParkedWork:
    """Put together what is told of one parked piece of work."""
    is_job = fact.plan is not None
    return ParkedWork(
        batch_id=view.record.batch_id,
        type=view.record.type,
        name=view.record.name,
        plan=fact.plan,
        step=fact.step,
        reason=fact.reason,
        since=fact.recorded_at,
        fails_at=fact.until if is_job else None,
        retried_at=None if is_job else fact.until,
    )
