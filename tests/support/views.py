"""Batches and jobs as the planner sees them, made up without a store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from complyq_producer.facts import (
    PARKED,
    Attempt,
    BatchRecord,
    Collected,
    CollectedPart,
    Finished,
    Parked,
    PartInfo,
    Plan,
    PlannedPart,
)
from complyq_producer.layout import JobKeys
from complyq_producer.ledger import BatchView, CheckedPart, JobView
from complyq_producer.model import BatchId, ComplianceType, JobId, Priority, RemoteId
from complyq_workers.planner import Candidates, Decision, Rules, Trouble, decide_next
from complyq_workers.ranking import ranked, waiting_batch

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TWEETS = ComplianceType.TWEETS
HALF_A_DAY = timedelta(hours=12)
RULES = Rules(max_bytes=1000, max_attempts=3, merge=True, pause=timedelta(seconds=30))
CALM = Trouble()


def batch(
    name: str,
    *,
    parts: int = 1,
    size: int = 100,
    accepted: datetime = NOON,
    priority: Priority = Priority.NORMAL,
    deadline: datetime | None = None,
) -> BatchView:
    """Make an accepted batch of parts of `size` bytes."""
    infos = [PartInfo(index=index, first=1, last=9, count=10, bytes=size) for index in range(parts)]
    record = BatchRecord(
        batch_id=BatchId(name), type=TWEETS, name=None, key=None, labels={}, priority=priority, deadline=deadline,
        digest="", submitted=10, invalid=0, duplicates=0, unique=10 * parts, parts=infos,
    )  # fmt: skip
    return BatchView(record=record, accepted_at=accepted)


def failed(
    plan: int, *, counted: bool = True, max_bytes: int | None = None, status: str = "failed", at: datetime = NOON
) -> Attempt:
    """Make an attempt at a part."""
    return Attempt(plan=plan, status=status, error="boom", counted=counted, max_bytes=max_bytes, recorded_at=at)


def parked_in(plan: int, view: BatchView, *parts: int) -> BatchView:
    """Say that a plan with some parts of a batch was parked at noon, for twelve hours."""
    attempts = {part: [*view.attempts.get(part, []), failed(plan, counted=False, status=PARKED)] for part in parts}
    fact = Parked(
        name=str(plan), plan=plan, step="upload_job", starts=5, reason="it crashed", until=NOON + HALF_A_DAY,
        recorded_at=NOON,
    )  # fmt: skip
    return replace(view, attempts={**view.attempts, **attempts}, parked={**view.parked, fact.name: fact})


def checked(part: int) -> CheckedPart:
    """Make the results of a part."""
    results = CollectedPart(
        batch_id=BatchId("a"), part=part, key="k", count=1, bytes=1, sha256="", by_action={}, by_reason={},
        rejected=0, rejected_key=None, inline=True, messages=[1],
    )  # fmt: skip
    return CheckedPart(1, RemoteId("1"), NOON, results)


def job(number: int, *parts: tuple[str, int], status: str | None = None, is_to_blame: bool = False) -> JobView:
    """Make a plan; with a status its job has ended, and `is_to_blame` says that it failed."""
    planned = [PlannedPart(batch_id=BatchId(name), part=part, attempt=1, count=10, bytes=100) for name, part in parts]
    plan = Plan(type=TWEETS, number=number, job_id=JobId("j"), parts=planned, payload=[], count=0, bytes=0)
    end = Finished(status=status, remote_id=None, failed=is_to_blame) if status else None
    return JobView(JobKeys(TWEETS, number), plan=plan, finished=end)


def split(number: int, *names: str) -> JobView:
    """Make a plan with the first part of some batches whose job failed."""
    return job(number, *((name, 0) for name in names), status="failed", is_to_blame=True)


def done(number: int, *names: str) -> JobView:
    """Make a closed plan with the first part of some batches."""
    nothing = Collected(available=True, parts=[], checked_at=NOON)
    return replace(job(number, *((name, 0) for name in names), status="complete"), collected=nothing)


def decide(
    batches: Sequence[BatchView],
    jobs: Sequence[JobView] = (),
    rules: Rules = RULES,
    trouble: Trouble = CALM,
    now: datetime = NOON,
) -> Decision:
    """Decide what the next job of some open batches carries."""
    ordered = ranked(waiting_batch(view.record, view.accepted_at) for view in batches)
    views = {view.record.batch_id: view for view in batches}

    def look(batch_ids: Sequence[BatchId]) -> Mapping[BatchId, BatchView | None]:
        return {batch_id: views[batch_id] for batch_id in batch_ids}

    return decide_next(Candidates(ordered, look, rules.max_attempts), jobs, rules, trouble, now)


def parts_of(decision: Decision) -> list[tuple[str, int]]:
    """Return what the next job carries."""
    return [(part.batch_id, part.part) for part in decision.draft.parts] if decision.draft else []


def batches_of(decision: Decision) -> str:
    """Return the batches, of one letter each, that have a part in the next job."""
    return "".join(dict.fromkeys(name for name, _ in parts_of(decision)))
