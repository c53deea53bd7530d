"""What the next job carries, and how a batch ends: decided from views alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from complyq_producer.layout import JobKeys
from complyq_producer.ledger import BatchView, JobView
from complyq_producer.model import BatchId, Priority
from complyq_workers.endings import MISSING, decide_end
from complyq_workers.planner import (
    LOOK_AT_ONCE,
    MAX_PAUSE,
    PROBED,
    Candidates,
    Trouble,
    decide_next,
    next_number,
    pause_after,
)
from complyq_workers.ranking import ranked, waiting_batch
from support.views import (
    CALM,
    HALF_A_DAY,
    NOON,
    RULES,
    TWEETS,
    batch,
    batches_of,
    checked,
    decide,
    done,
    failed,
    job,
    parked_in,
    parts_of,
    split,
)

SECOND = timedelta(seconds=1)
ONE_BY_ONE = replace(RULES, merge=False)


def failing_alone(name: str, *plans: int, counted: bool = True) -> BatchView:
    """Make a batch that failed at noon, alone in its jobs."""
    return replace(batch(name), attempts={0: [failed(plan, counted=counted) for plan in plans]})


# What a job carries


def test_all_that_waits_goes_into_the_next_job() -> None:
    """Jobs are scarce: so many batches as there are share one, what was accepted first in front."""
    batches = [batch("c", accepted=NOON + SECOND), batch("a", parts=2), batch("b")]
    assert parts_of(decide(batches, now=NOON + SECOND)) == [("a", 0), ("b", 0), ("c", 0), ("a", 1)]


def test_the_batch_accepted_first_is_served_first() -> None:
    """Fair order is the order of acceptance by the store's clock."""
    assert batches_of(decide([batch("b", accepted=NOON + SECOND), batch("a")], rules=ONE_BY_ONE)) == "a"


def test_an_urgent_batch_overtakes_but_only_so_far() -> None:
    """Priority shifts a batch by hours, so that nobody waits for ever."""
    urgent = batch("u", accepted=NOON, priority=Priority.URGENT)
    assert batches_of(decide([batch("n", accepted=NOON - timedelta(hours=5)), urgent])) == "un"
    assert batches_of(decide([batch("n", accepted=NOON - timedelta(hours=7)), urgent])) == "nu"


def test_without_merging_a_job_has_one_batch() -> None:
    """With as many of its parts as fit."""
    assert parts_of(decide([batch("a", parts=2), batch("b")], rules=ONE_BY_ONE)) == [("a", 0), ("a", 1)]


def test_a_job_carries_as_many_parts_as_fit() -> None:
    """A batch above the limit runs over several jobs; what is small takes the room that is left."""
    small = batch("b", size=50, accepted=NOON + SECOND)
    assert parts_of(decide([batch("a", parts=3), small], rules=replace(RULES, max_bytes=250))) == [
        ("a", 0),
        ("b", 0),
        ("a", 1),
    ]


def test_a_single_part_is_planned_even_above_the_limit() -> None:
    """A limit below one part's size must not leave the batch waiting for ever."""
    assert parts_of(decide([batch("a", parts=2)], rules=replace(RULES, max_bytes=50))) == [("a", 0)]


def test_after_a_refusal_for_size_the_next_job_is_smaller() -> None:
    """What X called too large is halved, whatever our own limit says, also for the batches beside it."""
    refused = replace(batch("a", parts=4), attempts={0: [failed(1, counted=False, max_bytes=200)]})
    assert parts_of(decide([refused])) == [("a", 0), ("a", 1)]
    assert parts_of(decide([refused, batch("b", accepted=NOON - SECOND)])) == [("b", 0), ("a", 0)]
    assert parts_of(decide([refused, batch("b", size=150, accepted=NOON - SECOND)])) == [("b", 0)]


def test_a_part_in_an_open_plan_is_not_planned_again() -> None:
    """Two plans never carry the same part at once."""
    assert parts_of(decide([batch("a", parts=2)], [job(1, ("a", 0))])) == [("a", 1)]
    assert parts_of(decide([batch("a")], [job(1, ("a", 0), status="complete")])) == []


def test_a_part_of_a_closed_plan_without_results_is_planned_again() -> None:
    """A failed job's parts run again, and the plan says which attempt it is."""
    ended = job(1, ("a", 0), status="failed", is_to_blame=True)
    draft = decide([failing_alone("a", 1)], [ended], now=NOON + HALF_A_DAY).draft
    assert draft is not None
    assert draft.parts[0].attempt == 2


def test_the_parts_of_a_lapsed_merged_job_are_planned_again_together() -> None:
    """A window that lapsed says nothing about anybody: nobody is tried alone for it."""
    lapsed = job(1, ("a", 0), ("b", 0), status="expired")
    assert batches_of(decide([batch("a"), batch("b")], [lapsed])) == "ab"


def test_cancelled_and_exhausted_batches_are_not_planned() -> None:
    """No job is spent on a batch whose end is certain."""
    exhausted = failing_alone("b", 1, 2, 3)
    assert decide([replace(batch("a"), cancel_requested=True), exhausted], now=NOON + HALF_A_DAY).draft is None


def test_parked_parts_wait_until_they_are_released() -> None:
    """The others are planned meanwhile; released they are planned like any other, also where they were parked before."""
    view = parked_in(1, batch("a", parts=3), 0, 2)
    assert parts_of(decide([view])) == [("a", 1)]
    assert parts_of(decide([replace(view, released=frozenset({"1"}))])) == [("a", 0), ("a", 1), ("a", 2)]
    again = parked_in(2, replace(view, released=frozenset({"1"})), 0)
    assert parts_of(decide([again])) == [("a", 1), ("a", 2)]


def test_a_batch_that_is_parked_as_a_whole_holds_nobody_up() -> None:
    """It has no place in any job: the next batch is served."""
    assert batches_of(decide([parked_in(1, batch("a"), 0), batch("b", accepted=NOON + SECOND)])) == "b"


def test_only_as_many_batches_are_looked_at_as_a_job_may_carry() -> None:
    """Of ten thousand that wait most are not read, and none is read twice."""
    batches = [batch(f"{number:05}") for number in range(10_000)]
    looked: list[BatchId] = []

    def look(batch_ids: Sequence[BatchId]) -> Mapping[BatchId, BatchView | None]:
        looked.extend(batch_ids)
        return dict.fromkeys(batch_ids)

    ordered = ranked(waiting_batch(view.record, view.accepted_at) for view in batches)
    decision = decide_next(Candidates(ordered, look, 3), [], RULES, CALM, NOON)
    assert len(parts_of(decision)) == 10
    assert len(looked) == len(set(looked)) == LOOK_AT_ONCE


def test_a_batch_that_is_gone_is_passed_over() -> None:
    """Somebody removed it, or only a newer version can read it: the others are served."""
    ordered = ranked(waiting_batch(view.record, view.accepted_at) for view in (batch("a"), batch("b")))
    decision = decide_next(Candidates(ordered, lambda _: {BatchId("b"): None}, 3), [], RULES, CALM, NOON)
    assert batches_of(decision) == "b"


def test_plan_numbers_have_no_gaps() -> None:
    """A marker without a plan is a number that a planner which died did not use."""
    assert next_number([]) == 1
    assert next_number([job(4, ("a", 0))]) == 5
    assert next_number([job(4, ("a", 0)), JobView(JobKeys(TWEETS, 5))]) == 5


# Who is to blame


def test_what_failed_alone_is_tried_alone() -> None:
    """It takes nobody with it, and joins nobody: the others go before it, or after."""
    poisonous, later = failing_alone("b", 1), NOON + HALF_A_DAY
    assert batches_of(decide([poisonous, batch("c", accepted=NOON + SECOND)], now=later)) == "b"
    assert batches_of(decide([batch("a"), poisonous, batch("c")], now=later)) == "ac"


def test_a_batch_whose_failed_parts_were_checked_is_no_suspect() -> None:
    """Its other parts share their jobs with all others."""
    view = replace(batch("a", parts=2), attempts={0: [failed(1)]}, checked={0: checked(0)})
    assert parts_of(decide([view, batch("b")], now=NOON + SECOND)) == [("b", 0), ("a", 1)]


def test_a_batch_that_failed_alone_pauses_longer_each_time() -> None:
    """And meanwhile others are served."""
    once, twice = failing_alone("a", 1), failing_alone("a", 1, 2)
    assert batches_of(decide([once, batch("b")], now=NOON + 29 * SECOND)) == "b"
    assert decide([once], now=NOON + 29 * SECOND).draft is None
    assert batches_of(decide([once], now=NOON + 30 * SECOND)) == "a"
    assert decide([twice], now=NOON + 59 * SECOND).draft is None
    assert batches_of(decide([twice], now=NOON + 60 * SECOND)) == "a"


def test_pauses_double_up_to_ten_minutes() -> None:
    """However long an outage lasts, its end is noticed soon."""
    assert [pause_after(failures, RULES) / SECOND for failures in (1, 2, 3, 6)] == [30, 60, 120, 600]
    assert pause_after(10_000, RULES) == MAX_PAUSE == timedelta(minutes=10)


def test_a_clock_that_was_wrong_lets_nobody_pause_for_long() -> None:
    """Whoever saw a batch, or X, fail may have been an hour ahead."""
    before = NOON - timedelta(hours=1)
    assert batches_of(decide([failing_alone("a", 1)], now=before)) == "a"
    assert batches_of(decide([batch("a")], trouble=Trouble(2, x_at_fault=True, since=NOON), now=before)) == "a"


def test_a_failed_job_of_several_batches_is_halved() -> None:
    """First one half of them, then the other, then the halves of the half that failed; then nothing is left of it."""
    views = [batch(name, parts=2) for name in "abcde"]
    first = split(1, *"abcde")
    assert parts_of(decide(views, [first, done(2, "x")])) == [("a", 0), ("b", 0), ("c", 0)]
    assert parts_of(decide(views, [first, job(2, ("a", 0), ("b", 0), ("c", 0))]))[:2] == [("d", 0), ("e", 0)]
    second = [first, split(2, *"abc")]
    assert parts_of(decide(views, second)) == [("d", 0), ("e", 0)]
    third = [*second, done(4, "x")]
    decision = decide(views[:3], third)
    assert parts_of(decision) == [("a", 0), ("b", 0)]
    assert decision.resolved == (first,)


def test_halves_and_all_others_take_turns() -> None:
    """Neither a search for the poisonous batch holds up the others, nor they it."""
    views = [batch(name) for name in "abz"]
    assert batches_of(decide(views, [split(1, *"ab"), done(2, "x")])) == "a"
    assert batches_of(decide(views, [split(1, *"ab"), done(2, "x"), done(3, "x")])) == "z"
    assert batches_of(decide(views[:2], [split(1, *"ab"), done(2, "x"), done(3, "x")])) == "a"


@pytest.mark.parametrize("number", [2, 3])
def test_a_batch_that_pauses_does_not_hold_up_those_it_failed_with(number: int) -> None:
    """They are not to blame for its pause."""
    jobs = [split(1, *"ab"), *(done(number, "x") for number in range(2, number + 1))]
    assert batches_of(decide([failing_alone("a", 2), batch("b")], jobs, now=NOON + SECOND)) == "b"


def test_a_split_job_of_which_all_pause_is_not_resolved() -> None:
    """Otherwise its batches would meet others again."""
    views = [failing_alone("a", 2), failing_alone("b", 3)]
    decision = decide(views, [split(1, *"ab"), done(2, "x")], now=NOON + SECOND)
    assert (decision.draft, decision.resolved) == (None, ())


def test_when_x_is_at_fault_single_batches_are_tried() -> None:
    """After a pause that grows; each time another one, also of those whose job was split."""
    views = [failing_alone("a", 2, counted=False), batch("b", parts=2), batch("c")]
    jobs = [split(1, *"abc"), done(2, "x")]
    trouble = Trouble(3, x_at_fault=True, since=NOON)
    assert decide(views, jobs, trouble=trouble, now=NOON + 119 * SECOND).draft is None
    assert parts_of(decide(views, jobs, trouble=trouble, now=NOON + 120 * SECOND)) == [("b", 0), ("b", 1)]


def test_of_many_batches_the_first_ones_are_tried() -> None:
    """While X is at fault nobody reads ten thousand batches to choose one."""
    views = [failing_alone(f"{number:03}", 1, counted=False) for number in range(PROBED + 10)]
    fresh = batch("fresh", accepted=NOON + SECOND)
    decision = decide([*views, fresh], trouble=Trouble(2, x_at_fault=True), now=NOON + HALF_A_DAY)
    assert parts_of(decision) == [("000", 0)]


# How a batch ends


def test_a_batch_is_completed_when_every_part_is_checked() -> None:
    """Even if somebody asked to cancel it meanwhile: the work is done."""
    view = replace(batch("a", parts=2), checked={0: checked(0), 1: checked(1)}, cancel_requested=True)
    end = decide_end(view, max_attempts=3, now=NOON)
    assert end is not None
    assert end.state == "completed"


def test_a_batch_fails_after_the_attempts_it_may_have() -> None:
    """The reason names the last job's error."""
    end = decide_end(failing_alone("a", 1, 2, 3), max_attempts=3, now=NOON)
    assert end is not None
    assert (end.state, end.error) == ("failed", "gave up after 3 failed jobs; the last one failed: boom")


def test_attempts_that_do_not_count_fail_nobody() -> None:
    """Lapsed upload windows are our fault or the network's, not the batch's."""
    view = failing_alone("a", *range(1, 9), counted=False)
    assert decide_end(view, max_attempts=3, now=NOON) is None
    assert parts_of(decide([view])) == [("a", 0)]


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


def test_a_parked_batch_fails_when_its_time_is_over() -> None:
    """With a reason that names what crashed; released or checked in time it goes on."""
    view = parked_in(1, batch("a", parts=2), 0)
    late = NOON + HALF_A_DAY
    assert decide_end(view, max_attempts=3, now=late - SECOND) is None
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
