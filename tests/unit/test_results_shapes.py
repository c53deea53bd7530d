"""Lines of the usual shapes are read as tables, and shapes of all kinds take bounded time and memory."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Barrier, Thread

import numpy as np
import pytest

from complyq_simulator.outcomes import STYLES, outcomes, records
from complyq_workers.results import answer, shapes
from complyq_workers.results.answer import Reader, read_blocks
from complyq_workers.results.kinds import Kinds
from complyq_workers.results.shapes import UNSHAPED, Shapes, skeleton
from support.answer_readings import Tables, by_lines

DOCUMENTED = (
    b'{"id":"1265324480517361664","action":"delete","created_at":"2019-10-29T17:02:47.000Z",'
    b'"redacted_at":"2020-07-29T17:02:47.000Z","reason":"deleted"}'
)
SPACED = json.dumps(json.loads(DOCUMENTED)).encode()
TIME = b"2019-10-29T17:02:47.000Z"


def number_of(line: bytes) -> int:
    """The number of the shape that a line without its end has."""
    return Shapes("tweets", Kinds())[skeleton(line)]


@pytest.mark.parametrize(
    "line",
    [
        DOCUMENTED,
        DOCUMENTED + b"\r",
        SPACED,
        b" " + SPACED + b" ",
        DOCUMENTED.replace(TIME, b"2019-03-02T03:37:59+00:00"),
        DOCUMENTED.replace(b".000Z", b"Z"),
        DOCUMENTED.replace(b".000Z", b".123456Z"),
        DOCUMENTED.replace(b".000Z", b".123456789Z"),
        DOCUMENTED.replace(b".000Z", b".1+00:00"),
        DOCUMENTED.replace(b"redacted_at", b"deleted_at"),
        DOCUMENTED.replace(b',"reason"', b',"deleted_at":"2020-07-29T17:02:47.000Z","reason"'),
        DOCUMENTED.replace(b',"reason"', b',"deleted_at":"2020-07-29T17:02:47+00:00","reason"'),
        DOCUMENTED.replace(b'"2020-07-29T17:02:47.000Z"', b"null"),
        DOCUMENTED.replace(b'"2020-07-29T17:02:47.000Z"', b'null,"deleted_at":"2020-07-29T17:02:47Z"'),
        DOCUMENTED.replace(b"}", b',"error":null}'),
        DOCUMENTED.replace(b"}", b',"type":"tweets"}'),
        DOCUMENTED.replace(b"}", b',"type":"users"}'),
        DOCUMENTED.replace(b"}", b',"note":"caf\xc3\xa9 17"}'),
        DOCUMENTED.replace(b"delete", b"hide"),
        b'{"id":"7","action":"delete"}',
        b'{"action":"delete","id":"7"}',
        b'{"id":"7"}',
    ],
)
def test_usual_lines_have_a_shape(line: bytes) -> None:
    """X's documented line, in all notations that X is known to use, is not left to the slow way."""
    assert number_of(line) != UNSHAPED


def test_ids_of_up_to_nineteen_digits_have_a_shape() -> None:
    """All IDs that X has given out so far and will for long."""
    assert [number_of(b'{"id":"%d"}' % 10**power) != UNSHAPED for power in range(20)] == [True] * 19 + [False]


@pytest.mark.parametrize(
    "line",
    [
        b'{"id":"7","action":"delete2"}',
        b'{"id":"7","reason":"error 404"}',
        b'{"id":"7","v2":"x"}',
        b'{"id":"7","id":"8"}',
        b'{"id":7}',
        b'{"id":" 7"}',
        b'{"id":"18446744073709551615"}',
        b'{"id":"7","action":"a\\u00e9"}',
        b'{"id":"7","note":1}',
        b'{"id":"7","one":"1","two":"2"}',
        b'{"id":"7","note":"%d"}' % 10**25,
        b'{"id":"7","created_at":"2019-10-29 17:02:47Z"}',
        b'{"id":"7","created_at":"2019-10-29T17:02:47-00:00"}',
        b'{"id":"7","created_at":"1572368567"}',
        b'{"id":"7","created_at":"1","created_at_raw":"2"}',
        b'{"id":"7","type":"a1","type_raw":"a2"}',
        b'{"id":"7","error":"invalid_id"}',
        b'{"id":"x"}',
        b'{"id":"7"',
        b'{"id":"7"}}',
        b"\xef\xbb\xbf" + DOCUMENTED,
        b"",
    ],
)
def test_what_columns_cannot_tell_has_no_shape(line: bytes) -> None:
    """Where more than its columns' digits decides what becomes of a line, each is read field by field."""
    assert number_of(line) == UNSHAPED


@pytest.mark.parametrize(("guard", "instead"), [("_RAW", b"none"), ("_agrees", lambda *_: True)])
@pytest.mark.parametrize(
    "line",
    [
        b'{"id":"7","type":"a1","type_raw":"a2"}',
        b'{"id":"7","created_at":"1","created_at_raw":"2"}',
        b'{"id":"7","deleted_at":"1234567","redacted_at_raw":"7654321"}',
    ],
)
def test_what_is_kept_in_place_of_another_field_is_noticed_twice(
    monkeypatch: pytest.MonkeyPatch, line: bytes, guard: str, instead: object
) -> None:
    """By the name of the field, and by samples that come out wrong: each guard holds without the other."""
    monkeypatch.setattr(shapes, guard, instead)
    assert number_of(line) == UNSHAPED


@pytest.mark.parametrize("job_type", ["tweets", "users"])
def test_the_lines_of_the_simulator_are_read_as_tables(tmp_path: Path, job_type: str) -> None:
    """All of them, in all styles; only those of February 29 are not."""
    ids = np.random.default_rng(7).integers(1, 2**61, 4_000).astype(np.uint64)
    sent = records(outcomes(ids, 3, 1.0, job_type), job_type)
    assert len({tuple(line) for line in sent}) == STYLES - 12
    tables, text = Tables(job_type, tmp_path), b"".join(json.dumps(line).encode() + b"\n" for line in sent)
    assert tables.read(text) == by_lines(text, job_type)
    assert tables.shaped == sum("-02-29T" not in json.dumps(line) for line in sent)


def test_shapes_without_end_fill_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """X may write each line in another way: no more shapes are remembered than agreed, and each line is read all the same."""
    monkeypatch.setattr(shapes, "_MAX_SHAPES", 20)
    tables = Tables("tweets", tmp_path)
    lines = [b'{"id":"%d","note":"%b"}\n' % (number, b"n" * number) for number in range(1, 60)] * 2
    text = b"".join([*lines, *(b'{"id":"x%b"}\n' % (b"y" * number) for number in range(30))])
    assert tables.read(text) == by_lines(text, "tweets")
    assert len(tables.shapes) == 20
    assert tables.shaped == 40


def test_long_lines_are_not_remembered() -> None:
    """Two thousand shapes of a kilobyte are what X can make us remember."""
    known, most = Shapes("tweets", Kinds()), shapes._MAX_LINE_BYTES
    begin, end = b'{"id":"0","note":"', b'"}'
    long, longer = (begin + b"n" * (length - len(begin + end)) + end for length in (most, most + 1))
    assert (known[long], known[longer]) == (1, UNSHAPED)
    assert list(known) == [long]
    assert shapes._MAX_SHAPES * shapes._MAX_LINE_BYTES <= 2_000_000


@pytest.fixture
def hurried() -> Iterator[None]:
    """Have threads take turns as often as can be."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_threads_that_learn_at_once_agree(hurried: None) -> None:
    """Of two that meet a shape at the same time both use one number for it, which stands for that shape."""
    lines = [b'{"id":"%b","note":"%b"}' % (b"0" * (1 + size % 19), b"n" * size) for size in range(200)]
    known, barrier = Shapes("tweets", Kinds()), Barrier(2)
    found: list[list[int]] = []

    def learn() -> None:
        barrier.wait()
        found.append([known[line] for line in lines])

    threads = [Thread(target=learn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert len(set(found[0])) == len(lines)
    for line, number in zip(lines, found[0], strict=True):
        shape = known.shape(number)
        assert (shape.id_source.stop, len(shape.template)) == (line.index(b'",'), known.columns()["length"][number])
        assert line[line.index(b'"note"') :] in shape.template.tobytes()


def test_threads_that_read_at_once_say_what_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hurried: None
) -> None:
    """Blocks with new shapes and kinds in each, read by two threads, give what each line gives."""
    monkeypatch.setattr(answer, "_BLOCK_BYTES", 2_000)
    rng = Random(4)
    lines = [
        b'{"id":"%d","reason":"%b"}\n' % (rng.randrange(1, 10 ** rng.randrange(1, 20)), b"r" * rng.randrange(40))
        for _ in range(1_500)
    ]
    path = tmp_path / "answer"
    path.write_bytes(b"".join(lines))
    kinds = Kinds()
    known = Shapes("tweets", kinds)
    reader, blocks, barrier = Reader("tweets", kinds, known), list(read_blocks(path)), Barrier(2)
    found: list[list[tuple[int, str | None, int]]] = []

    def read() -> None:
        barrier.wait()
        rows = [row for block in blocks for row in reader.read(block).rows]
        found.append(
            [(int(row["id"]), kinds.pair(int(row["kind"]))[1], len(known.shape(row["shape"]).template)) for row in rows]
        )

    threads = [Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = [(number, kind[1], len(line)) for line, number, kind, _ in by_lines(path.read_bytes(), "tweets").stored]
    assert sorted(found[0]) == sorted(found[1]) == sorted(stored)
