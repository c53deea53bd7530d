"""A table holds the very results that stored lines hold, in columns of the types that are documented."""

from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings

from complyq_producer.results import DamagedResultsError, KnownFields, Result, join_line, split_line
from complyq_producer.tables import COLUMNS, table_lines
from complyq_workers.results import columns, writing
from complyq_workers.results.answer import Reader, read_blocks
from complyq_workers.results.columns import Source, row_groups
from complyq_workers.results.kinds import REJECTED_RANK, Kinds
from complyq_workers.results.lines import RowArray, joined, pick
from complyq_workers.results.outputs import Packed
from complyq_workers.results.rows import NO_ROWS
from complyq_workers.results.shapes import Shapes
from complyq_workers.results.tables import write_table
from complyq_workers.results.writing import LineWriter
from support.answer_lines import answers
from support.answer_readings import by_lines

FULL = (
    b'{"id":"7","action":"delete","reason":"deleted","created_at":"2019-10-29T17:02:47.012Z",'
    b'"redacted_at":"2020-07-29T17:02:47Z"}\n'
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where answers and tables are."""
    return tmp_path_factory.mktemp("tables")


def made(folder: Path, text: bytes, job_type: str = "tweets", kinds: Kinds | None = None) -> Packed:
    """Write the table of an answer that can be read, ascending by ID."""
    kinds = kinds or Kinds()
    shapes = Shapes(job_type, kinds)
    (folder / "answer").write_bytes(text)
    with closing(LineWriter(shapes, folder / "odd")) as writer:
        said = list(map(Reader(job_type, kinds, shapes).read, read_blocks(folder / "answer")))
        rows = joined([NO_ROWS, *(rows for some in said for rows in (some.rows, writer.keep(some.odd)))])
        return write_table(row_groups(_pieces(rows), Source(shapes, kinds, writer)), job_type, folder / "table")


def _pieces(rows: RowArray) -> list[RowArray]:
    """Results, ascending by ID, in two pieces."""
    results = pick(rows, rows["rank"] != REJECTED_RANK)
    ascending = pick(results, np.argsort(results["id"], kind="stable"))
    return [pick(ascending, half) for half in (slice(len(rows) // 3), slice(len(rows) // 3, None))]


def lines_in(folder: Path) -> list[bytes]:
    """Read the table back."""
    with (folder / "table").open("rb") as file:
        return list(table_lines(file))


def results_in(text: bytes, job_type: str = "tweets") -> list[bytes]:
    """The stored lines of an answer's results, read line for line."""
    return sorted(line for line, _, _, rank in by_lines(text, job_type).stored if rank != REJECTED_RANK)


@settings(deadline=None, max_examples=100)
@given(text=answers(), size=st.sampled_from((90, 700, 1 << 20)), job_type=st.sampled_from(("tweets", "users")))
@example(b'{"id":"7","note":"v1","created_at":"2019-10-29T17:02:47Z"}\n{"id":"8","x":{"id":[1e400]}}\n', 90, "tweets")
@example(b'{"id":"18446744073709551615","extras":{"a":1},"type":"other"}\n', 90, "users")
@example(b'{"id":"7","created_at":"0001-01-01T00:00:00Z","redacted_at":"9999-12-31T23:59:59.999Z"}\n', 90, "tweets")
@example(
    b'{"id":"7","created_at":"1969-12-31T23:59:59.999Z","redacted_at":"1904-02-29T00:00:00+14:00"}\n', 90, "tweets"
)
@example('{"id":"7","action":"\\u0000é\\"","reason":"","note":"\\ud83d\\ude00"}\n'.encode(), 90, "tweets")
def test_a_table_gives_the_lines_that_would_be_stored(folder: Path, text: bytes, size: int, job_type: str) -> None:
    """Byte for byte: unknown words, fields that X added as it wrote them, any time, any alphabet."""
    if by_lines(text, job_type).damaged:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_SLICE_BYTES", size)
        patch.setattr(columns, "_GROUP_ROWS", size // 30)
        packed = made(folder, text, job_type)
    expected = results_in(text, job_type)
    assert sorted(lines_in(folder)) == expected
    assert (packed.lines, packed.bytes) == (len(expected), (folder / "table").stat().st_size)


@settings(deadline=None)
@given(text=answers())
def test_a_stored_line_can_be_taken_apart(text: bytes) -> None:
    """And be put together again, with nothing lost of what it says."""
    for line in results_in(text):
        known, extras = split_line(line)
        assert join_line(known, extras) + b"\n" == line
        result = Result.from_line(line)
        assert known == KnownFields(*(getattr(result, name) for name in KnownFields.__struct_fields__))
        assert bool(extras) == bool(result.extras)


def test_columns_are_of_the_types_that_are_documented(folder: Path) -> None:
    """IDs are numbers, times are instants, words are text, and what is not known is null."""
    made(folder, FULL + b'{"id":"18446744073709551615","note":1}\n')
    table = pq.read_table(folder / "table")
    time = pa.timestamp("ms", "UTC")
    assert table.schema.names == list(COLUMNS)
    assert table.schema.types == [pa.uint64(), *[pa.string()] * 3, time, time, pa.string()]
    created, redacted = datetime(2019, 10, 29, 17, 2, 47, 12_000, UTC), datetime(2020, 7, 29, 17, 2, 47, 0, UTC)
    assert [list(row.values()) for row in table.to_pylist()] == [
        [7, "tweets", "delete", "deleted", created, redacted, None],
        [2**64 - 1, "tweets", None, None, None, None, '{"note":1}'],
    ]


def test_a_table_is_as_small_as_it_can_be(folder: Path) -> None:
    """IDs are stored as differences, words by number, all of it compressed, with a checksum for each page."""
    made(folder, b"".join(FULL.replace(b'"7"', b'"%d"' % (10**18 + 1000 * number)) for number in range(2_000)))
    group = pq.ParquetFile(folder / "table").metadata.row_group(0)
    encodings = {name: set(group.column(place).encodings) for place, name in enumerate(COLUMNS)}
    assert all("DELTA_BINARY_PACKED" in encodings[name] for name in ("id", "created_at", "redacted_at"))
    assert all("RLE_DICTIONARY" in encodings[name] for name in ("type", "action", "reason"))
    assert not any("PLAIN" in encodings[name] for name in ("id", "created_at", "redacted_at"))
    assert {group.column(place).compression for place in range(len(COLUMNS))} == {"ZSTD"}
    assert group.column(0).statistics.min == 10**18


def test_row_groups_are_of_a_bounded_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By rows, and by what has to be held as text, so that a reader needs no more memory than a writer."""
    monkeypatch.setattr(writing, "_SLICE_BYTES", 10_000)
    monkeypatch.setattr(columns, "_GROUP_ROWS", 1_000)
    monkeypatch.setattr(columns, "_GROUP_TEXT_BYTES", 100_000)
    short = b"".join(b'{"id":"%d","action":"delete"}\n' % number for number in range(1, 5_000))
    long = b"".join(b'{"id":"%d","note":"%b"}\n' % (number, b"n" * 900) for number in range(6_000, 7_000))
    odd = b"".join(b'{"id":"%d","reason":"%b"}\n' % (number, b"%d" % number * 225) for number in range(8_000, 9_000))
    made(folder, short + long + odd)
    metadata = pq.ParquetFile(folder / "table").metadata
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert sum(sizes) == 6_999
    assert max(sizes) < 1_200
    assert len([size for size in sizes if size < 150]) >= 15


def test_the_order_in_which_x_sent_words_does_not_matter(folder: Path) -> None:
    """The same results give the same bytes."""
    words = [b"delete", b"hide", b"scrub", b"keep", b"lose"]
    lines = [b'{"id":"%d","action":"%b","reason":"%b"}\n' % (n, words[n % 5], words[n % 3]) for n in range(1, 60)]
    lines += [b'{"id":"%d","action":"a%d"}\n' % (n, n % 7) for n in range(60, 90)]
    assert made(folder, b"".join(lines)) == made(folder, b"".join(reversed(lines)))


def test_more_words_than_there_are_numbers_for_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read off the lines that say them, with a shape or without."""
    monkeypatch.setattr(columns, "UNTOLD", 2)
    for name in ("UNTOLD", "_MOST"):
        monkeypatch.setattr(f"complyq_workers.results.kinds.{name}", 2)
    words = [b"delete", b"hide", b"scrub", b"keep", b"lose"]
    text = b"".join(
        b'{"id":"%d","action":"%b","reason":"%b"}\n' % (number, words[number % 5], words[number % 3])
        for number in range(1, 40)
    )
    made(folder, text)
    assert sorted(lines_in(folder)) == results_in(text)


def test_a_part_without_results_has_an_empty_table(folder: Path) -> None:
    """It has all columns and no row."""
    assert made(folder, b"").lines == 0
    assert pq.read_table(folder / "table").schema.names == list(COLUMNS)
    assert lines_in(folder) == []


@pytest.mark.parametrize("length", [0, 3, 60, -60, -9, -1])
def test_a_table_that_was_cut_short_is_refused(folder: Path, length: int) -> None:
    """Its results are not given as if they were all."""
    made(folder, FULL)
    (folder / "table").write_bytes((folder / "table").read_bytes()[:length])
    with pytest.raises(DamagedResultsError):
        lines_in(folder)


def test_no_changed_byte_changes_a_result(folder: Path) -> None:
    """Wherever in the object it is: what is read is what was stored, or nothing."""
    made(folder, FULL + b'{"id":"8","action":"delete","note":"a note that X added"}\n')
    body, expected = (folder / "table").read_bytes(), lines_in(folder)
    for place in range(len(body)):
        (folder / "table").write_bytes(body[:place] + bytes([body[place] ^ 16]) + body[place + 1 :])
        with suppress(DamagedResultsError):
            assert lines_in(folder) == expected
