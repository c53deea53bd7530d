"""The order in which parts are planned: fair, bounded, and the same for whoever works it out."""

import random
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from complyq_producer.ledger import BatchView
from complyq_producer.model import Priority
from complyq_workers.ranking import MAX_LEAD, WaitingBatch, places, rank, ranked, waiting_batch
from support.views import NOON, batch

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
INSTANTS = st.integers(0, 3 * 24 * 60).map(lambda minutes: NOON + minutes * MINUTE)
DEADLINES = st.none() | st.integers(-48 * 60, 96 * 60).map(lambda minutes: NOON + minutes * MINUTE)
VIEWS = st.builds(
    batch,
    st.uuids().map(str),
    parts=st.integers(1, 30),
    accepted=INSTANTS,
    priority=st.sampled_from(Priority),
    deadline=DEADLINES,
)


def waiting(view: BatchView) -> WaitingBatch:
    return waiting_batch(view.record, view.accepted_at)


def order_of(*views: BatchView) -> list[tuple[str, int]]:
    return [(part.batch_id, part.part) for part in ranked(map(waiting, views))]


@settings(deadline=None)
@given(VIEWS, VIEWS)
def test_nothing_overtakes_what_was_accepted_long_before(one: BatchView, other: BatchView) -> None:
    """More than six hours after a part's rank nothing gets before it, however urgent, whatever its deadline."""
    first, second = waiting(one), waiting(other)
    for part in range(len(first.sizes)):
        if second.accepted_at > rank(first, part) + MAX_LEAD:
            assert rank(second, 0) > rank(first, part)


@settings(deadline=None)
@given(VIEWS)
def test_every_part_has_a_rank_that_is_known_when_it_is_accepted(view: BatchView) -> None:
    """At the earliest six hours before that, at the latest an hour and ten minutes a part after; later parts follow."""
    ranks = [rank(waiting(view), part) for part in range(len(view.record.parts))]
    assert ranks == sorted(ranks)
    assert view.accepted_at - MAX_LEAD <= ranks[0]
    assert ranks[-1] <= view.accepted_at + HOUR + (len(ranks) - 1) * 10 * MINUTE


@settings(deadline=None)
@given(st.lists(VIEWS, max_size=6, unique_by=lambda view: view.record.batch_id), st.randoms(use_true_random=False))
def test_the_order_is_the_same_for_everybody(views: list[BatchView], rng: random.Random) -> None:
    """In whatever order the batches were found; no part is left out."""
    expected = order_of(*views)
    assert len(expected) == sum(len(view.record.parts) for view in views)
    rng.shuffle(views)
    assert order_of(*views) == expected


def test_small_batches_overtake_the_rest_of_a_huge_one() -> None:
    """Each further part counts as accepted ten minutes later."""
    huge, small = batch("huge", parts=3), batch("small", accepted=NOON + 15 * MINUTE)
    assert order_of(small, huge) == [("huge", 0), ("huge", 1), ("small", 0), ("huge", 2)]


def test_priority_counts_as_hours() -> None:
    """Low an hour later, high an hour and urgent six hours earlier; then the one that was accepted first is served."""
    views = [batch(str(priority), priority=priority) for priority in Priority]
    assert [name for name, _ in order_of(*views)] == ["urgent", "high", "normal", "low"]
    early = [batch("normal", accepted=NOON - 5 * HOUR), batch("early", accepted=NOON - 7 * HOUR)]
    assert [name for name, _ in order_of(*views, *early)][:3] == ["early", "urgent", "normal"]


def test_a_nearing_deadline_moves_a_batch_up() -> None:
    """From six hours before it on it goes before all that comes; a far one changes nothing, nor does one that has passed."""
    near = batch("near", priority=Priority.LOW, deadline=NOON + 6 * HOUR)
    far = batch("far", accepted=NOON + MINUTE, deadline=NOON + 24 * HOUR)
    past = batch("past", accepted=NOON + MINUTE, deadline=NOON - 24 * HOUR)
    assert [name for name, _ in order_of(far, near)] == ["near", "far"]
    assert rank(waiting(past), 0) == NOON + MINUTE - MAX_LEAD


def test_the_queue_tells_how_many_jobs_go_before() -> None:
    """Of a batch of several parts those before its last one; alone in its jobs, or beside others."""
    parts = ranked(map(waiting, [batch("a", parts=3), batch("b"), batch("c", accepted=NOON + MINUTE)]))
    found = {merge: places(parts, 300, merge=merge) for merge in (True, False)}
    ahead = {merge: [(place.batch_id, place.jobs_ahead) for place in found[merge]] for merge in found}
    assert ahead == {True: [("a", 1), ("b", 0), ("c", 0)], False: [("a", 0), ("b", 1), ("c", 2)]}
