"""The status of a batch: alone in a job, in several jobs, and together with others in one."""

from datetime import timedelta

import pytest

from complyq_producer.facts import CancelRequested, utc_now
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_producer.model import BatchId, BatchState
from complyq_producer.status import open_statuses
from support.standing import TWEETS, Standing, seconds_to

HOUR = timedelta(hours=1)


@pytest.fixture
def standing() -> Standing:
    """An installation in which jobs take ten minutes."""
    standing = Standing()
    standing.took(600)
    return standing


def test_a_running_batch_ends_when_a_job_usually_does(standing: Standing) -> None:
    """What X has taken so far is taken off."""
    standing.batch("a")
    standing.plan(1, {"a": [0]})
    standing.uploaded(1, seconds_ago=240)
    status = standing.status("a")
    assert (status.state, seconds_to(status.estimate)) == (BatchState.RUNNING, 360)


def test_what_the_upload_takes_is_not_taken_for_x(standing: Standing) -> None:
    """X begins with a job when it has its IDs: before that all of its time is to come."""
    standing.batch("a")
    standing.plan(1, {"a": [0]})
    standing.created(1)
    assert seconds_to(standing.status("a").estimate) == 600


def test_a_batch_that_is_made_ready_waits_for_the_job_before_it(standing: Standing) -> None:
    """The next plan is made while the job of another one has the slot; it has no time in the slot yet."""
    standing.batch("a")
    standing.batch("b")
    standing.plan(1, {"a": [0]})
    standing.uploaded(1, seconds_ago=300)
    standing.plan(2, {"b": [0]})
    standing.show_job(1, "processing")
    status = standing.status("b")
    assert seconds_to(status.estimate) == 300 + 600
    assert status.progress
    assert (status.progress.phase, status.progress.since) == ("planned", None)


def test_a_waiting_batch_waits_for_the_jobs_before_it(standing: Standing) -> None:
    """Those that are planned, and those of the queue, its own included."""
    standing.batch("a")
    standing.batch("z")
    standing.plan(1, {"a": [0]})
    standing.uploaded(1, seconds_ago=300)
    standing.show_queue({"b": 0, "z": 2})
    status = standing.status("z")
    assert (status.state, status.position, status.jobs_ahead) == (BatchState.WAITING, 2, 2)
    assert seconds_to(status.estimate) == 300 + 3 * 600


def test_what_was_planned_since_the_queue_was_shown_is_counted_once(standing: Standing) -> None:
    """A job of the queue that has become a plan is not both."""
    standing.batch("a")
    standing.batch("z")
    standing.show_queue({"a": 0, "z": 1}, at=-HOUR)
    standing.plan(1, {"a": [0]}, at=timedelta(0))
    planned, waiting = standing.status("a"), standing.status("z")
    assert (seconds_to(planned.estimate), planned.position, planned.jobs_ahead) == (600, None, None)
    assert (seconds_to(waiting.estimate), waiting.jobs_ahead) == (1200, 0)


def test_a_batch_of_several_jobs_ends_with_the_last_of_them(standing: Standing) -> None:
    """It tells of parts and of the job that runs; the parts that wait are counted in."""
    standing.batch("big", parts=5)
    standing.plan(1, {"big": [0, 1]})
    standing.uploaded(1, seconds_ago=900)
    standing.collected(1)
    standing.plan(2, {"big": [2, 3]})
    standing.uploaded(2, seconds_ago=300)
    standing.show_job(2, "processing")
    standing.show_queue({"big": 0})
    status = standing.status("big")
    assert (status.state, status.parts_done, status.parts, status.checked) == (BatchState.RUNNING, 2, 5, 20)
    assert [(job.plan, job.status) for job in status.jobs] == [(1, "complete"), (2, "uploaded")]
    assert status.progress
    assert status.progress.phase == "processing"
    assert (seconds_to(status.estimate), status.jobs_ahead) == (300 + 600, 0)


def test_the_results_of_one_job_are_collected_while_the_next_one_uploads(standing: Standing) -> None:
    """Of the two the one in the slot is told."""
    standing.batch("big", parts=2)
    standing.plan(1, {"big": [0]})
    standing.uploaded(1, seconds_ago=900)
    standing.finished(1)
    collecting = standing.status("big").progress
    assert collecting
    assert (collecting.phase, collecting.since) == ("finished", None)
    standing.plan(2, {"big": [1]})
    standing.created(2)
    standing.show_job(2, "uploading", done=50, total=200)
    progress = standing.status("big").progress
    assert progress
    assert (progress.phase, progress.bytes_done, progress.bytes_total) == ("uploading", 50, 200)
    assert progress.since == standing.ledger.job(TWEETS, 2).created.recorded_at  # type: ignore[union-attr]


def test_a_merged_batch_tells_with_how_many_it_shares_its_job(standing: Standing) -> None:
    """And how many IDs X is asked about, each once."""
    for name in ("a", "b", "c"):
        standing.batch(name)
    standing.plan(1, {"a": [0], "b": [0], "c": [0]})
    standing.uploaded(1, seconds_ago=0)
    for name in ("a", "b", "c"):
        status = standing.status(name)
        assert [(job.ids, job.batches) for job in status.jobs] == [(29, 3)]
        assert seconds_to(status.estimate) == 600


def test_of_a_split_job_nobody_knows_when_it_ends_until_half_of_it_is_planned(standing: Standing) -> None:
    """Then that half has an estimate again, and is told of by its new job."""
    for name in ("a", "b"):
        standing.batch(name)
    standing.plan(1, {"a": [0], "b": [0]})
    standing.uploaded(1, seconds_ago=60)
    standing.finished(1, "failed")
    split = standing.status("a")
    assert split.progress
    assert (split.state, split.progress.phase, split.estimate) == (BatchState.RUNNING, "split", None)
    standing.plan(2, {"a": [0]})
    halves = [standing.status(name) for name in ("a", "b")]
    assert [half.progress and half.progress.phase for half in halves] == ["planned", "split"]
    assert [seconds_to(half.estimate) for half in halves] == [600, None]


def test_what_workers_showed_is_not_believed_against_the_facts(standing: Standing) -> None:
    """A worker that died after its last word leaves it in Redis."""
    standing.batch("a")
    standing.plan(1, {"a": [0]})
    standing.uploaded(1, seconds_ago=60)
    standing.show_job(1, "uploading", done=199, total=200)
    progress = standing.status("a").progress
    assert progress
    assert (progress.phase, progress.bytes_total) == ("uploaded", 0)
    standing.show_job(1, "having_tea")
    progress = standing.status("a").progress
    assert progress
    assert progress.phase == "having_tea"


@pytest.mark.parametrize("phase", ["waiting_for_foreign_job", "waiting_for_slot"])
def test_nobody_knows_how_long_another_program_takes(standing: Standing, phase: str) -> None:
    """While its job holds up ours there is no estimate."""
    standing.batch("a")
    standing.plan(1, {"a": [0]})
    standing.show_job(1, phase)
    assert (standing.status("a").estimate is None) == (phase == "waiting_for_foreign_job")


def test_nothing_is_estimated_of_what_nothing_is_known(standing: Standing) -> None:
    """Without jobs to go by, of an upload that was given up, and of a batch that is to be cancelled."""
    standing.batch("a")
    standing.plan(1, {"a": [0]})
    standing.uploaded(1, seconds_ago=10, complete=False)
    assert standing.status("a").estimate is None
    fresh = Standing()
    fresh.batch("a")
    fresh.plan(1, {"a": [0]})
    fresh.batch("b")
    fresh.show_queue({"b": 0})
    assert [fresh.status(name).estimate for name in ("a", "b")] == [None, None]
    fresh.took(600)
    assert [seconds_to(fresh.status(name).estimate) for name in ("a", "b")] == [600, 1200]
    fresh.ledger.facts.create(BatchKeys(BatchId("a")).cancel_requested, CancelRequested())
    assert fresh.status("a").estimate is None


def test_a_batch_is_late_when_its_estimate_passes_its_deadline(standing: Standing) -> None:
    """The warning comes before the deadline does, and no earlier than it has to."""
    for name, minutes in (("in time", 12), ("late", 8)):
        batch_id = name.replace(" ", "-")
        standing.batch(batch_id, deadline=utc_now() + timedelta(minutes=minutes))
    standing.plan(1, {"in-time": [0], "late": [0]})
    standing.uploaded(1, seconds_ago=0)
    assert [standing.status(name).late for name in ("in-time", "late")] == [False, True]


def test_a_batch_stays_late_after_it_ended_late(standing: Standing) -> None:
    """What ended in time never becomes late."""
    now = utc_now()
    for name, ended in (("late", now - HOUR), ("in-time", now - 3 * HOUR)):
        standing.batch(name, deadline=now - 2 * HOUR)
        assert standing.status(name).late
        standing.ended(name, at=ended)
    assert [standing.status(name).late for name in ("in-time", "late")] == [False, True]


def test_many_open_batches_are_listed_from_one_look_at_their_jobs(standing: Standing) -> None:
    """Each with the status that it has by itself."""
    for name in ("a", "b", "c"):
        standing.batch(name)
    standing.plan(1, {"a": [0], "b": [0]})
    standing.uploaded(1, seconds_ago=300)
    standing.show_queue({"c": 0})
    listed = {status.batch_id: status for status in open_statuses(TWEETS, standing.ledger, standing.memory)}
    assert [listed[BatchId(name)].state for name in ("a", "b", "c")] == ["running", "running", "waiting"]
    for name in ("a", "b", "c"):
        assert listed[BatchId(name)].jobs == standing.status(name).jobs
        assert seconds_to(listed[BatchId(name)].estimate) == seconds_to(standing.status(name).estimate)


def test_a_marker_without_a_plan_is_no_job(standing: Standing) -> None:
    """A planner may have died between the two."""
    standing.batch("a")
    standing.plan(1, {"a": [0]})
    standing.store.create(JobKeys(TWEETS, 2).marker, b"")
    assert [job.plan for job in standing.status("a").jobs] == [1]
