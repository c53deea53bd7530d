"""Giving X's answer to the parts it belongs to."""

import gzip
import hashlib
import json
import random
from collections.abc import Iterable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from complyq_workers.results import (
    Collection,
    PartFiles,
    PartIds,
    PartUnreadableError,
    ResultsUnreadableError,
    chunks,
    index,
    index_ids,
    strays,
    summarize,
    unexpected_values,
)
from support.collecting import collect_answer

BASE = 1_265_324_480_517_361_664


def line(identifier: object, action: str | None = "delete", **fields: Any) -> bytes:
    """A line as X would send it."""
    return json.dumps({"id": str(identifier), "action": action, **fields}).encode() + b"\n"


class Job:
    """Parts and answers on disk, collected with the real thing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: list[PartIds] = []

    def part(self, ids: Iterable[int], batch: str = "b1", number: int = 0) -> None:
        """Add a part with these IDs."""
        path = self.folder / f"{batch}-{number}.txt"
        path.write_text("".join(f"{identifier}\n" for identifier in sorted(ids)))
        self.parts.append(PartIds(batch, number, lambda: path.open("rb")))

    def collect(self, lines: Iterable[bytes]) -> Collection:
        """Collect an answer of these lines."""
        answer = self.folder / "answer.jsonl"
        answer.write_bytes(b"".join(lines))
        spool = Path(mkdtemp(dir=self.folder))
        asked = index_ids(self.parts, Path(mkdtemp(dir=self.folder)))
        collection = collect_answer(answer, self.parts, asked, spool_dir=spool)
        made = {path for files in collection.parts for path in (files.results, files.rejected) if path}
        assert set(spool.iterdir()) == made
        return collection


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose ranges are so small that even a few IDs spread over several."""
    monkeypatch.setattr(index, "_RANGE_IDS", 8)
    monkeypatch.setattr(index, "_SAMPLE_EVERY", 2)
    return Job(tmp_path)


def results_of(files: PartFiles) -> list[Any]:
    """The stored results, decoded."""
    return [json.loads(text) for text in gzip.decompress(files.results.read_bytes()).splitlines()]


def rejected_of(files: PartFiles) -> list[Any]:
    """The stored rejections, decoded; none if there is no object."""
    return (
        [json.loads(text) for text in gzip.decompress(files.rejected.read_bytes()).splitlines()]
        if files.rejected
        else []
    )


def test_each_part_gets_its_own_results_sorted(job: Job) -> None:
    """Results come back by part and ascending by number, whatever the order of X's answer."""
    job.part([2, 10, 9, 100], number=0)
    job.part([1000, 999, 20000], number=1)
    collection = job.collect([line(20000), line(10), b"\n", line(999), line(2), b"\r\n", line(100)])
    assert [[result["id"] for result in results_of(files)] for files in collection.parts] == [
        ["2", "10", "100"],
        ["999", "20000"],
    ]
    assert (collection.lines, collection.foreign, collection.repeated) == (5, 0, 0)


def test_order_of_the_answer_does_not_change_a_byte(job: Job) -> None:
    """Collecting a shuffled answer, with several lines for some IDs, gives the same objects."""
    ids = [BASE + 7 * number for number in range(200)]
    job.part(ids[:120], number=0)
    job.part(ids[120:], number=1)
    rng = random.Random(5)
    actions = ["delete", "rehydrate", "scrub_geo", "hide", None]
    lines = [line(rng.choice(ids), rng.choice(actions), reason=rng.choice("abc")) for _ in range(600)]
    lines += [line(rng.choice(ids), error="invalid_id") for _ in range(100)] + [
        line("x", error=str(n)) for n in range(9)
    ]
    seen = set()
    for _ in range(4):
        rng.shuffle(lines)
        parts = job.collect(lines).parts
        seen.add(
            tuple(path.read_bytes() if path else b"" for files in parts for path in (files.results, files.rejected))
        )
    assert len(seen) == 1


def test_delete_outranks_rehydrate_outranks_scrub_geo(job: Job) -> None:
    """One event per ID: the one that asks for most; an action we do not know only where there is no other."""
    job.part([1, 2, 3, 4])
    ladder = ["delete", "rehydrate", "scrub_geo", "hide"]
    lines = [line(number, action) for number in (1, 2, 3, 4) for action in reversed(ladder[number - 1 :])]
    collection = job.collect([*lines, line(4, error="invalid_id")])
    assert [result["action"] for result in results_of(collection.parts[0])] == ladder
    assert collection.repeated == 7
    assert collection.parts[0].rejected is None


def test_batches_that_share_ids_each_get_them(job: Job) -> None:
    """An ID that several batches asked for is in the results of each, and in no other's."""
    job.part([1, 5, 9], batch="b1")
    job.part([5, 6, 7, 8, 9], batch="b2")
    job.part([2, 3], batch="b3")
    collection = job.collect([line(9), line(5), line(7), line(1)])
    found = {files.batch_id: [result["id"] for result in results_of(files)] for files in collection.parts}
    assert found == {"b1": ["1", "5", "9"], "b2": ["5", "7", "9"], "b3": []}


def test_every_id_is_given_to_the_parts_that_hold_it(job: Job) -> None:
    """A random job agrees with a simple model of it that holds everything in memory."""
    rng = random.Random(11)
    wanted = {}
    for batch in ("b1", "b2", "b3", "b4"):
        ids = sorted({rng.randrange(10**3, 2**64 - 1) for _ in range(150)} | set(rng.sample(range(1, 900), 150)))
        for number, start in enumerate(range(0, 300, 75)):
            wanted[batch, number] = set(ids[start : start + 75])
            job.part(wanted[batch, number], batch, number)
    flagged = set(rng.sample(sorted(set().union(*wanted.values())), 500)) | {901, 902, 2**64 - 1}
    collection = job.collect(line(identifier) for identifier in rng.sample(sorted(flagged), len(flagged)))
    for files in collection.parts:
        expected = wanted[files.batch_id, files.part] & flagged
        assert [int(result["id"]) for result in results_of(files)] == sorted(expected)
    assert collection.foreign == len(flagged - set().union(*wanted.values()))


def test_ids_nobody_asked_for_are_counted_and_dropped(job: Job) -> None:
    """Foreign results reach nobody; their number and some examples are kept for the log."""
    job.part([10, 20])
    collection = job.collect([line(11), line(20), line(3), line("abc"), line(2**64), line(0), line(99), line(98)])
    assert [result["id"] for result in results_of(collection.parts[0])] == ["20"]
    assert collection.foreign == 7
    assert len(collection.foreign_examples) == 5


def test_rejected_ids_are_kept_apart(job: Job) -> None:
    """An error about one of our IDs goes to the part that holds it, once, and is no result."""
    job.part([1, 2], number=0)
    job.part([3, 4], number=1)
    first, second = job.collect([line(4, error="invalid_id"), line(3), line(4, error="invalid_id")]).parts
    assert (first.rejected, first.summary.rejected) == (None, 0)
    assert [(rejected["id"], rejected["error"]) for rejected in rejected_of(second)] == [("4", "invalid_id")]
    assert (second.summary.count, second.summary.rejected) == (1, 1)


def test_errors_without_an_id_make_nothing_compliant(job: Job) -> None:
    """What X misread counts against the only batch, but never beyond the IDs that X said nothing about."""
    job.part([1, 2], number=0)
    job.part([3, 4, 5], number=1)
    errors = [line("not_a_valid_id", error="invalid_id")] * 3 + [line(77, error="invalid_id")]
    collection = job.collect([line(1), line(3), *errors])
    assert [files.summary.rejected for files in collection.parts] == [1, 2]
    assert [files.summary.count for files in collection.parts] == [1, 1]
    assert collection.unattributed == 1


def test_errors_without_an_id_are_nobodys_where_batches_are_merged(job: Job) -> None:
    """With several batches in a job nobody knows whose they are: they are counted for the log."""
    job.part([1, 2], batch="b1")
    job.part([3, 4], batch="b2")
    collection = job.collect([line("not_a_valid_id", error="invalid_id")])
    assert [files.summary.rejected for files in collection.parts] == [0, 0]
    assert collection.unattributed == 1


def test_very_many_different_errors_are_all_counted(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors beyond what memory holds are told as lines without an ID, so that their number is right."""
    monkeypatch.setattr(strays, "_KEPT_LINES", 3)
    job.part(range(1, 31))
    errors = [line(f"x{number:02}", error="invalid_id") for number in range(20)] + [line("y" * 2000, error="long")]
    stored = set()
    for seed in range(3):
        files = job.collect(random.Random(seed).sample(errors, len(errors))).parts[0]
        assert files.summary.rejected == 21
        stored.add(tuple(rejected["id"] for rejected in rejected_of(files)))
    assert stored == {("x00", "x01", "x02", *[""] * 18)}


def test_nothing_flagged_is_an_empty_object(job: Job) -> None:
    """An empty answer gives an object with no line in it: everything is compliant."""
    job.part([1, 2, 3])
    files = job.collect([]).parts[0]
    assert results_of(files) == []
    assert (files.summary.count, files.summary.messages, files.summary.by_action) == (0, [], {})


@pytest.mark.parametrize("bad", [b'{"id":"2","action":"del', b'{"action":"delete"}\n', b"<html>\n"])
def test_damaged_line_stops_the_collection(job: Job, bad: bytes) -> None:
    """A damaged line is named with its number and what it begins with, and nothing is left behind."""
    job.part([1, 2])
    with pytest.raises(ResultsUnreadableError) as caught:
        job.collect([line(1), b"\n", bad])
    assert caught.value.line_number == 3
    assert bad[:6].decode() in str(caught.value)


def test_endless_line_is_not_read_into_memory(job: Job) -> None:
    """Of a line that is too long only the beginning is read and shown."""
    job.part([1])
    with pytest.raises(ResultsUnreadableError, match="longer than 65536 bytes") as caught:
        job.collect([b'{"id":"1","x":"', b"x" * 3_000_000, b'"}'])
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", [b"5\n4\n", b"5\n5\n", b"5\nx\n", b"0\n1\n"])
def test_part_that_is_not_what_was_stored_is_refused(tmp_path: Path, text: bytes) -> None:
    """A part whose IDs are not ascending would give wrong answers, so it is refused."""
    (tmp_path / "ids").write_bytes(text)
    part = PartIds("b1", 0, lambda: (tmp_path / "ids").open("rb"))
    with pytest.raises(PartUnreadableError):
        index_ids([part], tmp_path)


def test_many_copies_and_long_lines_fit(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """More lines than IDs, and more bytes than memory is meant to hold, are worked through piece by piece."""
    monkeypatch.setattr(chunks, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(chunks, "_CHUNK_BYTES", 5_000)
    job.part(range(1, 40))
    lines = [line(number, reason=f"r{copy}", note="n" * 2_000) for number in range(1, 60) for copy in range(9)]
    collection = job.collect(random.Random(3).sample(lines, len(lines)))
    results = results_of(collection.parts[0])
    assert [int(result["id"]) for result in results] == list(range(1, 40))
    assert {result["reason"] for result in results} == {"r0"}
    assert (collection.lines, collection.repeated, collection.foreign) == (59 * 9, 39 * 8, 20 * 9)


def test_summary_can_be_counted_again_from_the_objects(job: Job) -> None:
    """Who finds the objects stored by another writer describes them in the same words."""
    job.part(range(1, 3000))
    lines = [line(number, "delete" if number % 3 else None, reason="deleted") for number in range(1, 2500)]
    files = job.collect([*lines, line(2600, error="invalid_id")]).parts[0]
    rejected = files.rejected
    assert rejected is not None
    again = summarize(lambda: files.results.open("rb"), lambda: rejected.open("rb"))
    assert again == files.summary
    assert (again.count, again.rejected) == (2499, 1)
    assert again.by_action == {"delete": 1666, "unknown": 833}
    assert again.by_reason == {"deleted": 2499}
    assert again.sha256 == hashlib.sha256(files.results.read_bytes()).hexdigest()
    assert again.bytes == files.results.stat().st_size


def test_messages_are_small_enough_for_an_event(job: Job) -> None:
    """No message has more than 1,000 lines, or more than 150,000 bytes of JSON."""
    job.part(range(1, 4001))
    lines = [line(number, note="n" * (60_000 if number % 500 == 0 else 10)) for number in range(1, 4001)]
    files = job.collect(lines).parts[0]
    stored = gzip.decompress(files.results.read_bytes()).splitlines()
    assert sum(files.summary.messages) == 4000
    for count in files.summary.messages:
        message, stored = stored[:count], stored[count:]
        assert 0 < count <= 1000
        assert len(b"[" + b",".join(message) + b"]") <= 150_000
    assert len(files.summary.messages) <= 12


def test_values_without_end_do_not_grow_the_summary(job: Job) -> None:
    """However many different reasons X invents, a summary stays small and its numbers add up."""
    job.part(range(1, 201))
    lines = [line(number, "d" * 100, reason=f"r{number}") for number in range(1, 201)]
    summary = job.collect(lines).parts[0].summary
    assert summary.by_action == {"other": 200}
    assert len(summary.by_reason) == 51
    assert sum(summary.by_reason.values()) == 200


def test_values_that_x_does_not_document_are_named(job: Job) -> None:
    """What is new or missing in X's words is told for the log; what is documented is not."""
    job.part([1, 2, 3])
    lines = [line(1, reason="deleted"), line(2, "hide", reason="suspended"), line(3, None, reason="merged")]
    summary = job.collect(lines).parts[0].summary
    assert unexpected_values(summary) == {"action hide": 1, "action unknown": 1, "reason merged": 1}


def test_gzip_header_carries_no_time_and_no_name(job: Job) -> None:
    """Nothing but the lines decides the bytes."""
    job.part([1])
    header = job.collect([line(1)]).parts[0].results.read_bytes()[:10]
    assert header[3:8] == bytes(5)


def test_beat_is_called_and_may_stop_the_work(job: Job, tmp_path: Path) -> None:
    """A worker that lost its lease stops by raising, and leaves nothing behind."""
    job.part([1])
    (tmp_path / "answer").write_bytes(line(1))
    asked = index_ids(job.parts, tmp_path)
    spool = tmp_path / "spool"
    spool.mkdir()

    def beat() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        collect_answer(tmp_path / "answer", job.parts, asked, spool_dir=spool, beat=beat)
    assert not list(spool.iterdir())
