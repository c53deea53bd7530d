"""What is true of IDs on their way into a batch."""

import gzip
import hashlib
import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from complyq_config.errors import ConfigurationError
from complyq_producer.errors import (
    EmptyBatchError,
    InvalidArgumentError,
    InvalidIdsError,
    TruncatedInputError,
    UnreadableInputError,
)
from complyq_producer.ids import IdPart, IngestedIds, ingest
from complyq_producer.ids.spool import Spool
from complyq_producer.ids.values import IdArray

BIG = range(10**18, 10**18 + 1_200_000)  # more than stay in memory


class Ingesting:
    """Ingests into a spool folder of its own; returns the summary and the text of all parts."""

    def __init__(self, spool_dir: Path) -> None:
        self.spool_dir = spool_dir

    def __call__(self, ids: Any, on_invalid: Any = "refuse", **more: Any) -> tuple[IngestedIds, list[bytes]]:
        """Ingest, reading each part."""
        with ingest(ids, spool_dir=self.spool_dir, on_invalid=on_invalid, **more) as ingested:
            return ingested, [text for _, text in parts_of(ingested)]


def parts_of(ingested: IngestedIds) -> list[tuple[IdPart, bytes]]:
    """Return the parts, and what was read of each while it was there."""
    parts: list[tuple[IdPart, bytes]] = []
    ingested.each_part(lambda part: parts.append((part, part.open().read())))
    return parts


@pytest.fixture
def ingesting(tmp_path: Path) -> Iterator[Ingesting]:
    """Something that ingests, and leaves its spool folder empty whatever the test did."""
    ingesting = Ingesting(tmp_path / "spool")
    yield ingesting
    if ingesting.spool_dir.is_dir():
        assert list(ingesting.spool_dir.iterdir()) == []


def test_ids_come_out_sorted_and_once(ingesting: Ingesting) -> None:
    """The counts add up, and the digest is that of the sorted unique text."""
    ingested, parts = ingesting([30, "4", 30, "x", "0030", "", 200], "skip")
    assert parts == [b"4\n30\n200\n"]
    assert (ingested.submitted, ingested.invalid, ingested.duplicates, ingested.unique) == (6, 1, 2, 3)
    assert ingested.digest == hashlib.sha256(b"4\n30\n200\n").hexdigest()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        b"7\n12\n18446744073709551615\n",
        b"7\n12\n18446744073709551615",
        b"18446744073709551615\r\n12\r\n7\r\n",
        b"\xef\xbb\xbf12\n7\n18446744073709551615\n",
        b"\n\n  \n12\n\t7 \r\n\n18446744073709551615\n\n\r\n",
        b"007\n00000000000000000000000000012\n18446744073709551615\n7\n",
    ],
)
def test_ways_to_write_a_file_do_not_matter(ingesting: Ingesting, tmp_path: Path, text: bytes, packed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Line ends, marks, blanks, leading zeros and gzip under any name give the same batch."""
    path = tmp_path / "ids.txt"
    path.write_bytes(gzip.compress(text) if packed else text)
    with path.open("rb") as binary:
        for source in (path, str(path), binary, io.BytesIO(path.read_bytes())):
            ingested, parts = ingesting(source)
            assert parts == [b"7\n12\n18446744073709551615\n"]
            assert ingested.submitted == 3 + ingested.duplicates


def test_text_files_are_read_as_text(ingesting: Ingesting, tmp_path: Path) -> None:
    """A file opened as text gives the same as one opened as bytes, and is left open."""
    (tmp_path / "ids").write_bytes(b"\xef\xbb\xbf5\r\n6\n")
    with (tmp_path / "ids").open(encoding="utf-8") as file:
        assert ingesting(file)[1] == [b"5\n6\n"]
        assert not file.closed
    assert ingesting(io.StringIO("5\n6"))[1] == [b"5\n6\n"]


def test_a_file_is_read_from_its_position(ingesting: Ingesting) -> None:
    """What the caller read already, for example a heading, is not read again."""
    file = io.BytesIO(b"tweet_id\n5\n6\n")
    file.readline()
    assert ingesting(file)[1] == [b"5\n6\n"]


@pytest.mark.parametrize(
    "ids",
    [
        (str(number) for number in (3, 1, 2)),
        (f"{number}\n" for number in (3, 1, 2)),
        iter([3, "1", np.uint64(2)]),
        {1, 2, 3},
        np.array([3, 2, 1], np.int64),
        ("1 ", " 2", "\t3\r\n", "  ", "\n"),
    ],
)
def test_iterables_of_all_kinds_are_read(ingesting: Ingesting, ids: Any) -> None:
    """Generators, sets, arrays and lines of a file are IDs; blank texts are none."""
    ingested, parts = ingesting(ids)
    assert parts == [b"1\n2\n3\n"]
    assert ingested.submitted == 3


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(10**5000, id="huge"),
        *(0, -1, 2**64, 1.0, True, None, b"12", np.float64(3), np.int64(-3), np.True_, (1,)),
        "0",
        "000",
        "-1",
        "+1",
        "1_000",
        "1.0",
        "1e3",
        "0x1F",
        "18446744073709551616",
        "9" * 5000,
        "١٢",
        "²",
        "1 2",
        "1\n2",
        "x",
    ],
)
def test_what_is_no_id_is_refused(ingesting: Ingesting, bad: Any) -> None:
    """Not decimal, zero, beyond 64 bits or of another type: refused with its place, or skipped and counted."""
    with pytest.raises(InvalidIdsError, match=r"^1 ID is not a decimal number.*\(item 2: .*--on-invalid skip"):
        ingesting([5, bad, 6])
    ingested, parts = ingesting([5, bad, 6], "skip")
    assert parts == [b"5\n6\n"]
    assert (ingested.submitted, ingested.invalid) == (3, 1)


def test_the_first_bad_lines_are_named(ingesting: Ingesting, tmp_path: Path) -> None:
    """The message counts all bad lines, shows five of them in full lines' numbers, short, and tells the way out."""
    lines = ["1", "", "zwei", "\x1b[31m", "0", "4", "-5", "x" * 500, "6.0", "nine"]
    (tmp_path / "ids").write_text("\n".join(lines))
    with pytest.raises(InvalidIdsError) as refused:
        ingesting(tmp_path / "ids")
    message = str(refused.value)
    assert message.startswith("7 IDs are not a decimal number from 1 to 18446744073709551615 (line 3: 'zwei'; ")
    assert r"line 4: '\x1b[31m'; line 5: '0'; line 7: '-5'; line 8: 'xxxx" in message
    assert "…; and 2 more)" in message
    assert "--on-invalid skip" in message
    assert len(message) < 400


def test_all_bad_lines_are_counted(ingesting: Ingesting) -> None:
    """However many lines are bad, and wherever, they are all counted and only a few are kept."""
    text = b"5\n" + b"bad\n" * 700_000 + b"6\n" * 300_000 + b"worse"
    with pytest.raises(InvalidIdsError, match=r"^700,001 IDs .*line 2: 'bad'.*and 699,996 more"):
        ingesting(io.BytesIO(text))
    ingested, _ = ingesting(io.BytesIO(text), "skip")
    assert (ingested.invalid, ingested.duplicates, ingested.unique) == (700_001, 299_999, 2)


@pytest.mark.parametrize("ids", [[], io.BytesIO(), io.StringIO("\n \r\n\n"), io.BytesIO(gzip.compress(b"")), ["", " "]])
def test_nothing_is_not_a_batch(ingesting: Ingesting, ids: Any) -> None:
    """An input without IDs is refused, also where it has blank lines."""
    with pytest.raises(EmptyBatchError, match="no ID at all"):
        ingesting(ids)


def test_nothing_valid_is_not_a_batch(ingesting: Ingesting) -> None:
    """If all were skipped, the error says which and why."""
    with pytest.raises(EmptyBatchError, match=r"no valid ID: 2 IDs are not .*item 1: 'x'"):
        ingesting(["x", "0"], "skip")


def test_unreadable_files_are_said_plainly(ingesting: Ingesting, tmp_path: Path) -> None:
    """Missing, a folder, closed: the message names the file and the reason."""
    with pytest.raises(UnreadableInputError, match="missing: No such file"):
        ingesting(tmp_path / "missing")
    with pytest.raises(UnreadableInputError, match="Is a directory"):
        ingesting(tmp_path)
    (tmp_path / "ids").write_bytes(b"5\n")
    closed = (tmp_path / "ids").open("rb")
    closed.close()
    with pytest.raises(UnreadableInputError, match=r"ids: .*closed"):
        ingesting(closed)
    with pytest.raises(UnreadableInputError, match="null"):
        ingesting("a\0b")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("5\n6\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04\x14\x00\x00\x00", "NUL"),
        (b"5\nJos\xe9\n", r"line 2 is not UTF-8"),
        (bytes(3_000_000), "NUL"),
    ],
)
@pytest.mark.parametrize("on_invalid", ["refuse", "skip"])
def test_what_is_not_text_is_unreadable(ingesting: Ingesting, content: bytes, reason: str, on_invalid: str) -> None:
    """A wrong file is not a file of bad IDs: it is never skipped line by line."""
    with pytest.raises(UnreadableInputError, match=reason):
        ingesting(io.BytesIO(content), on_invalid)


def test_undecodable_text_files_are_unreadable(ingesting: Ingesting, tmp_path: Path) -> None:
    """The same holds where Python decodes the file."""
    (tmp_path / "ids").write_bytes(b"5\nJos\xe9\n")
    with (tmp_path / "ids").open(encoding="utf-8") as file, pytest.raises(UnreadableInputError, match="ids"):
        ingesting(file)


@pytest.mark.parametrize("on_invalid", ["refuse", "skip"])
def test_a_gzip_that_ends_early_is_refused(ingesting: Ingesting, on_invalid: str) -> None:
    """However much of it is there, IDs that may be missing are never taken for a whole batch."""
    packed = gzip.compress(b"".join(b"%d\n" % number for number in range(1, 2000)))
    for length in (*range(3, 40), len(packed) // 2, *range(len(packed) - 9, len(packed))):
        with pytest.raises(TruncatedInputError, match=r"ends in the middle"):
            ingesting(io.BytesIO(packed[:length]), on_invalid)


def test_a_damaged_gzip_is_refused(ingesting: Ingesting) -> None:
    """Wrong checksums, wrong lengths, and what follows a gzip without being one are errors."""
    packed = gzip.compress(b"5\n6\n")
    for damaged in (
        packed[:-5] + b"\xff" + packed[-4:],
        packed[:-1] + b"\xff",
        packed + b"garbage",
        packed + packed[:9],
    ):
        with pytest.raises(TruncatedInputError):
            ingesting(io.BytesIO(damaged))


def test_joined_and_padded_gzips_are_one_text(ingesting: Ingesting) -> None:
    """`cat a.gz b.gz`, also in the middle of a line, and padding with zeros are good gzip."""
    packed = gzip.compress(b"5\n6") + gzip.compress(b"") + bytes(1_500_000) + gzip.compress(b"7\n8\n") + bytes(700)
    assert ingesting(io.BytesIO(packed))[1] == [b"5\n8\n67\n"]


def test_lines_without_end_are_bounded(ingesting: Ingesting) -> None:
    """A line that never ends is one bad ID, not all of memory."""
    text = b"5\n" + b"1" * 5_000_000 + b"\n" + b"0" * 70_000 + b"1\n6\n" + b" " * 3_000_000 + b"7"
    ingested, parts = ingesting(io.BytesIO(text), "skip")
    assert (ingested.invalid, parts) == (3, [b"5\n6\n"])


def test_parts_are_full_and_ascend(ingesting: Ingesting) -> None:
    """Each part holds as many IDs as fit, knows its bounds, starts at its first byte, and can be had again."""
    ids = [*range(1, 2000), 2**64 - 1]
    with ingest(ids, spool_dir=ingesting.spool_dir, on_invalid="refuse", part_bytes=100) as ingested:
        parts, texts = zip(*parts_of(ingested), strict=True)
        assert texts == tuple(text for _, text in parts_of(ingested))
    assert [part.index for part in parts] == list(range(len(parts)))
    assert b"".join(texts) == b"".join(b"%d\n" % number for number in ids)
    for part, text in zip(parts, texts, strict=True):
        lines = text.split()
        assert (part.first, part.last, part.count, part.size) == (int(lines[0]), int(lines[-1]), len(lines), len(text))
        assert len(text) <= 100
    for text, following in pairwise(texts):
        assert len(text) + len(following.split()[0]) + 1 > 100


def test_order_and_way_of_keeping_do_not_matter(ingesting: Ingesting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same set of IDs gives the same parts, byte by byte, from memory and from the spool, in any order."""
    spooled = _count_spooled(monkeypatch)
    ids = np.random.default_rng(7).permutation(np.arange(BIG.start, BIG.stop, dtype=np.uint64))
    expected = b"".join(b"%d\n" % number for number in BIG)
    digests = set()
    for source in (BIG, io.BytesIO(b"\n".join(b"%d" % number for number in ids.tolist()))):
        ingested, parts = ingesting(source, part_bytes=5_000_000)
        assert b"".join(parts) == expected
        digests.add(ingested.digest)
    assert digests == {hashlib.sha256(expected).hexdigest()}
    assert sum(spooled) == 2 * len(BIG)


def test_repeated_ids_stay_in_memory(ingesting: Ingesting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Millions of copies of a few IDs need no disk and no more memory than the few."""
    monkeypatch.setattr(Spool, "append", None)
    ingested, parts = ingesting(io.BytesIO(b"12345\n67\n" * 1_200_000))
    assert parts == [b"67\n12345\n"]
    assert ingested.duplicates == 2_399_998


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError("the database went away")])
def test_a_failing_source_leaves_nothing(ingesting: Ingesting, failure: BaseException) -> None:
    """What the caller's iterable raises reaches the caller, and no file stays behind."""

    def failing() -> Iterator[int]:
        yield from BIG
        raise failure

    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        ingesting(failing())


@pytest.mark.parametrize("failing_call", [1, 2, 3])
def test_a_failing_taker_leaves_nothing(ingesting: Ingesting, failing_call: int) -> None:
    """What the taker of parts raises reaches the caller; no part is given out after it, no thread and no file stays."""
    calls = []

    def take(part: IdPart) -> None:
        calls.append(part.index)
        if len(calls) == failing_call:
            raise RuntimeError("the store went away")

    with (
        ingest(BIG, spool_dir=ingesting.spool_dir, on_invalid="refuse", part_bytes=8_000_000) as ingested,
        pytest.raises(RuntimeError, match="went away"),
    ):
        ingested.each_part(take)
    assert calls == list(range(failing_call))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ids")]


def test_a_slow_taker_sees_its_own_parts(ingesting: Ingesting) -> None:
    """Parts are made ahead, and never over the text of one that is still being taken or counted into the digest."""
    texts = []

    def take(part: IdPart) -> None:
        with closing(part.open()) as file:
            head = file.read(100)
            time.sleep(0.02)  # meanwhile the next part is made
            texts.append(head + file.read())

    with ingest(BIG, spool_dir=ingesting.spool_dir, on_invalid="refuse", part_bytes=3_000_000) as ingested:
        ingested.each_part(take)
    expected = b"".join(b"%d\n" % number for number in BIG)
    assert b"".join(texts) == expected
    assert ingested.digest == hashlib.sha256(expected).hexdigest()


def test_few_ids_need_no_second_thread(ingesting: Ingesting) -> None:
    """A batch of a usual size is read and handed over in the caller's thread."""
    threads = []
    with ingest(range(1, 900_000), spool_dir=ingesting.spool_dir, on_invalid="refuse") as ingested:
        ingested.each_part(lambda _: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]


def test_counts_are_known_without_the_parts(ingesting: Ingesting) -> None:
    """Who wants the digest only, to compare it, need not take the parts."""
    with ingest([3, 1, 3], spool_dir=ingesting.spool_dir, on_invalid="refuse") as ingested:
        assert ingested.digest == hashlib.sha256(b"1\n3\n").hexdigest()
        assert (ingested.submitted, ingested.duplicates, ingested.unique) == (3, 1, 2)


def test_the_spool_folder_is_private(ingesting: Ingesting) -> None:
    """It is made with its parents, for this user alone."""
    ingesting.spool_dir = ingesting.spool_dir / "deep"
    ingesting([1])
    assert ingesting.spool_dir.stat().st_mode & 0o777 == 0o700


def test_an_unusable_spool_folder_is_said_plainly(ingesting: Ingesting, tmp_path: Path) -> None:
    """The error names the folder and the setting, before any ID is read."""
    (tmp_path / "file").touch()
    source = iter([1])
    ingesting.spool_dir = tmp_path / "file" / "spool"
    with pytest.raises(ConfigurationError, match=r"file/spool.*Not a directory.*COMPLYQ_SPOOL_DIR"):
        ingesting(source)
    assert next(source) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_full_spool_disk_is_said_plainly(ingesting: Ingesting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up ends the call with words, not with a part of the IDs."""
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: os.fdopen(os.open("/dev/full", os.O_RDWR), "wb", 0))
    with pytest.raises(ConfigurationError, match=r"No space left.*COMPLYQ_SPOOL_DIR"):
        ingesting(BIG)


@pytest.mark.parametrize("ids", [5, None, b"12", bytearray(b"12"), object()])
def test_other_arguments_are_refused(ingesting: Ingesting, ids: Any) -> None:
    """Bytes are not taken for a list of small numbers."""
    with pytest.raises(InvalidArgumentError, match="iterable of int or str, a path, or an open file"):
        ingesting(ids)


def test_other_ways_to_treat_bad_ids_are_refused(ingesting: Ingesting) -> None:
    """A misspelt choice does not fall back to one of the two; a part has room for any ID."""
    with pytest.raises(InvalidArgumentError, match='"refuse" or "skip"'):
        ingesting([1], "ignore")
    with pytest.raises(InvalidArgumentError, match="part_bytes"):
        ingesting([1], part_bytes=20)


def _count_spooled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    spooled: list[int] = []
    append = Spool.append

    def counted(spool: Spool, values: IdArray) -> int:
        spooled.append(len(values))
        return append(spool, values)

    monkeypatch.setattr(Spool, "append", counted)
    return spooled
