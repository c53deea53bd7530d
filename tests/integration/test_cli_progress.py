"""What progress says and when, and the folder of `complyq run`: pure parts, and files."""

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from complyq_producer.cli.describing import clock, describe, share_done
from complyq_producer.cli.files import replaced_file
from complyq_producer.cli.following import LiveTable, PlainLines, follow
from complyq_producer.cli.workspace import Workspace
from complyq_producer.errors import InvalidArgumentError, StoreUnavailableError
from complyq_producer.model import BatchId, BatchState, ComplianceType, Priority
from complyq_producer.parked import ParkedWork
from complyq_producer.status import BatchStatus, JobStatus, Progress

ACCEPTED = BatchStatus(
    batch_id=BatchId("0193a1b2"),
    type=ComplianceType.TWEETS,
    name="archive",
    key=None,
    labels={},
    priority=Priority.NORMAL,
    deadline=None,
    state=BatchState.ACCEPTED,
    submitted=2_000,
    invalid=0,
    duplicates=0,
    unique=2_000,
    flagged=0,
    rejected=0,
    checked=0,
    parts=2,
    parts_done=0,
    jobs=[],
    parked=[],
    position=None,
    jobs_ahead=None,
    late=False,
    progress=None,
    estimate=None,
    cancel_requested=False,
    error=None,
    accepted_at=datetime(2026, 11, 22, tzinfo=UTC),
    ended_at=None,
)


def changed(**fields: object) -> BatchStatus:
    """A status like ACCEPTED with other fields."""
    status: BatchStatus = msgspec.structs.replace(ACCEPTED, **fields)
    return status


def uploading(done: int) -> BatchStatus:
    """A batch whose upload is under way; of 4,000,000 bytes."""
    progress = Progress(phase="uploading", bytes_done=done, bytes_total=4_000_000)
    return changed(
        state=BatchState.RUNNING, jobs=[JobStatus(plan=1, remote_id="7", status="created")], progress=progress
    )


WAITING = changed(state=BatchState.WAITING, position=3)
COMPLETED = changed(state=BatchState.COMPLETED, flagged=12, parts_done=2, checked=2_000)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (ACCEPTED, "accepted; no worker has looked at it yet"),
        (WAITING, "waiting, place 3 in the queue"),
        (
            uploading(1_000_000),
            "uploading 1.0 MB of 4.0 MB (25%), 1 min 05 s in the slot, 0 of 2 parts done, 0 of 2,000 IDs checked",
        ),
        (COMPLETED, "completed: 12 of 2,000 IDs flagged"),
        (changed(state=BatchState.FAILED, error="X refused"), "failed: X refused"),
        (changed(state=BatchState.CANCELLED), "cancelled"),
        (changed(cancel_requested=True), "accepted; no worker has looked at it yet (cancel asked for)"),
    ],
)
def test_each_state_is_said_in_words(status: BatchStatus, said: str) -> None:
    """Phase, bytes, IDs, place in the queue and time in the slot."""
    assert describe(status, slot_seconds=65) == said


def test_an_unknown_phase_of_a_newer_worker_is_shown_as_it_is() -> None:
    """The worker's own word, with spaces."""
    status = changed(state=BatchState.RUNNING, progress=Progress(phase="having_tea"), parts=1)
    assert describe(status) == "having tea"


def test_plain_progress_is_a_line_for_each_change() -> None:
    """Nothing is repeated; an upload gives a line for each tenth."""
    lines: list[str] = []
    display = PlainLines(lines.append)
    for status in (ACCEPTED, ACCEPTED, WAITING, uploading(0), uploading(100_000), uploading(500_000), COMPLETED):
        display.show([status])
    assert [line.split(":", 1)[0] for line in lines] == ["archive"] * 5
    assert "(12%)" in lines[3]


def test_live_progress_has_a_row_for_each_batch() -> None:
    """Drawn on a terminal; here on paper."""
    paper = Console(file=io.StringIO(), width=120, color_system=None)
    LiveTable(paper.print).show([uploading(2_000_000), COMPLETED, changed(state=BatchState.FAILED, error="broken")])
    assert isinstance(paper.file, io.StringIO)
    rows = paper.file.getvalue().splitlines()
    assert [("50%" in row, "completed" in row, "broken" in row) for row in rows] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_share_done_grows_from_nothing_to_all() -> None:
    """The bar never goes back on the usual way."""
    shares = [share_done(status) for status in (ACCEPTED, uploading(0), uploading(4_000_000), COMPLETED)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(("seconds", "said"), [(9, "9 s"), (65, "1 min 05 s"), (7_500, "2 h 05 min")])
def test_durations_are_written_for_people(seconds: float, said: str) -> None:
    """Seconds, minutes, hours."""
    assert clock(seconds) == said


def test_following_outlives_a_store_that_is_away_for_a_moment() -> None:
    """A batch takes hours: a request that fails meanwhile does not end the watching."""
    answers: Iterator[BatchStatus | None] = iter([ACCEPTED, None, COMPLETED])

    def read() -> Sequence[BatchStatus]:
        answer = next(answers)
        if answer is None:
            raise StoreUnavailableError("away")
        return [answer]

    assert follow(read, PlainLines(lambda _: None), pause=0) == [COMPLETED]


def test_a_file_is_there_in_full_or_not_at_all(tmp_path: Path) -> None:
    """A failure keeps the older file and leaves no rest."""
    path = tmp_path / "results.jsonl"
    path.write_text("old")
    with pytest.raises(TypeError), replaced_file(path) as file:
        file.writelines([b"half", None])  # type: ignore[list-item] # fails on purpose
    assert ([entry.name for entry in tmp_path.iterdir()], path.read_text()) == (["results.jsonl"], "old")
    with replaced_file(path) as file:
        file.write(b"new")
    assert path.read_text() == "new"


def test_two_runs_cannot_work_in_one_folder(tmp_path: Path) -> None:
    """The second is refused; after the first the folder is free."""
    workspace = Workspace(tmp_path)
    with workspace.locked(), pytest.raises(InvalidArgumentError, match="another `complyq run`"), workspace.locked():
        pass
    with workspace.locked():
        workspace.remove_state()
    assert list(tmp_path.iterdir()) == []


def test_a_run_against_x_is_not_given_up_for_a_simulation(tmp_path: Path) -> None:
    """What X is working on is kept; a simulated run, whose X is gone, starts over."""
    workspace = Workspace(tmp_path)
    with workspace.locked():
        assert workspace.prepare(simulate=False) is False
        (workspace.state / "store").mkdir()
        assert workspace.prepare(simulate=False) is True
        with pytest.raises(InvalidArgumentError, match="without --simulate"):
            workspace.prepare(simulate=True)
        workspace.remove_state()
    with workspace.locked():
        workspace.prepare(simulate=True)
        (workspace.state / "store").mkdir()
        assert workspace.prepare(simulate=False) is False
        assert [entry.name for entry in workspace.state.iterdir()] == ["lock"]


def test_an_estimate_is_shown_as_a_time_of_day() -> None:
    """People plan by the clock on their wall."""
    noon = (datetime.now().astimezone() + timedelta(days=2)).replace(hour=12, minute=30)
    said = describe(changed(state=BatchState.WAITING, position=2, estimate=noon))
    assert said == f"waiting, place 2 in the queue, done about {noon:%Y-%m-%d} 12:30"
    soon = datetime.now().astimezone() + timedelta(seconds=60)
    assert f"{soon:%H:%M}" in describe(changed(state=BatchState.WAITING, position=2, estimate=soon))


def test_a_job_that_is_overdue_may_end_any_moment() -> None:
    """No time of day is claimed for it."""
    overdue = changed(state=BatchState.RUNNING, parts=1, estimate=datetime.now(UTC))
    assert describe(overdue) == "running, done any moment"


@pytest.mark.parametrize(
    ("jobs", "said"), [(0, "queue"), (1, "queue, 1 job of the queue before its own"), (7, "7 jobs")]
)
def test_a_waiting_batch_tells_how_many_jobs_go_before_it(jobs: int, said: str) -> None:
    """Jobs are what is scarce: a place says little by itself."""
    assert said in describe(msgspec.structs.replace(WAITING, jobs_ahead=jobs))


def test_being_late_is_said_before_and_after_the_end() -> None:
    """When it was due, and in the end by how much it was missed."""
    now = datetime.now(UTC)
    due = {"deadline": now + timedelta(hours=1), "late": True}
    passed = {"deadline": now - timedelta(hours=2), "late": True}
    assert "may be late: due 20" in describe(changed(**due))
    assert "late: was due 20" in describe(msgspec.structs.replace(WAITING, **passed))
    assert "may be late" in describe(msgspec.structs.replace(uploading(0), **due))
    ended = msgspec.structs.replace(COMPLETED, **passed, ended_at=now - timedelta(minutes=30))
    assert describe(ended).endswith("flagged, late: 1 h 30 min after its deadline")
    failed = msgspec.structs.replace(ended, state=BatchState.FAILED, error="X refused")
    assert describe(failed) == "failed: X refused, late: 1 h 30 min after its deadline"


def test_becoming_late_is_worth_a_line() -> None:
    """Once."""
    lines: list[str] = []
    display = PlainLines(lines.append)
    late = msgspec.structs.replace(WAITING, deadline=ACCEPTED.accepted_at, late=True)
    for status in (WAITING, late, late):
        display.show([status])
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ("merging", "merging the IDs of its batches"),
        ("split", "its job failed, to be tried again with half of the batches"),
        ("waiting_for_foreign_job", "waiting for another program's job at X to end"),
    ],
)
def test_phases_are_said_in_words(phase: str, said: str) -> None:
    """Not in the workers' own."""
    assert describe(changed(state=BatchState.RUNNING, parts=1, progress=Progress(phase=phase))) == said


def test_a_parked_batch_says_what_somebody_has_to_do() -> None:
    """While its job still has the slot and afterwards, but not while another of its jobs runs."""
    work = ParkedWork(
        batch_id=ACCEPTED.batch_id,
        type=ACCEPTED.type,
        name=None,
        plan=1,
        step="upload_job",
        reason="upload_job crashed its process 5 times",
        since=ACCEPTED.accepted_at,
        fails_at=ACCEPTED.accepted_at,
        retried_at=None,
    )
    job = JobStatus(plan=1, remote_id="7", status="parked", error=work.reason)
    parked = changed(state=BatchState.RUNNING, parked=[work], jobs=[job])
    said = "parked: upload_job crashed its process 5 times; see complyq parked"
    assert describe(parked) == f"{said}, 0 of 2 parts done, 0 of 2,000 IDs checked"
    assert describe(msgspec.structs.replace(parked, progress=Progress(phase="parked"))).startswith(said)
    assert describe(msgspec.structs.replace(parked, progress=Progress(phase="uploading"))).startswith("uploading")
