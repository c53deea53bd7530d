"""A large answer is collected by two processes: what they give is what one gives, or an error."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from threading import Event

import pytest

from complyq_config.settings import ResultsFormat
from complyq_workers.results import (
    AnswerRows,
    Collection,
    Helper,
    PartIds,
    ResultsUnreadableError,
    answer,
    collect,
    helper,
    index,
    index_ids,
    read_answer,
)
from complyq_workers.results.answer import Piece
from complyq_workers.results.child import ChildError, ChildProcess
from complyq_workers.results.index import IdIndex
from complyq_workers.results.parts import Beat
from complyq_workers.results.sorting import SortedOut
from support.processes import ends, runs

LONG_ENOUGH = 60.0
IDS = [10**18 + 7 * number for number in range(3_000)]
TIME = "2019-10-29T17:02:47.000Z"


class StoppedError(Exception):
    """The lease is lost."""


class Both(AnswerRows):
    """Reads its first piece when the other process has read one: so both read."""

    def __init__(self, folder: Path) -> None:
        super().__init__("tweets", folder)
        self.others_turn = Event()

    def read_piece(self, answer: Path, piece: Piece, beat: Beat) -> None:
        """Read it, in turn."""
        assert self.others_turn.wait(LONG_ENOUGH)
        super().read_piece(answer, piece, beat)


class Willing(Helper):
    """Helps with an answer of any size."""

    def __init__(self, folder: Path, rows: Both) -> None:
        super().__init__("tweets", folder)
        self._rows = rows
        self.expect(1 << 40)

    def read(self, answer: Path, piece: Piece) -> None:
        """Have it read, and give the turn."""
        try:
            super().read(answer, piece)
        finally:
            self._rows.others_turn.set()


class Job:
    """Parts and an answer on disk."""

    def __init__(self, folder: Path, lines: list[bytes]) -> None:
        self.folder = folder
        self.answer = folder / "answer"
        self.answer.write_bytes(b"".join(lines))
        self.parts = [self._part("b1", number, IDS[number * 500 :][:500]) for number in range(5)]
        self.parts.append(self._part("b2", 0, IDS[::3]))

    def asked(self) -> IdIndex:
        """Read the IDs."""
        return index_ids(self.parts, Path(mkdtemp(dir=self.folder)))

    def alone(self, results_format: ResultsFormat = "jsonl") -> Collection:
        """Collect in one process."""
        with closing(AnswerRows("tweets", Path(mkdtemp(dir=self.folder)))) as rows:
            read_answer(rows, self.answer)
            return collect(rows, self.parts, self.asked(), spool_dir=self._spool(), results_format=results_format)

    def together(
        self,
        *,
        then: Callable[[Willing], None] = lambda _: None,
        results_format: ResultsFormat = "jsonl",
        beat: Beat = lambda: None,
    ) -> Collection:
        """Collect in two processes, and do something to the other one when the answer is read."""
        folder = Path(mkdtemp(dir=self.folder))
        with closing(Both(folder)) as rows, closing(Willing(folder, rows)) as other:
            read_answer(rows, self.answer, helper=other)
            then(other)
            return collect(
                rows, self.parts, self.asked(), spool_dir=self._spool(), results_format=results_format, helper=other, beat=beat
            )  # fmt: skip

    def _spool(self) -> Path:
        return Path(mkdtemp(dir=self.folder))

    def _part(self, batch: str, number: int, ids: list[int]) -> PartIds:
        path = self.folder / f"{batch}-{number}"
        path.write_text("".join(f"{identifier}\n" for identifier in ids))
        return PartIds(batch, number, lambda: path.open("rb"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pieces and ranges so small that there are many."""
    monkeypatch.setattr(answer, "_PIECE_BYTES", 20_000)
    monkeypatch.setattr(index, "_RANGE_IDS", 64)
    monkeypatch.setattr(index, "_SAMPLE_EVERY", 8)
    monkeypatch.setattr(helper, "_processors", lambda: 2)


def line(identifier: object, **fields: object) -> bytes:
    """A line as X would send it."""
    return json.dumps({"id": str(identifier), **fields}).encode() + b"\n"


def every_kind(rng: random.Random) -> list[bytes]:
    """Lines with shapes and without, errors, lines about nobody's IDs, several about one, in any order."""
    lines = [line(rng.choice(IDS), action="delete", reason=rng.choice("abcdef"), created_at=TIME) for _ in range(900)]
    lines += [line(rng.choice(IDS), action=rng.choice(("rehydrate", "hide")), note=[n % 7]) for n in range(300)]
    lines += [line(rng.choice(IDS), action="delete", reason=f"r{n}", redacted_at=TIME) for n in range(300)]
    lines += [line(rng.choice(IDS), error=f"e{n % 9}") for n in range(100)]
    lines += [line(n, action="delete") for n in range(1, 80)] + [line(n, error="unasked") for n in range(80, 160)]
    lines += [line("x", error=str(n % 5)) for n in range(60)] + [line("y", action="delete"), b"\n"]
    rng.shuffle(lines)
    return lines


def told(collection: Collection) -> list[object]:
    """All that counts, with the bytes of each file."""
    files = [
        [
            path.name + repr(path.read_bytes())
            for path in (one.results, one.rejected, *(o.path for o in one.also))
            if path
        ]
        for one in collection.parts
    ]
    summaries = [(one.batch_id, one.part, one.summary, one.format) for one in collection.parts]
    counts = collection.lines, collection.repeated, collection.foreign, collection.unattributed
    return [files, summaries, counts, len(collection.foreign_examples)]


@pytest.mark.parametrize("results_format", ["jsonl", "both", "parquet"])
@pytest.mark.parametrize("batches", [1, 2])
def test_two_processes_give_what_one_gives(tmp_path: Path, results_format: ResultsFormat, batches: int) -> None:
    """To the byte, whatever X says and however often, for one batch and for several that share IDs."""
    job = Job(tmp_path, every_kind(random.Random(7)))
    job.parts = job.parts[: 4 + batches]
    assert told(job.together(results_format=results_format)) == told(job.alone(results_format))


def test_a_part_of_many_ids_is_in_order(tmp_path: Path) -> None:
    """Its lower IDs are sorted out by the one process, its higher ones by the other."""
    job = Job(tmp_path, [line(identifier, action="delete") for identifier in reversed(IDS)])
    job.parts = [job._part("all", 0, IDS)]
    assert told(job.together()) == told(job.alone())


@pytest.mark.parametrize("damaged", [(0, 1_200), (700, 701), (300,), (1_499,)])
def test_the_first_damaged_line_is_named(tmp_path: Path, damaged: tuple[int, ...]) -> None:
    """By its number, whichever of the processes has found it."""
    lines = [line(identifier, action="delete", reason="deleted", created_at=TIME) for identifier in IDS[:1_500]]
    for place in damaged:
        lines[place] = b"{%d\n" % place
    with pytest.raises(ResultsUnreadableError) as raised:
        Job(tmp_path, lines).together()
    assert (raised.value.line_number, raised.value.excerpt) == (damaged[0] + 1, repr(f"{{{damaged[0]}\n"))


@pytest.mark.parametrize("text", [b"", b"\n", b"{", b"x" * 300_000, b"\n" * 90_000 + b"{}"])
def test_pieces_are_the_whole_answer(tmp_path: Path, text: bytes) -> None:
    """One behind the other, each of whole lines, also where a line is as long as several of them."""
    for written in (text, text + b"\n", b"a\n" + text + b"\n" * 30_000 + text):
        path = tmp_path / "answer"
        path.write_bytes(written)
        found = list(answer.pieces(path))
        assert b"".join(written[piece.start : piece.end] for piece in found) == written
        assert all(written[piece.end - 1 : piece.end] == b"\n" for piece in found[:-1])


def kill(other: Helper) -> None:
    """As the system does to a process that takes too much memory."""
    os.kill(pid_of(other), signal.SIGKILL)


def pid_of(other: Helper) -> int:
    """The number of the other process."""
    assert other._process is not None
    return other._process.pid


def test_a_process_that_died_is_an_error(tmp_path: Path) -> None:
    """The step is tried again: half an answer is never taken for one."""
    with pytest.raises(ChildError, match="helps to collect ended with -9"):
        Job(tmp_path, every_kind(random.Random(1))).together(then=kill)


def test_a_process_that_died_while_it_read_is_an_error(tmp_path: Path) -> None:
    """What it has read is lost, and so nothing counts."""
    job = Job(tmp_path, every_kind(random.Random(1)))
    with closing(Both(tmp_path)) as rows, closing(Willing(tmp_path, rows)) as other:
        kill(other)
        with pytest.raises(ChildError, match="ended with -9"):
            read_answer(rows, job.answer, helper=other)


def test_a_process_that_stands_still_holds_nobody_up(tmp_path: Path) -> None:
    """When the lease is lost the step ends, though the other process gives no answer."""
    few = 3

    def beat() -> None:
        nonlocal few
        few -= 1
        if not few:
            raise StoppedError

    with pytest.raises(StoppedError):
        Job(tmp_path, [line(IDS[0], action="delete")]).together(
            then=lambda other: os.kill(pid_of(other), signal.SIGSTOP), beat=beat
        )


def test_rows_that_got_lost_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever went wrong between the processes: all that was read must be sorted out."""

    def without_one(self: Helper, *args: object) -> SortedOut:
        found: SortedOut = self._ask("sort_out", *args)  # type: ignore[assignment]
        return replace(found, read=found.read - 1)

    monkeypatch.setattr(Helper, "sort_out", without_one)
    with pytest.raises(ChildError, match=r"of \d+ lines \d+ were sorted out"):
        Job(tmp_path, every_kind(random.Random(2))).together()


def test_what_is_no_answer_is_an_error() -> None:
    """A process that says something else is ended."""
    with closing(ChildProcess("this", "a poet")) as poet, pytest.raises(ChildError, match="a poet ended with"):
        poet.ask("anything")


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    """With the reason, such as a disk that is full."""
    with closing(AnswerRows("tweets", tmp_path)) as rows, closing(Helper("tweets", tmp_path / "none")) as other:
        other.expect(1 << 40)
        job = Job(tmp_path, [line(7, action="delete")])
        with pytest.raises(ChildError, match="FileNotFoundError"):
            read_answer(rows, job.answer, helper=other)


def test_a_small_answer_starts_no_process(tmp_path: Path) -> None:
    """Nor does a large one where this worker may use only one processor."""
    with closing(Helper("tweets", tmp_path)) as other:
        other.expect(1 << 20)
        assert not other.is_there


def test_one_processor_is_not_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes would only wait for each other."""
    monkeypatch.setattr(helper, "_processors", lambda: 1)
    with closing(Helper("tweets", tmp_path)) as other:
        other.expect(1 << 40)
        assert not other.is_there


def test_a_process_ends_with_its_collection(tmp_path: Path) -> None:
    """Whatever it does then."""
    with closing(Helper("tweets", tmp_path)) as other:
        other.expect(1 << 40)
        pid = pid_of(other)
        assert runs(pid)
    assert not runs(pid)


PARENT = """
import os, sys
from pathlib import Path
from complyq_workers.results import Helper
other = Helper("tweets", Path(sys.argv[1]))
other.expect(1 << 40)
print(other._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_no_process_outlives_its_worker(tmp_path: Path) -> None:
    """One that was killed leaves none behind."""
    dead = subprocess.run([sys.executable, "-c", PARENT, tmp_path], check=False, stdout=subprocess.PIPE)
    assert ends(int(dead.stdout))


WORKING = """
from complyq_workers.results.child import require_parent
while True:
    require_parent()
"""


def test_work_for_a_worker_that_is_gone_ends() -> None:
    """What it asked for last is not done to its end."""
    nobody = "-1"
    working = subprocess.run([sys.executable, "-c", WORKING, nobody], check=False, timeout=LONG_ENOUGH)
    assert working.returncode == 1
