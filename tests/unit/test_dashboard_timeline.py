"""The line of time: what jobs went through, and where that lies on it."""

from datetime import timedelta

import pytest

from complyq_producer.activity import Activity
from complyq_producer.dashboard.timeline import Course, Span, Stage, course, window
from complyq_producer.facts import utc_now
from support.standing import TWEETS, Standing

MINUTES = timedelta(minutes=1)


def course_of(standing: Standing, number: int = 1) -> Course:
    """Tell what a job went through."""
    found = course(standing.ledger.job(TWEETS, number), Activity([]), utc_now())
    assert found
    return found


def stages(told: Course) -> list[tuple[str, int]]:
    """Return the stretches with their minutes."""
    return [(span.stage, round(span.seconds / 60)) for span in told.spans]


def test_each_stretch_ends_where_the_next_begins() -> None:
    """Planned, uploaded, processed at X, collected: from the facts alone."""
    standing = Standing()
    standing.plan(1, {"a": [0]}, at=-40 * MINUTES)
    assert stages(course_of(standing)) == [("planned", 40)]
    standing.created(1, at=-30 * MINUTES)
    assert stages(course_of(standing)) == [("planned", 10), ("uploading", 30)]
    standing.uploaded(1, seconds_ago=1200)
    assert stages(course_of(standing)) == [("planned", 10), ("uploading", 10), ("checking", 20)]
    assert course_of(standing).is_open
    standing.collected(1)
    told = course_of(standing)
    assert stages(told) == [("planned", 10), ("uploading", 10), ("checking", 20), ("collecting", 0)]
    assert (told.is_open, told.is_well, told.words, told.remote_id) == (False, True, "done", "100")
    assert told.took.replace("\xa0", " ") == "planned 10 min 00 s, upload 10 min 00 s, at X 20 min 00 s"


def test_a_job_that_failed_or_was_given_up_says_so() -> None:
    """It has no stretch of collecting, and is told by X's word."""
    standing = Standing()
    standing.plan(1, {"a": [0]})
    standing.uploaded(1, seconds_ago=60, complete=False)
    standing.finished(1, status="expired")
    told = course_of(standing)
    assert (told.words, told.is_well, told.is_open) == ("expired", False, False)
    assert [span.stage for span in told.spans] == ["planned", "uploading", "checking"]


def test_a_clock_that_went_back_makes_no_negative_stretch() -> None:
    """Facts carry the time of whoever wrote them."""
    standing = Standing()
    standing.plan(1, {"a": [0]}, at=-MINUTES)
    standing.created(1, at=-2 * MINUTES)
    assert all(span.seconds >= 0 for span in course_of(standing).spans)


def test_a_plan_that_is_not_there_is_no_job() -> None:
    """Nothing is shown of it."""
    assert course(Standing().ledger.job(TWEETS, 9), Activity([]), utc_now()) is None


def made(begin: float, end: float, expected: float | None = None) -> Course:
    """Make a job that began and ended so many minutes from now."""
    now = utc_now()
    return Course(
        number=1, remote_id=None, ids=1, batches=1, words="", error=None, is_open=False, is_well=True,
        spans=[Span(Stage.PLANNED, now + begin * MINUTES, now + end * MINUTES)],
        expected=now + expected * MINUTES if expected is not None else None,
    )  # fmt: skip


def test_the_window_is_as_short_as_the_last_jobs_allow() -> None:
    """A night without work does not press today's jobs together."""
    today = [made(-50 + n, -40 + n) for n in range(10)]
    shown = window([made(-900, -890), *today], utc_now())
    assert (shown.now - shown.begin) == timedelta(hours=1)
    assert not shown.shows(made(-900, -890))
    assert all(map(shown.shows, today))


@pytest.mark.parametrize(
    ("begin", "expected"), [(-0.2, None), (-2, 1), (-50, 500), (-60 * 30, 10), (-60 * 24 * 100, 1)]
)
def test_a_window_has_few_round_ticks_and_room_for_what_is_expected(begin: float, expected: float | None) -> None:
    """From seconds to months."""
    now = utc_now()
    shown = window([made(begin, 0, expected)], now)
    ticks = shown.ticks()
    assert 1 <= len(ticks) <= 7
    assert all(shown.begin <= tick < shown.end and tick.timestamp() % 10 == 0 for tick in ticks)
    assert 0 < shown.share(now) < 100
    assert (shown.end - now) <= 0.35 * (now - shown.begin)
    assert shown.width(now, now) > 0


def test_without_jobs_there_is_a_window_too() -> None:
    """A minute, empty."""
    assert window([], utc_now()).ticks()


def test_of_a_batch_that_has_ended_all_jobs_are_shown() -> None:
    """The window ends where it did."""
    jobs = [made(-900 + 10 * n, -895 + 10 * n) for n in range(30)]
    shown = window(jobs, jobs[-1].end, is_over=True)
    assert all(map(shown.shows, jobs))
    assert shown.share(jobs[-1].end) > 90
