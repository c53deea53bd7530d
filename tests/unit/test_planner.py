"""What the next job carries, and how a batch ends: decided from views alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from complyq_producer.facts import (
    PARKED,
    Attempt,
    BatchRecord,
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
from complyq_workers.planner import MISSING, decide_end, draft_plan, next_number, queue

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TWEETS = ComplianceType.TWEETS
HALF_A_DAY = timedelta(hours=12)


def batch(name: str, *, parts: int = 1, accepted: datetime = NOON, priority: Priority = Priority.NORMAL) -> BatchView:
    infos = [PartInfo(index=index, first=1, last=9, count=10, bytes=100) for index in range(parts)]
    record = BatchRecord(
        batch_id=BatchId(name), type=TWEETS, name=None, key=None, labels={}, priority=priority, deadline=None,
        digest="", submitted=10, invalid=0, duplicates=0, unique=10 * parts, parts=infos,
    )  # fmt: skip
    return BatchView(record=record, accepted_at=accepted)


def failed(plan: int, *, counted: bool = True, max_bytes: int | None = None, status: str = "failed") -> Attempt:
    return Attempt(plan=plan, status=status, error="boom", counted=counted, max_bytes=max_bytes)


def parked_in(plan: int, view: BatchView, *parts: int) -> BatchView:
    """Say that a plan with some parts of a batch was parked at noon, for twelve hours."""
    attempts = {part: [*view.attempts.get(part, []), failed(plan, counted=False, status=PARKED)] for part in parts}
    fact = Parked(
        name=str(plan), plan=plan, step="upload_job", starts=5, reason="it crashed", until=NOON + HALF_A_DAY,
        recorded_at=NOON,
    )  # fmt: skip
    return replace(view, attempts={**view.attempts, **attempts}, parked={**view.parked, fact.name: fact})


def checked(part: int) -> CheckedPart:
    results = CollectedPart(
        batch_id=BatchId("a"), part=part, key="k", count=1, bytes=1, sha256="", by_action={}, by_reason={},
        rejected=0, rejected_key=None, inline=True, messages=[1],
    )  # fmt: skip
    return CheckedPart(1, RemoteId("1"), NOON, results)


def job(number: int, *parts: tuple[str, int], finished: str | None = None) -> JobView:
    planned = [PlannedPart(batch_id=BatchId(name), part=part, attempt=1, count=10, bytes=100) for name, part in parts]
    plan = Plan(type=TWEETS, number=number, job_id=JobId("j"), parts=planned, payload=[], count=0, bytes=0)
    end = Finished(status=finished, remote_id=None) if finished else None
    return JobView(JobKeys(TWEETS, number), plan=plan, finished=end)


def drafted(
    batches: list[BatchView], jobs: list[JobView] | None = None, max_bytes: int = 1000
) -> list[tuple[str, int]]:
    draft = draft_plan(batches, jobs or [], max_bytes=max_bytes, max_attempts=3)
    return [(part.batch_id, part.part) for part in draft.parts] if draft else []


def test_the_batch_accepted_first_is_served_first() -> None:
    """Fair order is the order of acceptance by the store's clock."""
    assert drafted([batch("late", accepted=NOON + timedelta(seconds=1)), batch("early")]) == [("early", 0)]


def test_an_urgent_batch_overtakes_but_only_so_far() -> None:
    """Priority shifts a batch by hours, so that nobody waits for ever."""
    urgent = batch("urgent", accepted=NOON, priority=Priority.URGENT)
    assert drafted([batch("normal", accepted=NOON - timedelta(hours=5)), urgent]) == [("urgent", 0)]
    assert drafted([batch("normal", accepted=NOON - timedelta(hours=7)), urgent]) == [("normal", 0)]


def test_a_job_carries_as_many_parts_as_fit() -> None:
    """A batch above the limit runs over several jobs."""
    assert drafted([batch("a", parts=3)], max_bytes=250) == [("a", 0), ("a", 1)]


def test_a_single_part_is_planned_even_above_the_limit() -> None:
    """A limit below one part's size must not leave the batch waiting for ever."""
    assert drafted([batch("a", parts=2)], max_bytes=50) == [("a", 0)]


def test_after_a_refusal_for_size_the_next_job_is_smaller() -> None:
    """What X called too large is halved, whatever our own limit says."""
    refused = replace(batch("a", parts=4), attempts={0: [failed(1, counted=False, max_bytes=200)]})
    assert drafted([refused]) == [("a", 0), ("a", 1)]


def test_a_part_in_an_open_plan_is_not_planned_again() -> None:
    """Two plans never carry the same part at once."""
    assert drafted([batch("a", parts=2)], [job(1, ("a", 0))]) == [("a", 1)]
    assert drafted([batch("a")], [job(1, ("a", 0), finished="complete")]) == []


def test_a_part_of_a_closed_plan_without_results_is_planned_again() -> None:
    """A failed job's parts run again, and the plan says which attempt it is."""
    again = replace(batch("a"), attempts={0: [failed(1)]})
    draft = draft_plan([again], [job(1, ("a", 0), finished="failed")], max_bytes=1000, max_attempts=3)
    assert draft is not None
    assert draft.parts[0].attempt == 2


def test_cancelled_and_exhausted_batches_are_not_planned() -> None:
    """No job is spent on a batch whose end is certain."""
    exhausted = replace(batch("b"), attempts={0: [failed(1), failed(2), failed(3)]})
    assert drafted([replace(batch("a"), cancel_requested=True), exhausted]) == []


def test_a_batch_is_completed_when_every_part_is_checked() -> None:
    """Even if somebody asked to cancel it meanwhile: the work is done."""
    view = replace(batch("a", parts=2), checked={0: checked(0), 1: checked(1)}, cancel_requested=True)
    end = decide_end(view, max_attempts=3, now=NOON)
    assert end is not None
    assert end.state == "completed"


def test_a_batch_fails_after_the_attempts_it_may_have() -> None:
    """The reason names the last job's error."""
    view = replace(batch("a"), attempts={0: [failed(1), failed(2), failed(3)]})
    end = decide_end(view, max_attempts=3, now=NOON)
    assert end is not None
    assert end.state == "failed"
    assert "boom" in str(end.error)


def test_attempts_that_do_not_count_fail_nobody() -> None:
    """Lapsed upload windows are our fault or the network's, not the batch's."""
    view = replace(batch("a"), attempts={0: [failed(n, counted=False) for n in range(1, 9)]})
    assert decide_end(view, max_attempts=3, now=NOON) is None
    assert drafted([view]) == [("a", 0)]


def test_a_batch_that_lost_a_part_fails_at_once() -> None:
    """Nothing can bring the IDs back, so nobody should wait for them."""
    view = replace(batch("a"), attempts={0: [failed(0, status=MISSING)]})
    end = decide_end(view, max_attempts=3, now=NOON)
    assert end is not None
    assert end.state == "failed"


def test_a_cancelled_batch_ends_and_an_ended_one_stays() -> None:
    """Cancelling needs no job, and happens once."""
    end = decide_end(replace(batch("a"), cancel_requested=True), max_attempts=3, now=NOON)
    assert end is not None
    assert end.state == "cancelled"


def test_parked_parts_wait_until_they_are_released() -> None:
    """The others are planned meanwhile; released they are planned like any other, also where they were parked before."""
    view = parked_in(1, batch("a", parts=3), 0, 2)
    assert drafted([view]) == [("a", 1)]
    assert drafted([replace(view, released=frozenset({"1"}))]) == [("a", 0), ("a", 1), ("a", 2)]
    again = parked_in(2, replace(view, released=frozenset({"1"})), 0)
    assert drafted([again]) == [("a", 1), ("a", 2)]


def test_a_batch_that_is_parked_as_a_whole_holds_nobody_up() -> None:
    """It has no place in the queue: the next batch is served."""
    poisoned = parked_in(1, batch("early"), 0)
    late = batch("late", accepted=NOON + timedelta(seconds=1))
    assert drafted([poisoned, late]) == [("late", 0)]
    assert [view.record.batch_id for view in queue([poisoned, late], max_attempts=3)] == ["late"]


def test_a_parked_batch_fails_when_its_time_is_over() -> None:
    """With a reason that names what crashed; released or checked in time it goes on."""
    view = parked_in(1, batch("a", parts=2), 0)
    late = NOON + HALF_A_DAY
    assert decide_end(view, max_attempts=3, now=late - timedelta(seconds=1)) is None
    end = decide_end(view, max_attempts=3, now=late)
    assert end is not None
    assert end.state == "failed"
    assert end.error == "it crashed (plan 1); it was parked since 2026-11-22 12:00 UTC and nobody released it"
    assert decide_end(replace(view, released=frozenset({"1"})), max_attempts=3, now=late) is None
    assert decide_end(replace(view, checked={0: checked(0)}), max_attempts=3, now=late) is None


def test_a_parked_batch_that_is_cancelled_is_cancelled() -> None:
    """Also when its time is over: that is what was asked for."""
    view = replace(parked_in(1, batch("a"), 0), cancel_requested=True)
    end = decide_end(view, max_attempts=3, now=NOON + 2 * HALF_A_DAY)
    assert end is not None
    assert end.state == "cancelled"


def test_plan_numbers_have_no_gaps() -> None:
    """A marker without a plan is a number that a planner which died did not use."""
    assert next_number([]) == 1
    assert next_number([job(4, ("a", 0))]) == 5
    assert next_number([job(4, ("a", 0)), JobView(JobKeys(TWEETS, 5))]) == 5
