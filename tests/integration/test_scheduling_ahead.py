"""The next job is made ready shortly before the last one ends, and how long jobs take is learnt for that."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from complyq_producer import Batch
from complyq_producer.ledger import JobPhase
from complyq_workers.pipeline.durations import durations_of
from support.crowded_world import ENOUGH_STEPS, CrowdedWorld
from support.quiet_world import TWEETS

MINUTE = 60.0
LEARNT = 5


@pytest.fixture
def world(tmp_path: Path) -> CrowdedWorld:
    """An X whose jobs take ten minutes."""
    world = CrowdedWorld(tmp_path)
    world.x.fate = lambda: (10 * MINUTE, "complete")
    return world


def numbers() -> Iterator[int]:
    """Count first IDs that are far apart."""
    return iter(range(10**9, 10**12, 10**6))


def learn(world: CrowdedWorld, ids: Iterator[int], jobs: int = LEARNT) -> None:
    """Run some jobs, so that it is known how long they take."""
    for _ in range(jobs):
        submit(world, ids)
        world.finish_all()


def submit(world: CrowdedWorld, ids: Iterator[int], count: int = 1) -> list[Batch]:
    """Submit some batches."""
    return [world.submit(range(first, first + 4)) for first in (next(ids) for _ in range(count))]


def submit_every(world: CrowdedWorld, ids: Iterator[int], seconds: float, count: int) -> None:
    """Have so many batches come one after another."""
    for number in range(count):
        world.world.later(number * seconds, partial(_come, world, ids))


def _come(world: CrowdedWorld, ids: Iterator[int]) -> None:
    submit(world, ids)


def run_into_job(world: CrowdedWorld, number: int) -> float:
    """Run until X works on a job; return when it will end."""
    world.run_to("uploaded", number)
    return world.remote_jobs()[number - 1].ends[0]


def begun(world: CrowdedWorld, number: int) -> float:
    """Run until X has begun a job; return when that was."""
    world.run_to("created", number)
    return world.remote_jobs()[number - 1].created_at


def test_the_next_job_is_ready_before_the_last_one_ends(world: CrowdedWorld) -> None:
    """Planned and merged: the slot is idle for a look and little else."""
    learn(world, ids := numbers())
    submit(world, ids)
    ends = run_into_job(world, LEARNT + 1)
    waiting = submit(world, ids, 3)
    world.run_to("merged", LEARNT + 2)
    assert ends - MINUTE / 2 < world.world.now < ends
    assert world.carried()[-1] == [batch.id for batch in waiting]
    assert not world.has_fact("created", LEARNT + 2)
    late = submit(world, ids)
    assert begun(world, LEARNT + 2) < ends + MINUTE / 2
    world.finish_all()
    assert world.carried()[-1] == [batch.id for batch in late]


def test_the_next_job_is_planned_late(world: CrowdedWorld) -> None:
    """What comes until shortly before the end comes along."""
    learn(world, ids := numbers())
    submit(world, ids)
    ends = run_into_job(world, LEARNT + 1)
    submit_every(world, ids, 20.0, 25)
    world.run_to("plan", LEARNT + 2)
    assert ends - MINUTE / 2 < world.world.now < ends
    assert len(world.carried()[-1]) == 25


def test_nothing_is_planned_ahead_where_no_duration_is_known(world: CrowdedWorld) -> None:
    """The first job of a type may end at any moment, or in hours."""
    submit(world, ids := numbers())
    run_into_job(world, 1)
    submit(world, ids)
    world.run_to("finished")
    assert len(world.plans()) == 1


def test_an_overdue_job_makes_nothing_ready(world: CrowdedWorld) -> None:
    """Nobody knows when it ends: what is most urgent then is to come next."""
    learn(world, ids := numbers())
    world.x.fate = lambda: (60 * MINUTE, "complete")
    submit(world, ids)
    ends = run_into_job(world, LEARNT + 1)
    world.run_until(lambda: world.world.now > ends - 30 * MINUTE)
    batch = submit(world, ids)
    world.run_to("finished", LEARNT + 1)
    assert len(world.plans()) == LEARNT + 1
    assert begun(world, LEARNT + 2) < ends + 2 * MINUTE
    assert world.carried()[-1] == [batch[0].id]


def test_a_job_that_ends_early_leaves_the_slot_to_the_next_at_once(world: CrowdedWorld) -> None:
    """Nothing was ready; it is planned when the end is seen, and that is not only when it was expected."""
    learn(world, ids := numbers())
    world.x.fate = lambda: (MINUTE, "complete")
    submit(world, ids)
    ends = run_into_job(world, LEARNT + 1)
    submit(world, ids, 2)
    world.run_to("finished", LEARNT + 1)
    seen = world.world.now
    assert seen < ends + 3 * MINUTE
    assert begun(world, LEARNT + 2) < seen + 5


def test_after_a_failure_nothing_is_planned_ahead(world: CrowdedWorld) -> None:
    """First the job that runs shows who is to blame."""
    learn(world, ids := numbers())
    submit(world, ids, 4)
    run_into_job(world, LEARNT + 1)
    world.world.x_fails_until = 0.0
    world.remote_jobs()[-1].ends = (world.remote_jobs()[-1].ends[0], "failed")
    world.run_to("uploaded", LEARNT + 2)
    submit(world, ids)
    world.run_to("finished", LEARNT + 2)
    assert len(world.plans()) == LEARNT + 2


def test_at_most_one_job_is_planned_ahead(world: CrowdedWorld) -> None:
    """While batches come all the time, and none ever waits for a third job."""
    ids = numbers()
    world.x.fate = lambda: (2 * MINUTE, "complete")
    submit_every(world, ids, 10.0, 120)

    def is_over() -> bool:
        open_jobs = [job for job in world.ports.ledger.marked_jobs(TWEETS) if job.holds_slot]
        assert len(open_jobs) <= 2
        if len(open_jobs) == 2:
            assert open_jobs[0].phase is JobPhase.UPLOADED
            assert open_jobs[1].phase in {JobPhase.MERGING, JobPhase.PLANNED}
        return len(world.ids) == 120 and not list(world.store.list("open/batches/"))

    world.run_until(is_over, ENOUGH_STEPS)
    for batch_id in world.ids:
        world.assert_own_results(batch_id)
    jobs = world.remote_jobs()
    assert len(jobs) <= 120 * 10 / 120 + 4
    idle = [after.created_at - before.ends[0] for before, after in pairwise(jobs[4:])]
    assert sum(idle) / len(idle) < 20


def test_a_plan_that_was_made_ahead_survives_a_failure_of_the_job_before(world: CrowdedWorld) -> None:
    """It is not to blame, and runs as it is; the halves of the failed one come after it."""
    learn(world, ids := numbers())
    poisonous = submit(world, ids, 4)
    run_into_job(world, LEARNT + 1)
    ahead = submit(world, ids, 2)
    world.run_to("merged", LEARNT + 2)
    job = world.remote_jobs()[-1]
    job.ends = (job.ends[0], "failed")
    world.finish_all()
    assert world.carried()[LEARNT + 1] == [batch.id for batch in ahead]
    for batch in [*poisonous, *ahead]:
        world.assert_own_results(batch.id)
        assert not world.failures(batch.id)


# What is learnt


def test_how_long_jobs_take_is_learnt(world: CrowdedWorld) -> None:
    """From when each was last seen at work to when it was seen final."""
    learn(world, numbers(), 3)
    durations = durations_of(world.ports, TWEETS)
    assert len(durations) == 3
    assert all(duration.count == 4 and duration.least < 10 * MINUTE <= duration.most for duration in durations)
    assert durations[0].most - durations[0].least <= 2 * MINUTE


@pytest.mark.parametrize("jobs", [3, 20])
def test_what_was_learnt_survives_a_lost_redis(world: CrowdedWorld, jobs: int) -> None:
    """It is found again in the facts of the last fifteen jobs, in the same order."""
    ids, takes = numbers(), iter(range(100, 10_000, 60))
    world.x.fate = lambda: (float(next(takes)), "complete")
    learn(world, ids, jobs)
    before = durations_of(world.ports, TWEETS)
    world.world.coordination.flush()
    found = durations_of(world.ports, TWEETS)
    assert found == before[:15]
    assert world.ports.coordination.durations(TWEETS) == found


def test_jobs_that_gave_nothing_teach_nothing(world: CrowdedWorld) -> None:
    """A failed job may end in a second; the next good one does not."""
    learn(world, ids := numbers(), 2)
    world.world.x_fails_until = world.world.now + 30 * MINUTE
    submit(world, ids, 2)
    world.finish_all()
    assert all(duration.most > 9 * MINUTE for duration in durations_of(world.ports, TWEETS))


@pytest.mark.parametrize("seconds", [2.0, 40.0, 600.0, 7200.0])
def test_jobs_are_watched_with_few_requests(tmp_path: Path, seconds: float) -> None:
    """And their end is seen soon: at latest after the time between two looks that X advises."""
    world = CrowdedWorld(tmp_path)
    world.x.fate = lambda: (seconds, "complete")
    learn(world, ids := numbers(), 8)
    delays, looks, jobs = [], len([asked for asked in world.transport.asked if asked == "get"]), 10
    for _ in range(jobs):
        submit(world, ids)
        number = len(world.plans()) + 1
        ends = run_into_job(world, number)
        world.run_to("finished", number)
        delays.append(world.world.now - ends)
        world.finish_all()
    looks = len([asked for asked in world.transport.asked if asked == "get"]) - looks
    assert sum(delays) / jobs <= 30
    assert looks / jobs <= 30
