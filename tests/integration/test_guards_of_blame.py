"""What keeps a failed job from harming those that have nothing to do with it, and jobs from being planned too early."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest

from complyq_producer import Batch, task_names
from complyq_producer.estimates import JobDuration
from support.quiet_world import TWEETS, QuietWorld

PLAN = task_names.PLAN


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


@pytest.fixture
def single(world: QuietWorld) -> QuietWorld:
    """The same, where no batches are merged."""
    world.ports = replace(world.ports, limits=replace(world.ports.limits, merge=False))
    return world


def enqueue(world: QuietWorld, batches: int) -> list[Batch]:
    """Submit batches."""
    return [world.enqueue(range(first, first + 6)) for first in range(10**8, 10**8 + 10 * batches, 10)]


def end(world: QuietWorld, statuses: Iterable[str]) -> None:
    """Have X's jobs end so, one after the other, after ten seconds each."""
    coming = iter(statuses)
    world.x.fate = lambda: (10.0, next(coming))


def counted(world: QuietWorld, batch: Batch) -> list[bool]:
    """Of each attempt at a batch whether it counts."""
    return [attempt.counted for attempt in world.attempts(batch.id)]


def test_a_merged_job_that_failed_is_split_and_counts_against_nobody(world: QuietWorld) -> None:
    """Its batches are planned again in halves."""
    end(world, chain(["failed"], repeat("complete")))
    batches = enqueue(world, 4)
    for batch in batches:
        assert world.finish(batch.id) == "completed"
        assert counted(world, batch) == []
    assert [len(job.ids) for job in world.remote_jobs()] == [24, 12, 12]


def test_what_was_cancelled_or_lapsed_says_nothing_about_x(single: QuietWorld) -> None:
    """A batch is to blame for its own failures, though the job of another one came to nothing in between."""
    end(single, ["failed", "expired", "failed"])
    poisonous, other = enqueue(single, 2)
    single.run_to("created", 2)
    single.world.pass_time(15 * 60 - 30)  # the upload comes at the end of the window, and X does not take it
    single.run_to("finished", 3)
    assert (counted(single, poisonous), counted(single, other)) == ([True, True], [False])


def run_to_the_end_of_a_job(world: QuietWorld, plan: int) -> None:
    """Have a job nearly at its end, and a batch that waits for the next one."""
    for _ in range(5):
        world.ports.coordination.note_duration(TWEETS, JobDuration(6, 60, 60))
    world.x.fate = lambda: (60.0, "complete")
    world.run_to("uploaded", plan)
    world.enqueue(range(50, 56))
    world.world.pass_time(59.0)


def test_one_job_is_made_ready_ahead_and_no_more(world: QuietWorld) -> None:
    """What comes after it is decided when its turn has come."""
    enqueue(world, 1)
    run_to_the_end_of_a_job(world, 1)
    for _ in range(2):
        world.run(PLAN, "tweets")
        assert (world.has_fact("plan", 2), world.has_fact("plan", 3)) == (True, False)
        world.enqueue(range(70, 76))


def test_nothing_is_made_ready_while_it_is_not_known_who_is_to_blame(single: QuietWorld) -> None:
    """The job that runs shows it."""
    end(single, chain(["failed"], repeat("complete")))
    enqueue(single, 2)
    single.run_to("finished")
    run_to_the_end_of_a_job(single, 2)
    single.run(PLAN, "tweets")
    assert not single.has_fact("plan", 3)
