"""The fast ways of reading IDs give what a slow and obvious one gives, for any input."""

import gzip
import io
import re
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from complyq_producer.errors import EmptyBatchError
from complyq_producer.ids import ingest
from complyq_producer.ids.digits import LineReader
from complyq_producer.ids.lines import parse_lines
from complyq_producer.ids.rejects import Rejects
from complyq_producer.ids.text import LineWriter, fitting, text_bytes
from complyq_producer.ids.values import IdArray, line_ends, parse_plain, to_text

Summary = tuple[int, int, int, bytes]

EDGES = (0, 1, 9, 10, 10**18, 10**19 - 1, 10**19, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**20, 10**30)
numbers = st.one_of(st.integers(0, 2**64 + 5), st.sampled_from(EDGES), st.integers(0, 30)).map(str)
spaced = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(("", "", "", " ", "\t", "  \t")),
    st.sampled_from(("", "", "", "0", "000", "0" * 25)),
    numbers,
    st.sampled_from(("", "", "", " ", "\r", "\t\r", "\r\r")),
)
noise = st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), max_size=12)
almost = st.text("0123456789 +-_.\r\t", max_size=24)
plain_files = st.lists(numbers, max_size=40).map("\n".join)
mixed_files = st.lists(st.one_of(spaced, spaced, numbers, almost, noise, st.just("")), max_size=40).map("\n".join)
files = st.tuples(
    st.sampled_from(("", "\ufeff")), st.one_of(plain_files, mixed_files), st.sampled_from(("", "\n"))
).map(lambda text: "".join(text).encode())

digits = st.one_of(st.integers(1, 10**19 - 1), st.integers(10**15, 10**19 - 1), st.sampled_from(EDGES[1:6])).map(str)
alike = st.one_of(
    numbers, st.just(""), st.text("0123456789", max_size=22), st.text("0123456789 +-\r\t\0é", max_size=20)
)
ascending_ids = st.sets(st.one_of(st.integers(1, 2**64 - 1), st.integers(1, 2000), st.sampled_from(EDGES[1:10]))).map(
    lambda values: np.array(sorted(values), np.uint64)
)


@pytest.fixture(scope="module")
def spool_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for temporary files."""
    return tmp_path_factory.mktemp("spool")


@settings(max_examples=300, deadline=None)
@given(text=files, block=st.integers(1, 60), packed=st.booleans())
def test_files_are_read_like_line_by_line(spool_dir: Path, text: bytes, block: int, *, packed: bool) -> None:
    """Wherever the reads of a file are cut, plain or gzip, each line counts once and as what it is."""
    content = gzip.compress(text) if packed else text
    assert _ingested(_Dribbling(content, block), spool_dir) == _expected(text)


@settings(max_examples=150, deadline=None)
@given(text=files, block=st.integers(1, 60))
def test_bad_lines_have_their_numbers(text: bytes, block: int) -> None:
    """The places of bad lines are those of an editor."""
    rejects = Rejects("line")
    text = text.removeprefix("\ufeff".encode())
    blocks = [text[start : start + block] for start in range(0, len(text), block)]
    valid = [value for values in parse_lines(blocks, rejects, "input") for value in values.tolist()]
    known = [(number, _value(line)) for number, line in enumerate(text.split(b"\n"), 1)]
    assert valid == [value for _, value in known if isinstance(value, int)]
    bad = [number for number, value in known if value == "bad"]
    assert rejects.count == len(bad)
    assert [int(shown) for shown in re.findall(r"line (\d+): ['\"]", rejects.describe())] == bad[:5]


@settings(max_examples=200, deadline=None)
@given(
    items=st.one_of(
        st.lists(st.integers(-5, 2**64 + 5), max_size=40),
        st.lists(st.one_of(numbers, spaced, almost, noise), max_size=40),
        st.lists(st.one_of(st.integers(), numbers, st.none(), st.booleans(), st.floats()), max_size=40),
    )
)
def test_iterables_are_read_like_item_by_item(spool_dir: Path, items: list[Any]) -> None:
    """Lists of one kind take a faster way than mixed ones, to the same end."""
    known = [_item(item) for item in items]
    assert _ingested(iter(items), spool_dir) == _summary([value for value in known if value != "blank"])


@settings(max_examples=200, deadline=None)
@given(
    values=st.sets(st.one_of(st.integers(1, 2**64 - 1), st.sampled_from(range(1, 2000)), st.sampled_from(EDGES[1:10])))
)
def test_numbers_become_their_decimal_text(values: set[int]) -> None:
    """Text made by tables is what Python prints, and lines end where they are said to end."""
    ascending = np.array(sorted(values), np.uint64)
    lines = [b"%d\n" % value for value in sorted(values)]
    assert to_text(ascending) == b"".join(lines)
    assert line_ends(ascending).tolist() == np.cumsum([len(line) for line in lines], dtype=int).tolist()


@settings(max_examples=400, deadline=None)
@given(lines=st.lists(st.one_of(digits, digits, alike), max_size=60), block=st.integers(1, 200))
def test_lines_of_digits_are_read_in_blocks_like_one_by_one(lines: list[str], block: int) -> None:
    """Lengths may be mixed, and lines lie anywhere in a block; what is not plain is left to the exact rule, never guessed."""
    known = [_value(line.encode()) for line in lines]
    found = LineReader(block).read("".join(f"{line}\n" for line in lines).encode())
    if found is None:
        plain = all(re.fullmatch(r"[0-9]{0,19}", line, re.ASCII) for line in lines)
        assert not plain or "bad" in known or max(map(len, lines)) >= block
    else:
        assert found.tolist() == [value for value in known if value != "blank"]


@pytest.mark.parametrize("length", range(1, 20))
def test_many_lines_of_like_lengths_are_read_and_written(length: int) -> None:
    """More than a block of them, at every place in it, with lengths of one digit more or less in between."""
    rng = np.random.default_rng(length)
    values = rng.integers(10 ** max(0, length - 2), 10 ** min(19, length + 1), 100_000, dtype=np.uint64) + np.uint64(1)
    text = b"".join(b"%d\n" % value for value in values.tolist())
    found = parse_plain(text)
    assert found is not None
    assert np.array_equal(found, values)
    ascending = np.unique(values)
    assert to_text(ascending) == b"".join(b"%d\n" % value for value in ascending.tolist())


@pytest.mark.parametrize("place", [0, 1, 7, 19, 30_000, 59_999])
@pytest.mark.parametrize(
    "line",
    [
        "0",
        "000",
        " 1",
        "1 ",
        "+1",
        "-1",
        "1_0",
        "1.0",
        "1\r",
        "\u0661",
        "\0",
        "18446744073709551615",
        "9" * 20,
        "9" * 90,
    ],
)
def test_one_line_that_is_not_plain_is_never_overlooked(line: str, place: int) -> None:
    """Wherever it stands among plain ones: then all are read by the exact rule."""
    lines = [str(10**18 + number) for number in range(60_000)]
    lines[place] = line
    assert parse_plain("".join(f"{each}\n" for each in lines).encode()) is None


@settings(max_examples=200, deadline=None)
@given(values=ascending_ids, room=st.integers(0, 900), rows=st.integers(1, 9))
def test_text_is_cut_where_it_is_full(values: IdArray, room: int, rows: int) -> None:
    """As many lines as fit are found without writing them, and written a few at a time they are the same text."""
    ends = line_ends(values)
    assert fitting(values, room) == np.count_nonzero(ends <= room)
    assert text_bytes(values) == (ends[-1] if len(ends) else 0)
    text = np.zeros(text_bytes(values) + 1, np.uint8)
    assert LineWriter(rows).write(values, text) == len(text) - 1
    assert text.tobytes() == to_text(values) + b"\0"


class _Dribbling(io.RawIOBase):
    """A file whose reads give a few bytes at a time, as a pipe's do."""

    def __init__(self, content: bytes, block: int) -> None:
        self._content = io.BytesIO(content)
        self._block = block

    def read(self, size: int = -1, /) -> bytes:
        return self._content.read(self._block)


def _ingested(source: Any, spool_dir: Path) -> Summary:
    try:
        with ingest(source, spool_dir=spool_dir, on_invalid="skip") as ingested:
            assert ingested.submitted == ingested.invalid + ingested.duplicates + ingested.unique
            texts: list[bytes] = []
            ingested.each_part(lambda part: texts.append(bytes(part.text)))
            return ingested.submitted, ingested.invalid, ingested.duplicates, b"".join(texts)
    except EmptyBatchError:
        return 0, 0, 0, b""


def _expected(text: bytes) -> Summary:
    lines = text.removeprefix("\ufeff".encode()).split(b"\n")
    return _summary([value for value in map(_value, lines) if value != "blank"])


def _summary(values: list[int | str]) -> Summary:
    valid = [value for value in values if isinstance(value, int)]
    if not valid:
        return 0, 0, 0, b""
    unique = sorted(set(valid))
    text = b"".join(b"%d\n" % value for value in unique)
    return len(values), len(values) - len(valid), len(valid) - len(unique), text


def _value(line: bytes) -> int | str:
    text = line.strip(b" \t\r")
    if not text:
        return "blank"
    return int(text) if re.fullmatch(rb"[0-9]+", text) and 0 < int(text) < 2**64 else "bad"


def _item(item: object) -> int | str:
    if isinstance(item, str):
        text = item.strip(" \t\r\n")
        return "bad" if "\n" in text else _value(text.encode())
    if isinstance(item, int) and not isinstance(item, bool) and 0 < item < 2**64:
        return item
    return "bad"
