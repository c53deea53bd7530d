"""The benchmark of the data path, with a few ten thousand IDs: everybody's answer is right, and what is not is noticed."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

pytest.importorskip("twarc", reason="the benchmarks' packages: uv sync --group bench")
pytest.importorskip("isal", reason="the benchmarks' packages: uv sync --group bench")

from racing import straight
from racing.bars import bars
from racing.inputs import Expected, Input, digest, expected, make_input
from racing.measuring import Conditions, Run, measure, wrong
from racing.races import Race, Raced, Row, Title, races
from racing.task import SMALL_BATCH_IDS, Answer
from racing.uploading_x import LATENCY_SECONDS
from transfer import app

IDS = 30_000
JUDGED = 2_000_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Input:
    return make_input(tmp_path_factory.mktemp("ids"), IDS, duplicates=0.05)


def run(competitor: str, small: Input, folder: Path, **conditions: Any) -> Run:
    chosen = Conditions(**conditions)
    return measure(competitor, small, expected(small.unique, chosen.rate), chosen, folder)


@pytest.mark.parametrize("competitor", ["complyq", "twarc2", "tutorial", "straight", "straight, IDs stored"])
def test_every_competitor_finds_exactly_what_is_flagged(competitor: str, small: Input, tmp_path: Path) -> None:
    """Counts, actions, reasons and each ID; and what it used has been measured."""
    done = run(competitor, small, tmp_path, rate=0.3)
    assert done.wrong == []
    assert done.seconds > 0
    assert done.cpu_seconds > 0
    assert done.peak_bytes > 10_000_000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("competitor", ["ingest", "per-line set"])
def test_both_ways_of_reading_find_each_id_once(competitor: str, small: Input, tmp_path: Path) -> None:
    """Duplicates are gone, nothing else is."""
    assert run(competitor, small, tmp_path, checks_flagged=False).wrong == []


@pytest.mark.parametrize("competitor", ["complyq", "straight, IDs stored"])
def test_results_may_go_to_s3(competitor: str, small: Input, tmp_path: Path) -> None:
    """The server is real, and nobody pays for it."""
    done = run(competitor, small, tmp_path, s3=True)
    assert done.wrong == []
    assert not any("ministack" in name for name, _ in done.peaks)


@pytest.mark.parametrize("competitor", ["one stream", "8 MiB chunks", "google-resumable-media"])
def test_every_way_of_uploading_brings_each_byte_once(competitor: str, small: Input, tmp_path: Path) -> None:
    """A session is started, and all that there is of so few IDs is sent in one request."""
    done = run(competitor, small, tmp_path, distant=True, checks_flagged=False)
    assert done.wrong == []
    assert done.figures == {"requests": 2, "bytes that arrived twice": 0}
    assert done.seconds > 2 * LATENCY_SECONDS


def test_an_upload_that_is_cut_sends_nothing_again_that_x_has(small: Input, tmp_path: Path) -> None:
    """But the last bytes before the cut: the storage keeps multiples of 256 KiB."""
    done = run("one stream, cut once", small, tmp_path, distant=True, checks_flagged=False)
    assert done.wrong == []
    assert done.figures["requests"] == 4
    assert 0 <= done.figures["bytes that arrived twice"] < 256 * 1024


def test_many_batches_are_one_race(tmp_path: Path) -> None:
    """They are merged, and their answers are added up; here with little memory for each process."""
    apart = make_input(tmp_path, IDS, duplicates=0.0)
    assert run("complyq", apart, tmp_path, batches=20, limit_mb=256).wrong == []


@pytest.mark.parametrize(
    ("competitor", "figure"),
    [
        ("all at once", "batches a second"),
        ("one by one", "median ms, from the call"),
        ("straight, one by one", "median ms, in all"),
    ],
)
def test_small_batches_have_jobs_of_their_own(competitor: str, figure: str, tmp_path: Path) -> None:
    """The answer to each of them is right, also by itself."""
    apart = make_input(tmp_path, 5 * SMALL_BATCH_IDS, duplicates=0.0)
    done = run(competitor, apart, tmp_path, merge=False)
    assert done.wrong == []
    assert done.figures[figure] > 0


def test_enqueueing_is_measured_batch_by_batch(tmp_path: Path) -> None:
    """As numbers and as strings; every ID is in the store."""
    apart = make_input(tmp_path, IDS, duplicates=0.0)
    done = run("enqueue", apart, tmp_path, checks_flagged=False)
    assert done.wrong == []
    assert {"median ms, int", "median ms, str"} < done.figures.keys()


def test_a_competitor_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    """What it printed is told."""
    given = make_input(tmp_path, IDS, duplicates=0.0)
    with given.path.open("a") as file:
        file.write("12x\n")
    with pytest.raises(RuntimeError, match="a line is not decimal"):
        run("straight", given, tmp_path)


@pytest.mark.parametrize(
    ("answer", "ids", "told"),
    [
        (Answer(unique=3, flagged=2), [1, 2], []),
        (Answer(flagged=2), [1, 3], ["the IDs are other ones"]),
        (Answer(flagged=3), [1, 2, 2], ["flagged is 3, not 2", "the IDs are other ones"]),
        (Answer(flagged=2, by_action={"delete": 2}), [1, 2], ["by_action is {'delete': 2}, not {'delete': 1}"]),
    ],
)
def test_a_wrong_answer_is_noticed(answer: Answer, ids: list[int], told: list[str]) -> None:
    """Whatever a competitor tells is compared; what it does not tell is not held against it."""
    truth = Answer(unique=3, flagged=2, by_action={"delete": 1}, by_reason={})
    right = Expected(truth, digest(np.array([2, 1], np.uint64)), digest(np.array([1, 2, 3], np.uint64)))
    assert list(wrong(answer, digest(np.array(ids, np.uint64)), right, flagged=True)) == told


@given(st.lists(st.integers(1, 2**64 - 2), min_size=1, max_size=200), st.integers(1, 7), st.integers(1, 7))
def test_straight_line_code_sorts_in_runs_and_ranges(ids: list[int], run_ids: int, bucket_ids: int) -> None:
    """However small they are, each ID comes out once, in order."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ids.txt").write_text("".join(f"{identifier}\n" for identifier in ids))
        patch.setattr(straight, "_RUN_IDS", run_ids)
        patch.setattr(straight, "_BUCKET_IDS", bucket_ids)
        patch.setattr(straight, "_STRIDE", 1)
        patch.setattr(straight, "_BLOCK_BYTES", 64)
        edges = straight.write_payload(folder / "ids.txt", folder / "payload.txt", folder)
        written = [int(line) for line in (folder / "payload.txt").read_text().splitlines()]
    assert written == sorted(set(ids))
    assert edges.count == len(written)
    assert edges.ids.tolist() == written[bucket_ids::bucket_ids]


def raced(title: str, seconds: dict[str, float], peaks: dict[str, int]) -> Raced:
    runs = [
        Run(competitor=name, seconds=taken, cpu_seconds=1.0, peak_bytes=peaks.get(name, 1), peaks=[], load=0.0, wrong=[],
            figures={"median ms, int": 2.0, "median ms, str": 4.0})
        for name, taken in seconds.items()
    ]  # fmt: skip
    return Raced(Race(title, Conditions(), tuple(seconds), JUDGED), runs)


def test_bars_compare_medians() -> None:
    """Faster and smaller by so much, and not slower than so much."""
    ten = raced(
        Title.TEN_PERCENT,
        {"complyq": 2.0, "twarc2": 8.0, "tutorial": 4.9, "straight": 1.0},
        {"complyq": 10, "tutorial": 100},
    )
    s3 = raced(Title.S3, {"complyq": 1.3, "straight": 0.8, "straight, IDs stored": 1.0}, {})
    reading = raced(Title.READING, {"ingest": 1.0, "per-line set": 7.9}, {})
    enqueue = raced(Title.ENQUEUE, {"enqueue": 1.0}, {})
    thirty = raced(Title.THIRTY_PERCENT, {"complyq": 1.0, "tutorial": 3.5}, {"complyq": 10, "tutorial": 249})
    finished = {each.race.title: each for each in (ten, s3, reading, enqueue, thirty)}
    rows = [Row.TWARC, Row.TUTORIAL, Row.STRAIGHT, Row.READING, Row.ENQUEUE]
    met = [bar.met for bar in bars(rows, finished, JUDGED)]
    assert met == [*[True] * 5, True, False, True, True, False, False, True, None, False, True, False]


@pytest.mark.parametrize(("lines", "met"), [(JUDGED, None), (10_000_000, True)])
def test_uploads_are_judged_where_there_are_many_chunks(lines: int, met: bool | None) -> None:  # noqa: FBT001 - parametrized
    """What one stream saves grows with the size of the upload."""
    seconds = {"one stream": 1.0, "8 MiB chunks": 4.1, "google-resumable-media": 4.2}
    judged = bars([Row.UPLOAD], {Title.UPLOAD: raced(Title.UPLOAD, seconds, {})}, lines)
    assert [bar.met for bar in judged] == [True, met, met]


@pytest.mark.parametrize(("pace", "milliseconds", "met"), [(30.0, 60.0, [True, True]), (29.9, 61.0, [False, False])])
def test_small_batches_are_judged_by_pace_and_delay(pace: float, milliseconds: float, met: list[bool]) -> None:
    """What the requests take by themselves is not held against one."""
    chain = raced(Title.CHAIN, dict.fromkeys(("all at once", "one by one", "straight, one by one"), 1.0), {})
    for run, (name, figure) in zip(
        chain.runs,
        [("batches a second", pace), ("median ms, from the call", milliseconds), ("median ms, in all", 10.0)],
        strict=True,
    ):
        run.figures[name] = figure
    assert [bar.met for bar in bars([Row.CHAIN], {Title.CHAIN: chain}, JUDGED)] == [True, *met]


def test_few_ids_are_not_judged() -> None:
    """What starting and polling cost would be all that is compared; answers must be right all the same."""
    reading = raced(Title.READING, {"ingest": 1.0, "per-line set": 1.0}, {})
    reading.runs[0].wrong.append("the IDs are other ones")
    judged = bars([Row.READING], {Title.READING: reading}, IDS)
    assert [bar.met for bar in judged] == [False, None]
    assert judged[0].measured == "ingest: the IDs are other ones"


def test_one_race_serves_several_rows() -> None:
    """Complyq runs once a turn for all of them."""
    titles = [race.title for race in races([Row.TWARC, Row.TUTORIAL, Row.STRAIGHT], JUDGED)]
    assert titles == [Title.TEN_PERCENT, Title.THIRTY_PERCENT, Title.S3]
    assert [race.competitors for race in races([Row.TWARC], JUDGED)] == [("complyq", "twarc2")]


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    """Tables of who ran, all figures as JSON, and nothing left behind."""
    figures, work = tmp_path / "figures.json", tmp_path / "work"
    options = ["--row=5", "--row=8", "--ids=20000", "--repetitions=2", f"--work={work}", f"--json={figures}", "--check"]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert "per-line set" in done.output
    assert "alone" in done.output
    measured = json.loads(figures.read_text())
    assert [run["competitor"] for run in measured["races"]["reading"]["runs"]] == ["ingest", "per-line set"] * 2
    assert list(work.iterdir()) == []
