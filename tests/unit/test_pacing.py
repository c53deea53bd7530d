"""When X is asked about a job: short jobs are noticed fast, long ones cost few requests."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from complyq_producer.estimates import JobDuration, expect, likely_seconds
from complyq_workers.pipeline.durations import LONGEST_LEAD, ready_at
from complyq_workers.pipeline.pacing import first_look, next_look, wait_after_refusal, wait_since
from complyq_workers.pipeline.ports import Limits

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
JOBS, LEARNT = 300, 30
REMEMBERED = 50
Draw = Callable[[random.Random], float]


def limits(shortest: float = 30.0, longest: float = 60.0) -> Limits:
    """Make the limits of polling; the others do not matter."""
    return Limits(
        namespace="n", api_url="", spool_dir=Path(), max_upload_bytes=0, merge=True, upload_chunk_bytes=0,
        poll_min_seconds=shortest, poll_max_seconds=longest, max_attempts=3, max_parked_hours=1, events_inline_max=0,
        lease_seconds=1, sweep_seconds=1,
    )  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """How it went after some jobs that were for learning: mean seconds until an end was noticed, mean looks a job."""

    delay: float
    looks: float


def watch(draw: Draw, shortest: float = 30.0) -> Watched:
    """Follow jobs that take what is drawn, one after another, and learn from each."""
    rng, known, delays, looks = random.Random(1), list[JobDuration](), list[float](), list[int]()
    for _ in range(JOBS):
        takes, seconds = draw(rng), likely_seconds(known, 1000)
        now, seen_at_work, looked = first_look(seconds, limits(shortest)), 0.0, 1
        while now < takes:
            seen_at_work = now
            now += next_look(now, seconds, limits(shortest))
            looked += 1
        delays.append(now - takes)
        looks.append(looked)
        known = [JobDuration(1000, seen_at_work, now), *known][:REMEMBERED]
    return Watched(mean(delays[LEARNT:]), mean(looks[LEARNT:]))


def outliers(rng: random.Random) -> float:
    """Take a minute, now and then twenty."""
    return 60.0 if rng.random() < 0.9 else 1200.0


@pytest.mark.parametrize(
    ("draw", "delay", "looks"),
    [
        pytest.param(lambda _: 4.0, 12.0, 1.5, id="four seconds"),
        pytest.param(lambda _: 60.0, 12.0, 2.0, id="a minute"),
        pytest.param(lambda _: 600.0, 25.0, 7.0, id="ten minutes"),
        pytest.param(lambda rng: rng.uniform(48, 72), 18.0, 2.5, id="about a minute"),
        pytest.param(lambda rng: 600 * rng.lognormvariate(0, 0.5), 40.0, 14.0, id="about ten minutes"),
        pytest.param(lambda rng: 7200 * rng.uniform(0.8, 1.2), 75.0, 35.0, id="about two hours"),
        pytest.param(lambda _: 6 * 3600.0, 60.0, 60.0, id="six hours"),
        pytest.param(outliers, 14.0, 5.0, id="a minute with outliers"),
    ],
)
def test_the_end_of_a_job_is_noticed_soon_with_few_requests(draw: Draw, delay: float, looks: float) -> None:
    """Once some jobs are known. Blind looks each half minute would notice it 15 s late, and cost two a minute."""
    watched = watch(draw)
    assert watched.delay <= delay
    assert watched.looks <= looks


@pytest.mark.parametrize(("takes", "delay"), [(4.0, 1.0), (60.0, 1.0), (600.0, 6.0)])
def test_where_x_may_be_asked_each_second_the_end_is_noticed_almost_at_once(takes: float, delay: float) -> None:
    """And that costs a few requests all the same."""
    watched = watch(lambda _: takes, shortest=1.0)
    assert watched.delay <= delay
    assert watched.looks <= 7


def test_a_first_job_is_looked_at_at_once_and_then_ever_less_often() -> None:
    """Nothing is known: a tenth of the time waited so far, within the configured bounds."""
    assert first_look([], limits()) == 0
    assert [next_look(waited, [], limits(1, 60)) for waited in (0, 100, 10_000)] == [1, 10, 60]
    assert wait_since(NOON, NOON + timedelta(seconds=400), limits()) == 40


def test_a_job_that_takes_longer_than_any_other_is_looked_at_like_a_first_one() -> None:
    """What is known has turned out not to hold."""
    assert next_look(700.0, [60.0] * 9, limits()) == 60


def test_a_job_that_is_overdue_for_most_is_looked_at_often() -> None:
    """Though one of its kind took a day: that is no reason not to look for hours."""
    assert next_look(70.0, [60.0] * 8 + [86_400.0], limits()) <= 60


@settings(deadline=None)
@given(
    st.lists(st.floats(0.01, 1e6), max_size=9),
    st.floats(0, 1e6),
    st.sampled_from([(0.1, 0.2), (1.0, 60.0), (30.0, 60.0), (60.0, 60.0)]),
)
def test_x_is_never_asked_faster_than_is_configured(
    seconds: list[float], waited: float, bounds: tuple[float, float]
) -> None:
    """Nor hardly ever: a job of hours is looked at a few times meanwhile, in case it has failed."""
    bound = limits(*bounds)
    wait = next_look(waited, seconds, bound)
    assert wait >= bound.poll_min_seconds * 0.999999
    longest = max([second - waited for second in seconds if second > waited], default=0.0)
    assert wait <= bound.poll_min_seconds + max(bound.poll_max_seconds, longest) + max([*seconds, 0.0]) / 4
    assert 0 <= first_look(seconds, bound) <= max([*seconds, 0.0])


def test_refusals_are_met_with_longer_and_longer_waits() -> None:
    """Up to the longest between two polls."""
    assert [wait_after_refusal(refusals, limits()) for refusals in (1, 2, 5, 9)] == [2, 4, 32, 60]


@pytest.mark.parametrize(("seconds", "begins"), [(4.0, None), (60.0, 57.8), (7200.0, 7190.0)])
def test_the_next_job_is_made_ready_shortly_before_the_end(seconds: float, begins: float | None) -> None:
    """The later, the more it carries; not for jobs that are over in a moment."""
    expected = expect([JobDuration(1000, seconds, seconds)] * 5, 1000)
    assert expected is not None
    assert ready_at(expected) == begins
    assert LONGEST_LEAD == 10
