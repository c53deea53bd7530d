"""Counting lines by what is known of them gives what counting them one by one gives."""

import gzip
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from threading import Thread
from typing import NamedTuple, TypeAlias

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from complyq_producer.results import DamagedResultsError, Result
from complyq_workers.results import kinds as kinds_module
from complyq_workers.results import summary
from complyq_workers.results.kinds import UNTOLD, Kind, Kinds
from complyq_workers.results.lines import Lines
from complyq_workers.results.summary import PartSummary, Tally, summarize

NAMES = st.one_of(
    st.integers(0, 70).map(lambda number: f"r{number}"),
    st.sampled_from(
        (None, None, "", "delete", "other", "unknown", "n" * 64, "n" * 65, "l" * 200, "\N{SNOWMAN}" * 64, 'a"\\')
    ),
)
Said: TypeAlias = Sequence[tuple[str | None, str | None, int]]
"""Action, reason, and bytes of a note, of each line."""
SAID = st.lists(st.tuples(NAMES, NAMES, st.sampled_from((0, 0, 1, 50, 300, 700))), max_size=120)
CUTS = st.lists(st.integers(0, 120), max_size=6)


class Counted(NamedTuple):
    """What a summary says of lines, but for length and checksum of the object."""

    lines: int
    by_action: dict[str, int]
    by_reason: dict[str, int]
    messages: list[int]


def stored(said: Said) -> list[bytes]:
    return [line_with(action, reason, b"n" * size) for action, reason, size in said]


def line_with(action: str | None, reason: str | None, note: bytes) -> bytes:
    return Result("7", "tweets", action, reason, extras={"note": note.decode()}).to_json() + b"\n"


def naive(lines: list[bytes]) -> Counted:
    """Count line for line, each with all its fields."""
    counts: tuple[Counter[str | None], Counter[str | None]] = (Counter(), Counter())
    messages: list[int] = []
    size = 0
    for line in lines:
        result = Result.from_line(line)
        for known, name in zip(counts, (result.action, result.reason), strict=True):
            new = name is not None and name not in known
            full = len(known) >= summary.MAX_VALUES
            known["other" if new and name is not None and (full or len(name) > summary.MAX_VALUE_LENGTH) else name] += 1
        if not messages or messages[-1] == summary.MESSAGE_LINES or size + len(line) > summary.MESSAGE_BYTES:
            messages.append(0)
            size = len("[")
        messages[-1] += 1
        size += len(line)
    return Counted(len(lines), named(counts[0]), named(counts[1]), messages)


def named(counts: Counter[str | None]) -> dict[str, int]:
    shown: Counter[str] = Counter()
    for name, count in counts.items():
        shown["unknown" if name is None else name] += count
    return dict(shown)


def pieces(lines: list[bytes], cuts: list[int], kinds: Kinds) -> Iterator[Lines]:
    """The lines, cut at these places."""
    for start, end in pairwise([0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]):
        some = lines[start:end]
        pairs = [(result.action, result.reason) for result in map(Result.from_line, some)]
        for pair in reversed(pairs):  # numbered by other parts, in another order
            kinds.number(*pair)
        numbers = np.array([kinds.number(*pair) for pair in pairs], np.uint16)
        yield Lines(np.frombuffer(b"".join(some), np.uint8), np.array(list(map(len, some)), np.int64), numbers)


def counted(lines: list[bytes], cuts: list[int], kinds: Kinds | None) -> Counted:
    tally = Tally()
    passed = list(tally.counted(pieces(lines, cuts, kinds or Kinds()), kinds))
    assert b"".join(piece.data.tobytes() for piece in passed) == b"".join(lines)
    return of_summary(tally.summary(0, "", 0))


def of_summary(told: PartSummary) -> Counted:
    return Counted(told.count, told.by_action, told.by_reason, told.messages)


@contextmanager
def scale(**bounds: int) -> Iterator[None]:
    """Bounds so small that a few lines go beyond them."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (summary, kinds_module):
            for name, value in bounds.items():
                if hasattr(module, name):
                    patch.setattr(module, name, value)
        yield


@settings(deadline=None, max_examples=200)
@given(said=SAID, cuts=CUTS, untold=st.sampled_from((0, 3, UNTOLD)), values=st.sampled_from((3, 50)))
@example([("a", None, 0), ("b", None, 0), ("c", None, 0), ("d", None, 0), ("a", None, 0), ("d", None, 0)], [5], 3, 3)
@example([("a", "1", 0), ("b", "1", 0), ("c", "2", 0), ("d", "2", 0)], [], UNTOLD, 3)
def test_kinds_give_the_counts_that_lines_give(said: Said, cuts: list[int], untold: int, values: int) -> None:
    """Names that are kept and that are not, missing ones, and messages, wherever pieces are cut and whatever kinds are known."""
    lines = stored(said)
    with scale(UNTOLD=untold, MAX_VALUES=values, MESSAGE_LINES=7, MESSAGE_BYTES=900):
        expected = naive(lines)
        assert counted(lines, cuts, Kinds()) == expected
        assert counted(lines, cuts, None) == expected
        packed = gzip.compress(b"".join(lines))
        assert of_summary(summarize(lambda: io.BytesIO(packed))) == expected


@pytest.mark.parametrize(
    ("lengths", "messages"),
    [
        ([149] * 2_300, [1_000, 1_000, 300]),
        ([150] * 1_998, [999, 999]),
        ([75_000, 74_999, 200], [2, 1]),
        ([75_000, 75_000], [1, 1]),
        ([200, 149_998], [1, 1]),
        ([200, 160_000, 160_000, 200, 200], [1, 1, 1, 2]),
        ([], []),
    ],
)
def test_messages_hold_a_thousand_lines_and_150_000_bytes(lengths: list[int], messages: list[int]) -> None:
    """To the line and to the byte, with brackets and commas; a line that is longer than that is a message of its own."""
    least = len(line_with("delete", "deleted", b""))
    lines = stored([("delete", "deleted", length - least) for length in lengths])
    for cuts in ([], [1, 2, 1_000, 1_001]):
        assert counted(lines, cuts, Kinds()).messages == messages == naive(lines).messages


def test_more_kinds_than_numbers_are_untold() -> None:
    """Each process has 32,767: no number is given twice, and what was told before stays."""
    of_one, of_other = Kinds(), Kinds(share=1)
    numbers = [[kinds.number("delete", str(number)) for number in range(32_770)] for kinds in (of_one, of_other)]
    assert numbers == [[*range(32_767), *[UNTOLD] * 3], [*range(32_767, 65_534), *[UNTOLD] * 3]]
    assert of_one.number("delete", "32768") == UNTOLD
    of_one.learn(of_other.pairs())
    assert [of_one.pair(number)[1] for number in (0, 32_766, 32_767, 65_533)] == ["0", "32766", "0", "32766"]


def test_long_kinds_are_not_remembered() -> None:
    """A reason may be a text of its own for each ID: such texts fill no memory, and are told from the lines."""
    kinds = Kinds()
    assert [kinds.number("a" * 64, "r" * size) for size in (64, 65, 64)] == [0, UNTOLD, 0]
    assert kinds.pair(0) == ("a" * 64, "r" * 64)


def test_threads_number_kinds_alike() -> None:
    """A pair that two threads meet at once has one number, and no two pairs have the same."""
    kinds = Kinds()
    pairs: list[Kind] = [(None if number % 7 == 0 else str(number), str(number % 5)) for number in range(2_000)]
    found: list[list[int]] = []
    threads = [Thread(target=lambda: found.append([kinds.number(*pair) for pair in pairs])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == found[2]
    assert [kinds.pair(number) for number in found[0]] == pairs


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b'{"action":1}\n', b"\n", b'{"reason":"\xff"}\n'])
def test_a_stored_line_that_is_none_is_not_counted(line: bytes) -> None:
    """Who summarizes an object that is not what was stored gets an error of ours."""
    packed = gzip.compress(stored([("delete", None, 0)])[0] + line)
    with pytest.raises(DamagedResultsError):
        summarize(lambda: io.BytesIO(packed))
