"""Estimates: told from how long jobs took lately."""

from datetime import UTC, datetime, timedelta

from complyq_producer.status import estimated_end

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_running_batch_ends_when_a_job_usually_does() -> None:
    """What the job has taken so far is taken off."""
    since = NOON - timedelta(seconds=40)
    assert estimated_end(NOON, 60, since=since, jobs_to_come=0) == NOON + timedelta(seconds=20)


def test_a_job_that_takes_longer_than_usual_may_end_any_moment() -> None:
    """An estimate is never in the past."""
    since = NOON - timedelta(seconds=400)
    assert estimated_end(NOON, 60, since=since, jobs_to_come=0) == NOON


def test_a_waiting_batch_waits_for_the_jobs_before_it() -> None:
    """One at a time, its own included."""
    since = NOON - timedelta(seconds=40)
    assert estimated_end(NOON, 60, since=since, jobs_to_come=3) == NOON + timedelta(seconds=200)
    assert estimated_end(NOON, 60, since=None, jobs_to_come=1) == NOON + timedelta(seconds=60)
