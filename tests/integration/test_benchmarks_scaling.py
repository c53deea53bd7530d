"""More processes, and what batches cost: with a few thousand IDs, all answers are right and all of it is counted."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("ministack", reason="the S3 server of the group dev")

from costing.cases import Case
from costs import app
from racing.bars import bars
from racing.inputs import cut, expected, make_input
from racing.measuring import Conditions, Run, measure
from racing.races import SCALED, SCALED_BATCHES, SCALED_LINES, Race, Raced, Row, Title, races
from racing.report import tables
from racing.scaling_report import at_best
from racing.scaling_times import Times, shares

IDS = 20_000


def test_batches_are_checked_side_by_side(tmp_path: Path) -> None:
    """Each by itself is right, however many are collected at once, and it is told what the time went by with."""
    given = make_input(tmp_path, IDS, duplicates=0.0)
    chosen = Conditions(rate=0.5, batches=4, merge=False, cut=True, download_mb=10)
    done = measure("2 processes", given, expected(given.unique, 0.5), chosen, tmp_path)
    assert done.wrong == []
    assert done.figures["IDs a second"] == pytest.approx(done.figures["batches a second"] * IDS / 4)
    assert 0 < done.figures["share the slot was held"] <= 1
    assert done.figures["seconds of collection"] > 0


def test_a_file_is_cut_into_batches_of_different_sizes(tmp_path: Path) -> None:
    """X tells them apart by the size of their uploads; each ID is in one of them."""
    given = make_input(tmp_path, IDS, duplicates=0.0)
    parts = cut(given, SCALED_BATCHES)
    assert len({size for part in parts for size in part.upload_sizes()}) == 2 * SCALED_BATCHES
    assert np.array_equal(np.sort(np.concatenate([part.unique for part in parts])), given.unique)
    assert sum(part.lines for part in parts) == IDS
    assert cut(given, 1) == [given]


def test_the_slot_is_held_by_one_job_at_a_time() -> None:
    """One planned ahead has it when the job before it is final; what comes after the slot goes on side by side."""
    jobs = [Times(0, 1, 2, 4, 8, 9), Times(3, 4, 5, 6, 9, 10), Times(8, 8, 8, 9, 10, 10)]
    told = shares(jobs)
    assert told["seconds, from the first plan"] == 10
    assert told["seconds the slot was held"] == 4 + 2 + 1
    assert told["share the slot was held"] == pytest.approx(0.7)
    assert told["seconds of uploads"] == 2
    assert told["seconds of collection"] == 4 + 3 + 1
    assert told["batches behind the slot"] == pytest.approx((8 + 2) / 10)


@pytest.mark.parametrize(
    ("lines", "met"), [(SCALED_LINES, [True, True, False]), (SCALED_LINES - 1, [True, None, None])]
)
def test_more_processes_are_judged_where_they_wait_for_x(lines: int, met: list[bool | None]) -> None:
    """Since then the processors of this machine do not bound them; a table shows the pace of both races."""
    finished = {race.title: _raced(race) for race in races([Row.SCALE], lines)}
    assert [*finished] == [Title.SCALE, Title.SCALE_SLOW_X]
    slow: dict[str, Raced] = {Title.SCALE_SLOW_X: finished[Title.SCALE_SLOW_X]}
    assert [bar.met for bar in bars([Row.SCALE], slow, lines)] == met
    assert len([*tables(finished.values())]) == 4
    assert [at_best(4, 2, waits=waits) for waits in (False, True)] == [2, 4]


def _raced(race: Race) -> Raced:
    figures = dict.fromkeys(
        ("batches a second", "IDs a second", "share the slot was held", "seconds of uploads", "seconds of collection",
         "seconds of publication", "batches behind the slot"), 1.0
    )  # fmt: skip
    runs = [
        Run(competitor=name, seconds=seconds, cpu_seconds=1.0, peak_bytes=1, peaks=[], load=0.0, wrong=[], figures=figures)
        for name, seconds in zip(SCALED, (8.0, 5.0, 4.0), strict=True)
    ]  # fmt: skip
    return Raced(race, runs)


def test_costs_are_measured_and_worked_out_again(tmp_path: Path) -> None:
    """Batches share a job; what was written to the store is there, and the file gives the same tables without measuring."""
    figures, work = tmp_path / "costs.json", tmp_path / "work"
    options = ["--case=60 of 5,000", "--share=0.04", f"--work={work}", f"--json={figures}"]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    (costs,) = json.loads(figures.read_text())["costs"]
    assert (costs["batches"], costs["ids"], costs["figures"]["jobs"]) == (2, 10_000, 1)
    assert costs["figures"]["stored"]["ids"]["objects"] == costs["figures"]["stored"]["outcome"]["objects"] == 2
    assert costs["figures"]["enqueue"]["requests"] == {"PutObject": 6}
    assert costs["figures"]["steps"]["collect_job"]["requests"]["PutObject"] >= 3
    assert costs["figures"]["events"]["count"] == 4
    assert costs["figures"]["redis"]["calls"]["xadd"] == 4
    assert list(work.iterdir()) == []
    again = CliRunner().invoke(app, [f"--load={figures}"])
    assert again.exit_code == 0, again.output
    assert "publish_batch" in again.output


def test_a_share_of_a_case_is_one_still() -> None:
    """Of many batches fewer, of one fewer IDs."""
    assert Case("many", 100, 5_000).smaller(0.001) == Case("many", 2, 5_000)
    assert Case("one", 1, 1_000_000).smaller(0.5) == Case("one", 1, 500_000)
