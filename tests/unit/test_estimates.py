"""How long jobs take, told from those that ended."""

from hypothesis import given, settings
from hypothesis import strategies as st

from complyq_producer.estimates import NEIGHBOURS, Expectation, JobDuration, expect, likely_seconds

SECONDS = st.floats(0.1, 100_000)
DURATIONS = st.lists(
    st.builds(
        lambda count, most, share: JobDuration(count, most * share, most),
        st.integers(1, 10**7),
        SECONDS,
        st.floats(0, 1),
    ),
    max_size=30,
)


def known(seconds: float, count: int = 1000) -> JobDuration:
    """Make a job of which it is known to the second when it ended."""
    return JobDuration(count, seconds - 1, seconds)


def test_nothing_is_expected_where_nothing_is_known() -> None:
    """The first job of a type is waited for blindly."""
    assert expect([], 1000) is None


def test_one_job_is_enough_to_expect_the_like() -> None:
    """The second job is waited for as long as the first took."""
    assert expect([known(60)], 1000) == Expectation(60, 60, 60)


def test_a_job_that_took_much_longer_or_shorter_is_not_believed() -> None:
    """One that hung for a day, and one that came back at once, change nothing."""
    usual = [known(60), known(61), known(62)]
    assert expect([known(86_400), *usual], 1000) == Expectation(61, 61.5, 62)
    assert expect([known(86_400), *usual, known(1.5)], 1000) == Expectation(60, 61, 62)


@settings(deadline=None)
@given(st.lists(st.sampled_from([55, 60, 65]), min_size=8, max_size=8), st.floats(1, 1e6), st.integers(0, 8))
def test_no_single_job_moves_what_is_expected(seconds: list[int], strange: float, place: int) -> None:
    """Among nine of a size, whatever it took and whenever it was."""
    durations = [known(second) for second in seconds]
    durations.insert(place, JobDuration(1000, strange, strange))
    expected = expect(durations, 1000)
    assert expected is not None
    assert 55 <= expected.early <= expected.likely <= expected.late <= 65


def test_jobs_of_about_the_same_size_are_asked() -> None:
    """A million IDs take longer than a hundred, and sizes are compared by their ratio."""
    small, large = [known(30, 100) for _ in range(NEIGHBOURS)], [known(3000, 10**6) for _ in range(NEIGHBOURS)]
    mixed = [duration for pair in zip(small, large, strict=True) for duration in pair]
    assert likely_seconds(mixed, 400) == [30] * NEIGHBOURS
    assert likely_seconds(mixed, 200_000) == [3000] * NEIGHBOURS


def test_of_many_jobs_the_newest_are_asked() -> None:
    """X has become faster: after a few jobs that is known."""
    newest_first = [known(20)] * NEIGHBOURS + [known(600)] * 30
    assert set(likely_seconds(newest_first, 1000)) == {20}


def test_a_job_whose_end_is_not_known_closely_is_taken_for_shorter() -> None:
    """So that the next one is looked at earlier, until that is known."""
    assert likely_seconds([JobDuration(1000, 60, 120)], 1000) == [90]
    assert likely_seconds([JobDuration(1000, 118, 120)], 1000) == [120]


def test_a_job_that_was_never_seen_at_work_may_have_taken_as_long_as_others_surely_did() -> None:
    """It was looked at once, when it had ended: the others tell the least."""
    durations = [JobDuration(1000, 0, 62), JobDuration(1000, 60, 62), JobDuration(1000, 60, 62)]
    assert likely_seconds(durations, 1000) == [62, 62, 62]
    assert likely_seconds([JobDuration(1000, 0, 62)], 1000) == [31]


@settings(deadline=None)
@given(DURATIONS, st.integers(0, 10**8))
def test_what_is_expected_lies_within_what_was_seen(durations: list[JobDuration], count: int) -> None:
    """Whatever was seen."""
    expected = expect(durations, count)
    assert (expected is None) == (not durations)
    if expected:
        assert min(duration.least for duration in durations) <= expected.early
        assert expected.early <= expected.likely <= expected.late <= max(duration.most for duration in durations)


def test_the_size_of_a_job_tells_how_long_it_takes() -> None:
    """After some jobs of many sizes that take a second per thousand IDs each expectation is right to a factor of two."""
    counts = [int(1000 * 1.2**step) for step in range(50)]
    durations = [JobDuration(count, count / 1000 * 0.98, count / 1000) for count in counts]
    for count in counts[5:-5]:
        expected = expect(durations, count)
        assert expected is not None
        assert 0.5 <= expected.likely / (count / 1000) <= 2
