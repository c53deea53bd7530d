"""Reading X's answer as tables gives what reading it line for line gives, for any lines."""

from itertools import product
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from complyq_workers.results import answer, writing
from support.answer_lines import answers
from support.answer_readings import Tables, by_lines

TWO_DIGITS = [b"%02d" % number for number in range(100)]
DAY = b'{"id":"7","%b":"%b-%b-%bT17:02:47.000Z"}\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where answers are."""
    return tmp_path_factory.mktemp("answers")


@settings(deadline=None, max_examples=150)
@given(text=answers(), block=st.sampled_from((7, 90, 700, 1 << 20)), job_type=st.sampled_from(("tweets", "users")))
@example(b'{"id":"7","type":"a1","type_raw":"a2"}\n', 90, "tweets")
@example(b'{"id":"7","created_at":"1","created_at_raw":"2"}\n', 90, "tweets")
@example(b'{"id":"7","deleted_at":"soon 1","redacted_at_raw":"soon 2"}\n', 90, "tweets")
def test_tables_say_what_each_line_says(folder: Path, text: bytes, block: int, job_type: str) -> None:
    """Stored lines, IDs, kinds, ranks, errors and the first damaged line are those of reading line for line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer, "_BLOCK_BYTES", block)
        patch.setattr(writing, "_SLICE_BYTES", block)
        tables = Tables(job_type, folder)
        first, again = tables.read(text), tables.read(text)
    assert first == by_lines(text, job_type)
    assert again == first


@pytest.mark.parametrize("name", [b"created_at", b"redacted_at", b"deleted_at"])
def test_days_are_those_of_the_calendar(folder: Path, name: bytes) -> None:
    """February 29 is a day of some years, month 13 of none, and both are read alike in each field."""
    years = [b"0000", b"0999", b"1000", b"2000", b"2019", b"2900", b"2999", b"3000"]
    agree(
        folder, [DAY % (name, *day) for day in product(years, TWO_DIGITS[:14], [*TWO_DIGITS[:2], *TWO_DIGITS[27:33]])]
    )


def test_no_other_digits_are_taken_for_a_day(folder: Path) -> None:
    """Nor for a month, whatever they are."""
    agree(folder, [DAY % (b"created_at", b"2019", *day) for day in product(TWO_DIGITS, TWO_DIGITS)])


@pytest.mark.parametrize("layout", [b"%b:02:47", b"17:%b:47", b"17:02:%b"])
def test_clocks_have_24_hours_and_60_minutes(folder: Path, layout: bytes) -> None:
    """Hour 24 and second 60 are none, as is any other pair of digits that a clock does not show."""
    agree(folder, [b'{"id":"7","created_at":"2019-10-29T%bZ"}\n' % (layout % two) for two in TWO_DIGITS])


def test_only_times_at_no_distance_from_utc_are_copied(folder: Path) -> None:
    """A time with any other offset is brought to UTC, or passed on where there is no such offset."""
    offsets = [b"%b:%b" % pair for pair in product(TWO_DIGITS, (b"00", b"30", b"59", b"60"))]
    for name in (b"created_at", b"redacted_at", b"deleted_at"):
        agree(folder, [b'{"id":"7","%b":"2019-10-29T17:02:47+%b"}\n' % (name, offset) for offset in offsets])


@pytest.mark.parametrize("fraction", range(1, 10))
def test_fractions_are_cut_to_milliseconds(folder: Path, fraction: int) -> None:
    """Whatever X adds behind the third digit is cut off, and what is missing is zero."""
    digits = [b"987654321"[:fraction], b"000000000"[:fraction], b"999999999"[:fraction]]
    times = [b"2019-10-29T17:02:47.%b%b" % pair for pair in product(digits, (b"Z", b"+00:00"))]
    agree(folder, [b'{"id":"7","created_at":"%b","redacted_at":"%b"}\n' % pair for pair in product(times, times)])


def test_ids_of_every_length_are_kept(folder: Path) -> None:
    """IDs of one to twenty digits, as large as 64 bits hold and larger, with and without leading zeros."""
    edges = {10**power + change for power in range(21) for change in (-1, 0, 1)} | {
        2**64 - 1,
        2**64,
        2**63,
        2**32,
        3 * 10**19,
    }
    shown = [form % edge for edge in sorted(edges) for form in (b"%d", b"0%d", b"00%d")]
    agree(folder, [form % identifier for identifier in shown for form in (b'{"id":"%b"}\n', b'{"id":" %b"}\n')])


@pytest.mark.parametrize("length", [999, 1_000, 1_001, 65_535])
def test_long_lines_are_read_to_their_end(folder: Path, length: int) -> None:
    """Also those that are too long for a shape, with anything in them."""
    begin, end = b'{"id":"%d","note":"', b'","created_at":"2019-10-29T17:02:47Z"}'
    agree(folder, [begin % number + b"n" * (length - len(begin % number + end)) + end + b"\n" for number in (7, 8)])


@pytest.mark.parametrize("line", [b'{"id":"7"', b'{"id":"7","note":"' + b"n" * 65_536 + b'"}', b'{"id":"7"}}', b"\0"])
@pytest.mark.parametrize("block", [64, 1 << 20])
def test_a_damaged_line_is_named_by_its_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, block: int
) -> None:
    """Among lines with a shape, blank ones and others, wherever blocks are cut, also as the very last one."""
    monkeypatch.setattr(answer, "_BLOCK_BYTES", block)
    lines = [b'{"id":"%d","action":"delete"}\n' % number for number in range(1, 40)] + [b"\n", b'{"id":7}\n']
    for place in (0, 1, 17, 40, 41):
        text = b"".join([*lines[:place], line, b"\n", *lines[place:], b"}"])
        expected = by_lines(text, "tweets")
        assert expected.damaged is not None
        assert expected.damaged[0] == place + 1
        assert Tables("tweets", folder).read(text) == expected
    assert (
        Tables("tweets", folder).read(b"".join(lines) + line).damaged
        == by_lines(b"".join(lines) + line, "tweets").damaged
    )


def agree(folder: Path, lines: list[bytes]) -> None:
    """Read the lines both ways, in two answers: the shapes of the first serve the second."""
    tables = Tables("tweets", folder)
    for text in (lines[0], b"".join(lines)):
        assert tables.read(text) == by_lines(text, "tweets")
