"""Lines of one shape: all but their digits is the same, so that numpy reads and writes thousands of them as one table.

X writes nearly all lines alike. Where lines differ in digits alone, they differ in ID and times, and what becomes of one
becomes of the others, digit for digit. So of each shape one line is read field by field by `parse_line`, which knows all
rules, and what it makes of it is kept: a template, and which columns to copy into it. A shape that cannot be told in
this way is known too, and each of its lines is left to `parse_line`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from complyq_producer.results import Result
from complyq_workers.results.kinds import Kinds, rank_of
from complyq_workers.results.lines import ByteArray, RowArray
from complyq_workers.results.parse import UnreadableLineError, parse_line

UNSHAPED: Final = 0
"""Stands for all shapes that are no table."""

ID_DIGITS = 19
"""The most that an ID of a table has: twenty may be beyond 64 bits."""
SLOT_BYTES = len("2019-10-29T17:02:47+00:00")
SLOTS = 3
"""Beside its ID a line holds so many strings with digits, `created_at` first, then `redacted_at`, then any other."""

_MAX_SHAPES = 2_000
_NUMBERS = 2 * _MAX_SHAPES  # of each process: threads may learn one shape twice
_MAX_LINE_BYTES = 1_000
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_PAIR = re.compile(rb'\s*+"([^"\\]*+)"\s*+:\s*+(?:"([^"\\]*+)"|null)\s*+([,}])')
_ID = re.compile(rb"0{1,%d}" % ID_DIGITS).fullmatch
_TIME = re.compile(rb"(?P<known>0000-00-00T00:00:00(?:\.0+)?)(?:Z|\+00:00)").fullmatch
_TIME_SLOTS = {b"created_at": 0, b"redacted_at": 1}
_OTHER_SLOT = 2
_WORDS = frozenset({b"action", b"reason"})  # lines of a shape say the same
_RAW = b"_raw"  # names under which `parse_line` may keep what X wrote elsewhere, in place of what X wrote there
_UTC = b"00:00"
_TO_MILLISECONDS = len("2019-10-29T17:02:47.000")
_SAMPLES = ((b"2013-11-21T14:15:16.718293", b"987654321"), (b"1987-06-05T03:02:01.490000", b"1234567"))
_NOWHERE = (-1, -1)

_COLUMNS = np.dtype([("length", "<i8"), ("least_id", "<u8"), ("kind", "<u2"), ("rank", "u1")])

_Span = tuple[int, int]
_Spans = Mapping[bytes, _Span]


@dataclass(frozen=True, slots=True)
class Copy:
    """Some columns of X's line, of a line's slot, and of the stored line, which hold the same."""

    source: slice
    slot: int
    length: int
    target: slice


@dataclass(frozen=True, slots=True)
class Shape:
    """How lines of a shape are read and written.

    Attributes:
        template: the stored line with its newline, a zero for each digit.
        id_source: the columns of X's line that hold the ID.
        id_target: the columns of the stored line that do.
        copies: what else is taken from X's line.
        offsets: columns of X's line where a time's distance from UTC begins, which must be none.
        kind: what the line says.
        rank: how strongly.
    """

    template: ByteArray
    id_source: slice
    id_target: slice
    copies: tuple[Copy, ...]
    offsets: tuple[int, ...]
    kind: int
    rank: int

    @property
    def least_id(self) -> int:
        """The least number with so many digits: what is below begins with a zero."""
        return int(10 ** (self.id_source.stop - self.id_source.start - 1))

    def in_utc(self, table: ByteArray) -> npt.NDArray[np.bool_]:
        """Which of X's lines, a row each, have all their times in UTC."""
        found = np.ones(len(table), np.bool_)
        for at in self.offsets:
            found &= (table[:, at : at + len(_UTC)] == np.frombuffer(_UTC, np.uint8)).all(axis=1)
        return found

    def read(self, table: ByteArray, digits: ByteArray, slots: ByteArray) -> None:
        """Copy the digits of IDs, to the right, and of all else, of X's lines, a row each."""
        digits[:, self.id_source.start - self.id_source.stop :] = table[:, self.id_source]
        for copy in self.copies:
            slots[:, copy.slot, : copy.length] = table[:, copy.source]

    def write(self, digits: ByteArray, slots: ByteArray) -> ByteArray:
        """The stored lines, a row each."""
        written = np.empty((len(slots), len(self.template)), np.uint8)
        written[:] = self.template
        written[:, self.id_target] = digits[:, self.id_target.start - self.id_target.stop :]
        for copy in self.copies:
            written[:, copy.target] = slots[:, copy.slot, : copy.length]
        return written


class Shapes(dict[bytes, int]):
    """The number of the shape for each skeleton. Those not met before are learned; several threads may ask."""

    def __init__(self, job_type: str, kinds: Kinds, share: int = 0) -> None:
        """Know no skeleton, and number those that are met as process number `share` does: see `Kinds`."""
        super().__init__()
        self._job_type = job_type
        self._kinds = kinds
        self._lock = Lock()
        self._next = 1 + share * _NUMBERS
        self._shapes: dict[int, Shape] = {}
        self._columns: RowArray = np.zeros(1, _COLUMNS)
        self._in_columns = 0

    def __missing__(self, line: bytes) -> int:
        """Learn a shape. What is too long, or one too many, is not remembered: X must not fill the memory."""
        if len(self) >= _MAX_SHAPES or len(line) > _MAX_LINE_BYTES:
            return UNSHAPED
        shape = learn(line, self._job_type, self._kinds)
        with self._lock:
            if shape is None:
                return self.setdefault(line, UNSHAPED)
            self._shapes[self._next] = shape
            self._next += 1
            return self.setdefault(line, self._next - 1)

    def shape(self, number: int) -> Shape:
        """The shape with this number, which is not UNSHAPED."""
        return self._shapes[number]

    def learned(self) -> dict[int, Shape]:
        """All shapes by their numbers."""
        return dict(self._shapes)

    def learn(self, shapes: Mapping[int, Shape]) -> None:
        """Know these shapes too, which another process has numbered."""
        self._shapes.update(shapes)

    def columns(self) -> RowArray:
        """What is known of each shape, by its number: length of a stored line, least ID, kind and rank; 0 for UNSHAPED."""
        if self._in_columns < len(self._shapes):
            shapes = self.learned()
            columns = np.zeros(max(shapes) + 1, _COLUMNS)
            columns[list(shapes)] = [(len(one.template), one.least_id, one.kind, one.rank) for one in shapes.values()]
            self._columns, self._in_columns = columns, len(shapes)
        return self._columns


def skeleton(text: bytes) -> bytes:
    """The text with a zero for each digit: lines of one shape have the same."""
    return text.translate(_DIGITS_TO_ZERO)


def learn(line: bytes, job_type: str, kinds: Kinds) -> Shape | None:
    """Find out what becomes of lines with this skeleton; None where columns cannot tell."""
    given = _strings(line)
    if given is None or b"0" in b"".join(given) or not _ID(line[slice(*given.get(b"id", _NOWHERE))]):
        return None
    samples = [_filled(line, given, time, digits) for time, digits in _SAMPLES]
    try:
        results = [parse_line(sample, job_type) for sample in samples]
    except UnreadableLineError:
        return None
    shape = _shape(line, given, results[0], kinds) if isinstance(results[0], Result) else None
    agreed = shape and all(_agrees(shape, *pair) for pair in zip(samples, results, strict=True))
    return shape if agreed else None


def _strings(line: bytes) -> dict[bytes, _Span] | None:
    """Where the strings of an object are, (-1, -1) for null; None if it holds anything else, or a name twice."""
    spans: dict[bytes, _Span] = {}
    at, end = len(line) - len(line.lstrip()) + 1, b""
    while end != b"}":
        pair = _PAIR.match(line, at)
        if pair is None or pair[1] in spans:
            return None
        spans[pair[1]] = pair.span(2)
        at, end = pair.end(), pair[3]
    return spans


def _filled(line: bytes, given: _Spans, time: bytes, digits: bytes) -> bytes:
    """A line with this skeleton that has a real time where one belongs, and other digits elsewhere."""
    sample, others = bytearray(line), cycle(digits)
    for start, end in given.values():
        text = line[start:end]
        if found := _TIME(text):
            known = time[: found.end("known")]
            sample[start : start + len(known)] = known
        else:
            sample[start:end] = bytes(next(others) if byte == ord("0") else byte for byte in text)
    return bytes(sample)


def _shape(line: bytes, given: _Spans, result: Result, kinds: Kinds) -> Shape | None:
    """The shape, if the result holds strings alone, and digits only where X's line has the same ones."""
    stored = result.to_json() + b"\n"
    template, written = skeleton(stored), _strings(stored) or {}
    numbered = [name for name, (start, end) in written.items() if name != b"id" and b"0" in template[start:end]]
    copies = [_copy(name, written[name], line, given) for name in numbered]
    found = [copy for copy in copies if copy]
    if not written or len({copy.slot for copy in found}) < len(copies):
        return None
    times = [_source(name, given) for name in _TIME_SLOTS]
    return Shape(
        template=np.frombuffer(template, np.uint8),
        id_source=slice(*given[b"id"]),
        id_target=slice(*written[b"id"]),
        copies=tuple(found),
        offsets=tuple(end - len(_UTC) for _, end in times if end > 0 and line[end - 1] != ord("Z")),
        kind=kinds.number(result.action, result.reason),
        rank=rank_of(result.action),
    )


def _copy(name: bytes, target: _Span, line: bytes, given: _Spans) -> Copy | None:
    """How a stored string is copied: all of it, or of a time what is before its zone, to the millisecond."""
    start, end = _source(name, given)
    slot, length = _TIME_SLOTS.get(name, _OTHER_SLOT), end - start
    if slot != _OTHER_SLOT:
        time = _TIME(line[start:end]) if start >= 0 else None
        length = min(time.end("known"), _TO_MILLISECONDS) if time else 0
    elif name in _WORDS or name.endswith(_RAW) or length != target[1] - target[0] or length > SLOT_BYTES:
        return None
    return Copy(slice(start, start + length), slot, length, slice(target[0], target[0] + length)) if length else None


def _source(name: bytes, given: _Spans) -> _Span:
    """Where X's line has what is stored by a name: X's documents call the time of redaction by two."""
    span = given.get(name, _NOWHERE)
    return given.get(b"deleted_at", _NOWHERE) if name == b"redacted_at" and span == _NOWHERE else span


def _agrees(shape: Shape, sample: bytes, result: object) -> bool:
    """Whether copying columns gives the same as reading field by field."""
    table = np.frombuffer(sample, np.uint8).reshape(1, -1)
    digits, slots = np.empty((1, ID_DIGITS), np.uint8), np.empty((1, SLOTS, SLOT_BYTES), np.uint8)
    shape.read(table, digits, slots)
    stored = result.to_json() + b"\n" if isinstance(result, Result) else b""
    return bool(shape.write(digits, slots).tobytes() == stored)
