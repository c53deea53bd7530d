"""What the events of a batch say: its counts, objects and times, from facts alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from complyq_producer.facts import ResultsObject
from complyq_producer.ledger import BatchView, CheckedPart
from complyq_workers.endings import End
from complyq_workers.events import BatchInfo, BatchTally, ParkedInfo, ResultsRef, StoredObjectInfo

if TYPE_CHECKING:
    from complyq_producer.facts import CollectedPart, Parked
    from complyq_workers.pipeline.ports import Ports


def batch_info(view: BatchView) -> BatchInfo:
    """Return what every event says about its batch."""
    record = view.record
    return BatchInfo(batch_id=record.batch_id, type=record.type, name=record.name, key=record.key, labels=record.labels)


def parked_info(parked: Parked) -> ParkedInfo:
    """Return what the event about parked work says of it."""
    is_job = parked.plan is not None
    return ParkedInfo(
        parked=parked.name,
        plan=parked.plan,
        step=parked.step,
        reason=parked.reason,
        parked_at=parked.recorded_at,
        fails_at=parked.until if is_job else None,
        retried_at=None if is_job else parked.until,
    )


def tally(ports: Ports, view: BatchView, end: End, ended_at: datetime) -> BatchTally:
    """Add up what the jobs of a batch gave; what no job checked is unchecked."""
    record, checked = view.record, [part for _, part in sorted(view.checked.items())]
    flagged = sum(part.results.count for part in checked)
    rejected = sum(part.results.rejected for part in checked)
    answered = sum(record.parts[part.results.part].count for part in checked)
    return BatchTally(
        submitted=record.submitted,
        invalid=record.invalid,
        duplicates=record.duplicates,
        unique=record.unique,
        flagged=flagged,
        compliant=answered - flagged - rejected,
        rejected=rejected,
        unchecked=record.unique - answered,
        by_action=_total(part.results.by_action for part in checked),
        by_reason=_total(part.results.by_reason for part in checked),
        results_messages=sum(len(part.results.messages) for part in checked),
        objects=[stored for part in checked for stored in _objects(ports, part.results)],
        remote_ids=sorted({part.remote_id for part in checked if part.remote_id}),
        accepted_at=view.accepted_at,
        started_at=_started_at(ports, view),
        ended_at=ended_at,
        error=end.error,
    )


def results_ref(ports: Ports, part: CheckedPart) -> ResultsRef:
    """Return where the results of a part lie, for listeners that fetch them."""
    results = part.results
    url = ports.store.url(results.key)
    return ResultsRef(url=url, format=results.format, count=results.count, bytes=results.bytes, sha256=results.sha256)


def _objects(ports: Ports, part: CollectedPart) -> Iterator[StoredObjectInfo]:
    first = ResultsObject(key=part.key, format=part.format, bytes=part.bytes, sha256=part.sha256)
    for stored in (first, *part.also):
        yield StoredObjectInfo(
            url=ports.store.url(stored.key),
            format=stored.format,
            part=part.part,
            count=part.count,
            bytes=stored.bytes,
            sha256=stored.sha256,
        )


def _total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return dict(sorted(total.items()))


def _started_at(ports: Ports, view: BatchView) -> datetime | None:
    """Return when the first job that says to have carried the batch was planned; None if none was."""
    known = [part.planned_at for part in view.checked.values() if part.planned_at]
    plans = {part.plan for part in view.checked.values() if not part.planned_at}
    plans |= {attempt.plan for attempts in view.attempts.values() for attempt in attempts if attempt.plan}
    jobs = (ports.ledger.job(view.record.type, plan) for plan in plans)
    return min([*known, *(job.plan.recorded_at for job in jobs if job.plan)], default=None)
