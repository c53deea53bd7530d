"""How long X takes over jobs: learnt as they end, kept in Redis, found again in the facts where Redis was lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from complyq_producer.estimates import Expectation, JobDuration, expect
from complyq_workers.coordination import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.ledger import JobView
    from complyq_producer.model import ComplianceType
    from complyq_workers.pipeline.ports import Ports

SEEN_SECONDS = 86_400.0
"""For how long it is remembered when a job was last seen at work."""
FOUND_AGAIN = 15
"""So many of the last jobs are asked where Redis does not know."""
SHORTEST_AHEAD = 5.0
"""Seconds: before the end of a job that takes less nothing is made ready."""
LONGEST_LEAD = 10.0


def note_seen_active(ports: Ports, job: JobView) -> None:
    """Remember that X has just shown a job at work."""
    ports.coordination.postpone(_seen(job), SEEN_SECONDS)


def is_awaited(ports: Ports, job: JobView) -> bool:
    """Whether somebody has begun to wait for the end of a job. Once is enough: clocks of two machines may disagree."""
    awaited = f"awaited:{job.keys.type}:{job.keys.plan_number}"
    if ports.coordination.seconds_until_due(awaited) > 0:
        return True
    ports.coordination.postpone(awaited, SEEN_SECONDS)
    return False


def last_seen_active(ports: Ports, job: JobView) -> datetime | None:
    """Return when X last showed a job at work, if that is known."""
    left = ports.coordination.seconds_until_due(_seen(job))
    return ports.clock.now() - timedelta(seconds=SEEN_SECONDS - left) if left > 0 else None


def learn(ports: Ports, job: JobView) -> None:
    """Remember how long a job took that X completed."""
    duration = _duration(job)
    if duration:
        ports.coordination.note_duration(job.keys.type, duration)
        ports.coordination.observe(Histogram.JOB, job.keys.type, duration.most)


def durations_of(ports: Ports, type_: ComplianceType) -> list[JobDuration]:
    """Return how long the last jobs of a type took, the newest first."""
    known = ports.coordination.durations(type_)
    if known:
        return known
    found = [duration for duration in map(_duration, _last_jobs(ports, type_)) if duration]
    for duration in reversed(found):
        ports.coordination.note_duration(type_, duration)
    return found


def seconds_processed(ports: Ports, job: JobView) -> float:
    """Return for how long X has had the IDs of a job."""
    return max(0.0, (ports.clock.now() - job.uploaded.recorded_at).total_seconds()) if job.uploaded else 0.0


def ready_at(expected: Expectation) -> float | None:
    """Return how many seconds after its upload a job's end is so near that the next one is made ready."""
    if expected.early < SHORTEST_AHEAD:
        return None
    return expected.early - min(1.0 + expected.early / 50, LONGEST_LEAD)


def ends_soon(ports: Ports, job: JobView) -> bool:
    """Whether the end of a job is near, as far as can be told. Of one that is overdue it cannot."""
    if job.uploaded is None or not job.uploaded.complete:
        return False
    expected = expect(durations_of(ports, job.keys.type), job.count)
    begins = ready_at(expected) if expected else None
    if expected is None or begins is None:
        return False
    return begins <= seconds_processed(ports, job) <= expected.late + ports.limits.poll_min_seconds


def _duration(job: JobView) -> JobDuration | None:
    finished, uploaded = job.finished, job.uploaded
    if finished is None or uploaded is None or not finished.has_results:
        return None
    since = uploaded.recorded_at
    most = max(0.0, (finished.recorded_at - since).total_seconds())
    least = (finished.active_at - since).total_seconds() if finished.active_at else 0.0
    return JobDuration(job.count, min(max(0.0, least), most), most)


def _last_jobs(ports: Ports, type_: ComplianceType) -> Iterator[JobView]:
    highest = max(ports.ledger.marked_plans(type_), default=0)
    return (ports.ledger.job(type_, number) for number in range(highest, max(0, highest - FOUND_AGAIN), -1))


def _seen(job: JobView) -> str:
    return f"seen_active:{job.keys.type}:{job.keys.plan_number}"
