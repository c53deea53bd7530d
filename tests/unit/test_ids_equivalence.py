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
from complyq_producer.ids.lines import parse_lines
from complyq_producer.ids.rejects import Rejects
from complyq_producer.ids.values import line_ends, to_text

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
            text = b"".join(part.file.read() for part in ingested.parts())
            return ingested.submitted, ingested.invalid, ingested.duplicates, text
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
