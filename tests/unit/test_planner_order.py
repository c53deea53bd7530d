"""Nobody waits for ever: jobs drawn up one after another, for whatever arrives meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from complyq_producer.facts import PlannedPart
from complyq_producer.ledger import BatchView
from complyq_producer.model import BatchId, Priority
from complyq_workers.planner import Candidates, Trouble, decide_next
from complyq_workers.ranking import RankedPart, WaitingBatch, ranked
from support.views import NOON, RULES, done, split

MINUTE = timedelta(minutes=1)
LIMIT = RULES.max_bytes
MEGABYTES_16, MEGABYTES_120 = 16_000_000, 120_000_000
WHEN = st.integers(0, 40 * 60).map(lambda minutes: NOON + minutes * MINUTE)


def waiting(
    batch_id: str,
    sizes: Sequence[int],
    accepted_at: datetime = NOON,
    priority: Priority = Priority.NORMAL,
    deadline: datetime | None = None,
) -> WaitingBatch:
    """Make a batch of parts of these sizes."""
    return WaitingBatch(BatchId(batch_id), accepted_at, priority, deadline, (1,) * len(sizes), tuple(sizes))


ARRIVALS = st.lists(
    st.builds(
        waiting,
        st.uuids(version=4).map(str),
        st.lists(st.integers(1, LIMIT + LIMIT // 5), min_size=1, max_size=8),
        WHEN,
        st.sampled_from(Priority),
        st.none() | WHEN,
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda batch: batch.batch_id,
)
MINUTES = st.lists(st.integers(1, 300), min_size=1, max_size=5)
UNHURRIED = settings(deadline=None, max_examples=60)
SPLIT = st.integers(0, 20).map(lambda batches: [f"half {number:02}" for number in range(batches)])


@dataclass
class Queue:
    """Batches come, and one job after another carries what it may.

    Attributes:
        batches: all that ever come.
        minutes: how long the jobs take, in turn.
        halves: batches whose job was split, so that others are to be found out about.
        max_bytes: the most that a job may carry.
        jobs: what each job carried.
        came: for each part, the number of jobs before the first one that could have carried it.
    """

    batches: Sequence[WaitingBatch]
    minutes: Sequence[int]
    halves: Sequence[str] = ()
    max_bytes: int = LIMIT
    jobs: list[list[PlannedPart]] = field(default_factory=list)
    came: dict[tuple[BatchId, int], int] = field(default_factory=dict)

    def run(self) -> None:
        """Run jobs until nothing waits that is not of the split job."""
        accepted, now = {batch.batch_id: batch.accepted_at for batch in self.batches}, NOON
        left = {part.key: part for part in ranked(self.batches)}
        while left:
            here = [part for part in left.values() if accepted[part.batch_id] <= now]
            for part in here:
                self.came.setdefault(part.key, len(self.jobs))
            parts = self._plan(here, now)
            if parts:
                self.jobs.append(parts)
                left = {key: part for key, part in left.items() if key not in _keys(parts)}
            now += (self.minutes[len(self.jobs) % len(self.minutes)] if parts else 1) * MINUTE

    def places(self) -> dict[tuple[BatchId, int], int]:
        """Return the place of the job that carried each part."""
        return {key: place for place, parts in enumerate(self.jobs) for key in _keys(parts)}

    def _plan(self, here: Sequence[RankedPart], now: datetime) -> list[PlannedPart]:
        over = {key[0] for key in self.places()}
        halves = [waiting(name, [100]) for name in self.halves]
        marked = [split(1, *self.halves)] if self.halves else []
        marked += [done(len(marked) + len(self.jobs), "x")] if self.jobs else []

        def look(batch_ids: Sequence[BatchId]) -> Mapping[BatchId, BatchView | None]:
            return {batch_id: None for batch_id in batch_ids if batch_id not in over or batch_id not in self.halves}

        candidates = Candidates(sorted([*here, *ranked(halves)]), look, RULES.max_attempts)
        rules = type(RULES)(self.max_bytes, RULES.max_attempts, merge=True, pause=RULES.pause)
        draft = decide_next(candidates, marked, rules, Trouble(), now).draft
        assert draft or not here, "something waits and nothing is planned"
        return draft.parts if draft else []


def _keys(parts: Sequence[PlannedPart]) -> set[tuple[BatchId, int]]:
    return {(part.batch_id, part.part) for part in parts}


@UNHURRIED
@given(ARRIVALS, MINUTES, SPLIT)
def test_every_part_is_planned_within_a_bound_of_jobs(
    batches: list[WaitingBatch], minutes: list[int], halves: list[str]
) -> None:
    """It waits for the bytes that rank before it, divided by what each job surely carries of them.

    That is more than a job's limit less the part itself; a part as large as a job waits for at most one job a part.
    While a split job is searched every other job is for that, so that it may be twice as many, and one.
    """
    queue = Queue(batches, minutes, halves)
    queue.run()
    order, carried = ranked(batches), queue.places()
    for place, part in enumerate(order):
        came = queue.came[part.key]
        before = [other.bytes for other in order[:place] if carried[other.key] >= came]
        room = LIMIT - part.bytes
        bound = sum(before) // room if room > 0 else len(before)
        assert carried[part.key] - came <= (2 * bound + 1 if halves else bound)


@UNHURRIED
@given(ARRIVALS, MINUTES)
def test_no_job_is_too_large_and_none_has_room_for_what_it_leaves_behind(
    batches: list[WaitingBatch], minutes: list[int]
) -> None:
    """But for a single part that is larger. What is left behind did not fit beside what ranks before it."""
    queue = Queue(batches, minutes)
    queue.run()
    order, carried = ranked(batches), queue.places()
    for place, parts in enumerate(queue.jobs):
        assert len(parts) == 1 or sum(part.bytes for part in parts) <= LIMIT
        for rank, part in enumerate(order):
            if queue.came[part.key] <= place < carried[part.key]:
                before = sum(other.bytes for other in order[:rank] if carried[other.key] == place)
                assert before
                assert before + part.bytes > LIMIT


@UNHURRIED
@given(ARRIVALS, MINUTES, SPLIT)
def test_every_part_is_in_one_job(batches: list[WaitingBatch], minutes: list[int], halves: list[str]) -> None:
    """None is forgotten, none comes twice."""
    queue = Queue(batches, minutes, halves)
    queue.run()
    planned = [key for parts in queue.jobs for key in sorted(_keys(parts))]
    assert len(planned) == len(set(planned))
    assert {part.key for part in ranked(batches)} <= set(planned)


def test_a_batch_above_the_limit_runs_over_successive_jobs() -> None:
    """In the order of its parts, each job as full as it may be."""
    queue = Queue([waiting("a", [400] * 5)], [10])
    queue.run()
    assert [[part.part for part in parts] for parts in queue.jobs] == [[0, 1], [2, 3], [4]]


@UNHURRIED
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 59))
def test_a_bulk_batch_delays_none_of_the_small_ones_by_a_job(minutes: list[int], offset: int) -> None:
    """25 parts beside a batch a minute, where jobs take up to an hour: each small one is in the next job."""
    small = [waiting(f"small {minute:04}", [100_000], NOON + minute * MINUTE) for minute in range(300)]
    bulk = waiting("bulk", [MEGABYTES_16] * 25, NOON + offset * MINUTE)
    queue = Queue([bulk, *small], minutes, max_bytes=MEGABYTES_120)
    queue.run()
    carried = queue.places()
    assert all(carried[batch.batch_id, 0] == queue.came[batch.batch_id, 0] for batch in small)
    last = max(carried[bulk.batch_id, part] for part in range(25))
    assert last - queue.came[bulk.batch_id, 0] <= 4
