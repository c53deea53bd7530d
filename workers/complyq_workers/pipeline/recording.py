"""Records which results a job gave: the fact that makes them count."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from complyq_producer.facts import Collected, CollectedPage, CollectedPart
from complyq_workers.pipeline.finishing import checked_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from complyq_producer.facts import Plan, ResultsObject
    from complyq_producer.ledger import JobView
    from complyq_producer.model import BatchId, ObjectFormat
    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.results import PartSummary

    PartKey = tuple[BatchId, int]

log = structlog.get_logger(__name__)

PAGE_PARTS = 128
"""More parts than this stand on pages of their own."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """The stored results of a part: of one object, and where it is `also` stored in other formats."""

    batch_id: BatchId
    part: int
    summary: PartSummary
    key: str
    format: ObjectFormat
    rejected_key: str | None
    also: tuple[ResultsObject, ...] = ()


def record_results(ports: Ports, job: JobView, stored: Sequence[StoredPart], foreign: int) -> None:
    """Fix which objects hold the results of a job, their checksums, and how they are cut into messages."""
    inline = _inline_batches(ports, job.plan, stored) if job.plan else set()
    ordered = sorted(stored, key=lambda part: (part.batch_id, part.part))
    parts = [_collected_part(part, inline=part.batch_id in inline) for part in ordered]
    cuts = _cuts(job.plan) if job.plan else []
    collected = Collected(
        available=True,
        parts=[] if cuts else parts,
        pages=_write_pages(ports, job, cuts, parts),
        checked_at=checked_at(ports, job),
        foreign=foreign,
        remote_id=job.remote_id,
        planned_at=job.plan.recorded_at if job.plan else None,
        traceparent=job.plan.traceparent if job.plan else None,
    )
    _, ours = ports.facts.create(job.keys.collected, collected)
    if ours:
        log.info("results_collected", plan=job.keys.plan_number, results=sum(part.count for part in parts))


def _cuts(plan: Plan) -> list[PartKey]:
    """Return the first part on each page, none where all stand together.

    Whoever collects cuts at the same places, also where batches have ended since another worker wrote some pages.
    """
    parts = sorted((part.batch_id, part.part) for part in plan.parts)
    return parts[::PAGE_PARTS] if len(parts) > PAGE_PARTS else []


def _write_pages(ports: Ports, job: JobView, cuts: Sequence[PartKey], parts: Sequence[CollectedPart]) -> list[BatchId]:
    """Write the pages, which count once the fact that names them exists; return the first batch on each."""
    pages: list[list[CollectedPart]] = [[] for _ in cuts]
    for part in parts if cuts else ():
        pages[bisect_right(cuts, (part.batch_id, part.part)) - 1].append(part)
    facts = [(job.keys.page(index), CollectedPage(parts=page)) for index, page in enumerate(pages)]
    ports.together(lambda page: ports.facts.create(*page), facts)
    return [batch_id for batch_id, _ in cuts]


def _collected_part(part: StoredPart, *, inline: bool) -> CollectedPart:
    summary = part.summary
    return CollectedPart(
        batch_id=part.batch_id,
        part=part.part,
        key=part.key,
        format=part.format,
        count=summary.count,
        bytes=summary.bytes,
        sha256=summary.sha256,
        by_action=summary.by_action,
        by_reason=summary.by_reason,
        rejected=summary.rejected,
        rejected_key=part.rejected_key,
        inline=inline,
        messages=summary.messages if inline else [summary.count] if summary.count else [],
        also=list(part.also),
    )


def _inline_batches(ports: Ports, plan: Plan, stored: Sequence[StoredPart]) -> set[BatchId]:
    """Return the batches whose results, with those of earlier jobs, are few enough to travel inside the events."""
    results: Counter[BatchId] = Counter()
    for part in stored:
        results[part.batch_id] += part.summary.count
    elsewhere = [batch_id for batch_id in plan.divided_batches if batch_id in results]
    earlier = ports.together(lambda batch_id: _counted_before(ports, batch_id), elsewhere)
    results.update(dict(zip(elsewhere, earlier, strict=True)))
    return {batch_id for batch_id, count in results.items() if count <= ports.limits.events_inline_max}


def _counted_before(ports: Ports, batch_id: BatchId) -> int:
    view = ports.ledger.batch(batch_id)
    return sum(part.results.count for part in view.checked.values()) if view else 0
