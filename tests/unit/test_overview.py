"""What is going on: slot, queue and estimate of a type, from facts and from what workers show."""

from datetime import timedelta

import pytest

from complyq_producer.facts import utc_now
from complyq_producer.layout import JobKeys
from complyq_producer.ledger import Ledger
from complyq_producer.model import ComplianceType
from complyq_producer.overview import MOST_COUNTED, Source, read_overview
from complyq_producer.store import MemoryStore
from complyq_workers.coordination import Quota
from support.inline_workers import NoLiveView
from support.standing import TWEETS, Standing, seconds_to


@pytest.fixture
def standing() -> Standing:
    """An installation in which jobs take ten minutes."""
    standing = Standing()
    standing.took(600)
    return standing


def test_where_nothing_happens_nothing_is_claimed() -> None:
    """A free slot, no queue that is known, no estimate."""
    overview = Standing().overview()
    assert (overview.slot, overview.next, overview.queue, overview.estimate) == (None, None, None, None)
    assert (overview.open_batches, overview.collecting, overview.job_seconds) == (0, [], None)


def test_slot_next_job_and_queue_are_shown(standing: Standing) -> None:
    """Which job, for how long, how far; the one behind it; what waits, and when all of it may be done."""
    standing.plan(6, {"a": [0]})
    standing.uploaded(6, seconds_ago=900)
    standing.finished(6)
    standing.plan(7, {"b": [0], "c": [0]})
    standing.created(7, at=timedelta(minutes=-5))
    standing.show_job(7, "uploading", done=100, total=400)
    standing.plan(8, {"d": [0]})
    standing.show_queue({"e": 0, "f": 1})
    overview = standing.overview()
    slot = overview.slot
    assert slot
    assert (slot.plan, slot.remote_id, slot.phase, slot.bytes_done, slot.bytes_total) == (
        7,
        "700",
        "uploading",
        100,
        400,
    )
    assert (slot.ids, slot.batches, seconds_to(slot.since), slot.known_from) == (19, 2, -300, Source.WORKERS)
    assert overview.next
    assert (overview.next.plan, overview.next.phase, overview.next.since) == (8, "planned", None)
    assert (overview.collecting, overview.open_batches, overview.job_seconds) == ([6], None, 600)
    assert overview.queue
    assert (overview.queue.batches, overview.queue.ids, overview.queue.jobs) == (2, 20, 2)
    assert seconds_to(overview.queue.oldest) == -14 * 60
    assert seconds_to(overview.estimate) == 4 * 600


def test_where_workers_show_nothing_the_facts_tell(standing: Standing) -> None:
    """The phase of the open job, and how many batches have a marker."""
    standing.memory.flush()
    for name in ("a", "b"):
        standing.batch(name)
    standing.plan(1, {"a": [0], "b": [0]})
    standing.uploaded(1, seconds_ago=60)
    overview = standing.overview()
    assert overview.slot
    assert (overview.slot.phase, overview.slot.known_from) == ("uploaded", Source.FACTS)
    assert (overview.queue, overview.open_batches, overview.estimate) == (None, 2, None)


def test_a_job_that_is_over_has_no_slot_whatever_is_still_shown(standing: Standing) -> None:
    """What a worker showed stays in Redis for an hour."""
    standing.plan(1, {"a": [0]})
    standing.uploaded(1, seconds_ago=60)
    standing.show_job(1, "processing")
    standing.collected(1)
    overview = standing.overview()
    assert (overview.slot, overview.collecting) == (None, [])


def test_what_was_planned_since_does_not_wait(standing: Standing) -> None:
    """The queue is shown before the next job is planned from it."""
    standing.batch("big", parts=7)
    standing.show_queue({"a": 0, "b": 0, "c": 0, "big": 1}, ids=100, at=timedelta(seconds=-1))
    standing.plan(1, {"a": [0], "b": [0], "c": [0], "big": [0]}, at=timedelta(0))
    queue = standing.overview().queue
    assert queue
    assert (queue.batches, queue.ids, queue.jobs) == (1, 60, 1)
    assert seconds_to(standing.overview().estimate) == 1200


def test_a_queue_that_was_planned_to_its_end_is_empty(standing: Standing) -> None:
    """Then only the job is waited for."""
    standing.show_queue({"a": 0}, at=timedelta(seconds=-1))
    standing.plan(1, {"a": [0]}, at=timedelta(0))
    queue = standing.overview().queue
    assert queue
    assert (queue.batches, queue.ids, queue.jobs, queue.oldest) == (0, 0, 0, None)
    assert seconds_to(standing.overview().estimate) == 600


def test_an_old_queue_is_told_with_its_time_and_with_what_the_store_says(standing: Standing) -> None:
    """Workers may have stopped long ago while producers went on."""
    standing.show_queue({"a": 0}, at=timedelta(minutes=-10))
    for name in ("a", "b", "c"):
        standing.batch(name)
    overview = standing.overview()
    assert overview.queue
    assert (overview.queue.batches, seconds_to(overview.queue.shown_at)) == (1, -600)
    assert overview.open_batches == 3


def test_a_queue_of_an_older_worker_has_no_estimate(standing: Standing) -> None:
    """It does not say how many jobs it takes."""
    standing.show_queue({"a": -1})
    assert standing.overview().estimate is None


class CountedStore(MemoryStore):
    """Counts what is read and listed."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    def read(self, key: str):  # type: ignore[no-untyped-def] # noqa: ANN201 - as the store's
        """Read, and remember it."""
        self.reads.append(key)
        return super().read(key)


def test_it_costs_little_however_much_there_is() -> None:
    """Of a thousand open jobs and twelve thousand batches the last jobs are read, and markers counted up to a bound."""
    store = CountedStore()
    standing = Standing(store)
    for number in range(1, 1001):
        store.create(JobKeys(TWEETS, number).marker, b"")
    standing.plan(1000, {"a": [0]})
    for number in range(MOST_COUNTED + 2000):
        store.create(f"open/batches/tweets/{number:05}", b"")
    store.reads.clear()
    overview = standing.overview()
    assert overview.slot
    assert (overview.slot.plan, overview.open_batches) == (1000, MOST_COUNTED)
    assert store.reads == [JobKeys(TWEETS, 1000).plan]


def test_the_request_budget_is_shown_where_it_is_known(standing: Standing) -> None:
    """By endpoint; after a 429 with the time for which X refuses."""
    standing.memory.reserve("get", "n")
    standing.memory.settle("get", "n", Quota(limit=150, remaining=97, seconds_left=300))
    standing.memory.block("list", 60)
    budgets = read_overview(standing.ledger, standing.memory, utc_now()).budgets
    assert set(budgets) == {"get", "list"}
    assert (budgets["get"].limit, budgets["get"].remaining) == (150, 97)
    assert budgets["get"].seconds_left == pytest.approx(300, abs=30)
    assert budgets["list"].seconds_blocked == pytest.approx(60, abs=30)


def test_a_redis_that_is_away_is_said() -> None:
    """All types are there, from the facts."""
    overview = read_overview(Ledger(MemoryStore()), NoLiveView(), utc_now())
    assert (overview.redis_answers, overview.budgets, list(overview.types)) == (False, {}, list(ComplianceType))
