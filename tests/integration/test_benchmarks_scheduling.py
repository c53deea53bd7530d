"""The benchmark of the scheduler, over some simulated minutes, and the pure parts that its verdict rests on."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from replay.answers import Answers, flagged_of
from replay.arrivals import Arrival, small_ids, steady
from replay.bars import bars_of_merging
from replay.figures import busy_share, figures, latency, most_in_a_window
from replay.perfect import least_total, never_waiting
from replay.plot import Curve, latency_plot
from replay.scenarios import Comparison, Scenario
from replay.virtual_time import VirtualClock
from replay.world import Answered, Conditions, Replayed, replay
from scheduling import app

FREE = Conditions(charge=0.0)
"""The work of steps takes no virtual time, so that a replay does not depend on how busy this machine is."""


def answered(at: float, carried: float | None = None, completed: float | None = None) -> Answered:
    return Answered(Arrival(at, small_ids(0)), carried, completed)


def replayed(batches: list[Answered], *, jobs: list[tuple[float, float]]) -> Replayed:
    return Replayed(
        merge=True, seconds=100.0, end=120.0, batches=batches, requests=[], jobs=jobs, wrong=[], store_calls={},
        steps={}, work={}, real_seconds=0.0,
    )  # fmt: skip


@pytest.mark.parametrize("merge", [True, False])
def test_batches_are_answered_in_virtual_time(*, merge: bool) -> None:
    """Four minutes of arrivals: right answers within the budget; all of them with merging, few without."""
    seen = figures(replay(steady(240), 240, FREE, merge=merge))
    assert seen.wrong == []
    assert seen.refused == 0
    assert 0 < max(seen.most_in_a_window.values()) <= FREE.rate_limit
    assert seen.latency.batches == 240
    assert (seen.latency.unanswered == 0) is merge


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (lambda ids: ids, []),
        (lambda ids: ids[1:], ["unique"]),
        (lambda ids: [*ids[1:], "1"], ["not those of its IDs"]),
    ],
)
def test_a_wrong_answer_is_noticed(found: Callable[[list[str]], list[str]], told: list[str]) -> None:
    """Counts and IDs are those that the simulator's rule gives, or the batch is reported."""
    arrival = Arrival(0.0, small_ids(7))
    flagged = found(list(flagged_of(arrival.ids, 0.01).ids or ()))
    answers = Answers(VirtualClock(datetime(2026, 11, 1, tzinfo=UTC)), 0.01)
    answers.expect("b", arrival)
    results = {"results": [{"id": identifier} for identifier in flagged]}
    end = {"unique": 5000, "flagged": len(flagged), "compliant": 5000 - len(flagged), "rejected": 0}
    for kind, data in (("results", results), ("completed", end)):
        event = {"type": f"complyq.batch.{kind}.v1", "data": data}
        assert answers.publish("b", kind, json.dumps(event).encode())
    assert len(flagged) > 20
    assert list(answers.completed) == ["b"]
    assert all(word in " ".join(answers.wrong) for word in told)
    assert bool(answers.wrong) is bool(told)


def test_small_batches_are_watched_while_a_huge_one_is_under_way() -> None:
    """Their 95th percentile is told, with it and without."""
    compared = Comparison(120, FREE, bulk_ids=20_000).of(Scenario.BULK)
    assert all(run.wrong == [] for run in compared.runs.values())
    assert compared.noted["bulk_took"] > FREE.processing_seconds
    assert compared.noted["p95_meanwhile"] > FREE.processing_seconds


def test_the_command_prints_writes_and_judges(tmp_path: Path) -> None:
    """A table, all figures as JSON, a picture, and exit code 1 where a bar is missed."""
    figures_file, picture = tmp_path / "figures.json", tmp_path / "latency.svg"
    options = ["--scenario=steady", "--hours=0.05", "--charge=0", "--poll-min=300", "--poll-max=300", "--check"]
    done = CliRunner().invoke(app, [*options, f"--json={figures_file}", f"--plot={picture}"])
    assert done.exit_code == 1, done.output
    assert "median latency" in done.output
    measured = json.loads(figures_file.read_text())
    assert measured["conditions"]["poll_min_seconds"] == 300
    assert {"one by one", "merged"} == set(measured["scenarios"]["steady"]["runs"])
    ET.fromstring(picture.read_text())  # noqa: S314 - our own


def test_a_perfect_scheduler_that_never_waits() -> None:
    """Jobs follow each other, each with all that is there when it begins."""
    assert never_waiting([0.0, 1.0, 59.0, 60.0, 500.0], 60) == [60.0, 119.0, 61.0, 60.0, 60.0]


def test_a_perfect_scheduler_may_wait_for_what_is_about_to_come() -> None:
    """One job a second later serves a hundred batches a minute earlier."""
    assert least_total([0.0] + [1.0] * 100, 60) == [61.0] + [60.0] * 100


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 4))
def test_nothing_is_better_than_the_least_total(times: list[int], job_seconds: int) -> None:
    """Of all ways to begin jobs at whole seconds none has a lower sum of latencies."""
    arrivals = [float(at) for at in sorted(times)]
    assert sum(least_total(arrivals, job_seconds)) == pytest.approx(_least_by_trying(arrivals, job_seconds, 0))
    assert sum(least_total(arrivals, job_seconds)) <= sum(never_waiting(arrivals, job_seconds))


def _least_by_trying(arrivals: list[float], job_seconds: int, free: int) -> float:
    if not arrivals:
        return 0.0
    totals = []
    for start in range(max(free, int(arrivals[0])), max(free, int(arrivals[-1])) + 1):
        end = start + job_seconds
        later = [at for at in arrivals if at > start]
        carried = sum(end - at for at in arrivals if at <= start)
        totals.append(carried + _least_by_trying(later, job_seconds, end))
    return min(totals)


def test_a_batch_without_an_answer_counts_as_if_it_had_come_with_the_last_arrival() -> None:
    """So that a backlog that grows for ever does not look short."""
    seen = latency(replayed([answered(10.0), answered(20.0, 30.0, 90.0), answered(40.0, 30.0, 110.0)], jobs=[]))
    assert (seen.median, seen.unanswered) == (70.0, 1)


def test_the_slot_is_idle_while_work_waits_and_no_job_is_active() -> None:
    """Time in which nothing waits does not count, however idle the slot is."""
    seen = replayed([answered(0.0, 10.0), answered(50.0, 60.0)], jobs=[(5.0, 20.0), (50.0, 55.0)])
    assert busy_share(seen) == pytest.approx(0.5)
    assert busy_share(replayed([answered(0.0)], jobs=[(60.0, float("inf"))])) == pytest.approx(0.5)
    assert busy_share(replayed([], jobs=[])) == 1.0


def test_requests_are_counted_by_x_s_windows() -> None:
    """A window begins with the first request after the last one has ended."""
    assert most_in_a_window([0.0, 899.0, 900.0, 901.0, 1799.0, 1800.0]) == 3
    assert most_in_a_window([]) == 0


def test_what_cannot_be_judged_is_only_shown() -> None:
    """The backlog without merging has to grow for hours, and nobody can know when a burst ends."""
    seen = figures(replayed([answered(0.0, 1.0, 90.0)], jobs=[]))
    met = [bar.met for bar in bars_of_merging("steady", seen, seen, 89.5, seconds=300, judged=True)]
    assert met == [None, True]
    met = [bar.met for bar in bars_of_merging("bursty", seen, seen, 10.0, seconds=30_000, judged=False)]
    assert met == [None, None]


def test_the_picture_stands_by_itself() -> None:
    """It refers to nothing outside, names its curves, and has colours for a dark page."""
    picture = latency_plot("Latency", [Curve("a & b", [(float(at), 60.0 + at) for at in range(5000)])])
    root = ET.fromstring(picture)  # noqa: S314 - our own
    line = next(element for element in root.iter() if element.tag.endswith("polyline"))
    assert len(line.attrib["points"].split()) <= 120
    assert "a &amp; b" in picture
    assert "prefers-color-scheme: dark" in picture
    assert "href" not in picture


def test_waiting_side_by_side_takes_as_long_as_the_share_of_one() -> None:
    """Eight requests by four threads take the time of two; time in which nobody works does not pass."""
    clock = VirtualClock(datetime(2026, 11, 1, tzinfo=UTC), charge=0.0)
    clock.begin(100.0)
    with clock.side_by_side(4), clock.stopped():
        for _ in range(8):
            clock.sleep(0.5)
    assert clock.seconds() == 101.0
    assert clock.now() - clock.epoch == timedelta(seconds=101)
