"""When jobs may be done: told from how long others took."""

from datetime import timedelta

import pytest

from complyq_producer.estimates import JobDuration
from complyq_producer.facts import utc_now
from complyq_producer.forecast import seconds_left
from complyq_producer.ledger import JobView
from support.standing import TWEETS, Standing

NOW = utc_now()


def job(waited: float, count: int = 10) -> JobView:
    """A job that X has had for so many seconds."""
    standing = Standing()
    standing.plan(1, {"a": list(range(count // 10))})
    standing.uploaded(1, seconds_ago=waited)
    return standing.ledger.job(TWEETS, 1)


def took(*seconds: float, count: int = 10) -> list[JobDuration]:
    """How long some jobs took, exactly."""
    return [JobDuration(count=count, least=some, most=some) for some in seconds]


@pytest.mark.parametrize(
    ("waited", "left"),
    [
        (0, 60),
        (40, 20),
        (65, 35),
        (150, 0),
        (190, 0),
        (250, None),
    ],
)
def test_the_longer_a_job_takes_the_slower_are_those_that_it_is_compared_with(
    waited: float, left: float | None
) -> None:
    """Those that ended sooner tell nothing of it; beyond the slowest it may end any moment, and far beyond nobody knows."""
    found = seconds_left(job(waited), took(50, 60, 100), utc_now())
    assert found == (None if left is None else pytest.approx(left, abs=5))


def test_jobs_of_another_size_are_asked_last() -> None:
    """A big job is expected to take as long as big jobs did."""
    durations = [*took(*[10] * 9, count=10), *took(*[1000] * 9, count=1000)]
    assert seconds_left(job(0, count=10), durations, NOW) == pytest.approx(10, abs=5)
    assert seconds_left(job(0, count=1000), durations, NOW) == pytest.approx(1000, abs=5)


def test_a_clock_that_runs_behind_does_not_make_a_job_longer() -> None:
    """The worker's clock and this one need not agree."""
    assert seconds_left(job(0), took(60), utc_now() - timedelta(hours=1)) == 60
