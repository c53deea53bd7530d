"""Rows as columns, thousands at once: what is in a results object as Parquet.

Of rows with a shape all is told by number: what they say by their kind, times by their digits, and fields that X added
by columns of their stored line. The stored lines of other rows are read one by one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from complyq_producer.ids.values import IdArray
from complyq_producer.results import split_line
from complyq_workers.results.kinds import UNTOLD, Kind, Kinds
from complyq_workers.results.lines import ByteArray, IntArray, RowArray, by_value, pick, starts_of, windows
from complyq_workers.results.shapes import ID_DIGITS, UNSHAPED, Shapes
from complyq_workers.results.writing import LineWriter

TimeArray = npt.NDArray[np.datetime64]

_GROUP_ROWS = 131_072
_GROUP_TEXT_BYTES = 8 << 20
_TIME_BYTES = len("2019-10-29T17:02:47.000Z")
_ANY_ID = np.zeros(ID_DIGITS, np.uint8)
_NOT_A_TIME = np.datetime64("NaT", "ms")
_DAY_MILLISECONDS = 86_400_000


@dataclass(frozen=True, slots=True)
class Words:
    """A text for each result: the place among the different ones, which are sorted, or -1 for none."""

    places: npt.NDArray[np.int32]
    different: list[str]


@dataclass(frozen=True, slots=True)
class Columns:
    """Some results, ascending by ID; what is not known of one is NaT, -1, or a text of no bytes."""

    ids: IdArray
    actions: Words
    reasons: Words
    created_at: TimeArray
    redacted_at: TimeArray
    extras: ByteArray
    extras_lengths: IntArray


@dataclass(frozen=True, slots=True)
class _Piece:
    """The columns of a few rows. Times stand in two rows; `kinds` are numbers of the group's."""

    ids: IdArray
    kinds: npt.NDArray[np.int64]
    times: TimeArray
    extras: ByteArray
    extras_lengths: IntArray


class Source:
    """What rows refer to."""

    def __init__(self, shapes: Shapes, kinds: Kinds, writer: LineWriter) -> None:
        learned = shapes.learned()
        numbers = max(learned, default=0) + 1
        self.shapes, self.kinds, self.writer = shapes, kinds, writer
        self.has_time = np.zeros((numbers, 2), np.bool_)
        self.extras_lengths = np.zeros(numbers, np.int64)
        for number, shape in learned.items():
            slots = {copy.slot for copy in shape.copies}
            self.has_time[number] = 0 in slots, 1 in slots
            self.extras_lengths[number] = len(split_line(shape.template.tobytes())[1])


def row_groups(pieces: Iterable[RowArray], source: Source) -> Iterator[Columns]:
    """The columns of rows in their order, about 131,072 at a time, or fewer if they have much text."""
    group = _Group(source)
    for rows in pieces:
        for some, _ in source.writer.slices(rows):
            group.add(some)
            if group.is_full:
                yield group.columns()
                group = _Group(source)
    if group.rows:
        yield group.columns()


class _Group:
    def __init__(self, source: Source) -> None:
        self.rows = 0
        self._text_bytes = 0
        self._source = source
        self._pieces: list[_Piece] = []
        # The numbers of what lines say that are read one by one follow those of all other lines.
        self._others: dict[Kind, int] = {}

    @property
    def is_full(self) -> bool:
        return self.rows >= _GROUP_ROWS or self._text_bytes >= _GROUP_TEXT_BYTES

    def add(self, rows: RowArray) -> None:
        single = (rows["shape"] == UNSHAPED) | (rows["kind"] == UNTOLD)
        lengths = np.where(single, 0, self._source.extras_lengths[rows["shape"]])
        piece = _Piece(rows["id"].copy(), rows["kind"].astype(np.int64), self._times(rows), *_no_text(rows))
        if single.any() or lengths.any():
            piece = self._with_text(piece, rows, np.flatnonzero(single), lengths)
        self._pieces.append(piece)
        self.rows += len(rows)

    def columns(self) -> Columns:
        ids, kinds, extras, lengths = (
            np.concatenate([getattr(piece, name) for piece in self._pieces])
            for name in ("ids", "kinds", "extras", "extras_lengths")
        )
        created_at, redacted_at = np.concatenate([piece.times for piece in self._pieces], axis=1)
        actions, reasons = self._words(kinds)
        return Columns(ids, actions, reasons, created_at, redacted_at, extras, lengths)

    def _times(self, rows: RowArray) -> TimeArray:
        times = np.full((2, len(rows)), _NOT_A_TIME)
        known = self._source.has_time[rows["shape"]]
        for slot in range(2):
            times[slot, known[:, slot]] = to_times(rows["slots"][known[:, slot], slot])
        return times

    def _with_text(self, piece: _Piece, rows: RowArray, single: npt.NDArray[np.intp], lengths: IntArray) -> _Piece:
        """Add fields that X added, and all else of rows whose lines are read one by one."""
        texts = self._read(piece, single, self._lines(pick(rows, single)))
        lengths[single] = list(map(len, texts))
        extras, starts = np.empty(int(lengths.sum()), np.uint8), starts_of(lengths)
        for start, text in zip(starts[single].tolist(), texts, strict=True):
            extras[start : start + len(text)] = np.frombuffer(text, np.uint8)
        shapes = rows["shape"].copy()
        shapes[single] = UNSHAPED
        for number, places in by_value(shapes):
            if self._source.extras_lengths[number]:
                written = self._extras(number, pick(rows, places))
                windows(extras, written.itemsize)[starts[places]] = written
        return _Piece(piece.ids, piece.kinds, piece.times, extras, lengths)

    def _lines(self, rows: RowArray) -> list[bytes]:
        return [line for piece in self._source.writer.lines(rows) for line in piece.data.tobytes().splitlines()]

    def _read(self, piece: _Piece, places: npt.NDArray[np.intp], lines: list[bytes]) -> list[bytes]:
        """Put what lines say where it belongs; return the fields that X added to each."""
        split = [split_line(line) for line in lines]
        piece.kinds[places] = [self._number((known.action, known.reason)) for known, _ in split]
        for slot, texts in enumerate(zip(*((known.created_at, known.redacted_at) for known, _ in split), strict=True)):
            piece.times[slot, places] = _parsed(texts)
        self._text_bytes += sum(map(len, lines))
        return [extras for _, extras in split]

    def _number(self, kind: Kind) -> int:
        return self._others.setdefault(kind, UNTOLD + len(self._others))

    def _extras(self, number: int, rows: RowArray) -> RowArray:
        """Fields that X added, as they end the stored lines: what opens them there is a comma."""
        length = int(self._source.extras_lengths[number])
        any_ids = np.broadcast_to(_ANY_ID, (len(rows), len(_ANY_ID)))
        lines = self._source.shapes.shape(number).write(any_ids, rows["slots"])
        written = np.ascontiguousarray(lines[:, -1 - length : -1])
        written[:, 0] = ord("{")
        self._text_bytes += written.size
        return written.view(f"V{length}").reshape(-1)

    def _words(self, kinds: npt.NDArray[np.int64]) -> tuple[Words, Words]:
        """Actions and reasons, whose numbers do not depend on the order in which X sent its lines."""
        numbers = np.flatnonzero(np.bincount(kinds))
        others = list(self._others)
        pairs = [self._source.kinds.pair(n) if n < UNTOLD else others[n - UNTOLD] for n in numbers.tolist()]
        actions, reasons = zip(*pairs, strict=True)
        return _placed(actions, numbers, kinds), _placed(reasons, numbers, kinds)


def to_times(texts: ByteArray) -> TimeArray:
    """The instant of each `2019-10-29T17:02:47.000`; what follows does not matter."""
    digits = texts - np.uint8(ord("0"))
    year = _two(digits, 0) * 100 + _two(digits, 2)
    month = ((year - 1970) * 12 + _two(digits, 5) - 1).astype("M8[M]")
    day = month.astype("M8[D]").astype(np.int64) + (_two(digits, 8) - 1)
    seconds = (_two(digits, 11) * 60 + _two(digits, 14)) * 60 + _two(digits, 17)
    milliseconds = _two(digits, 20) * 10 + digits[:, 22]
    return (day * _DAY_MILLISECONDS + (seconds * 1000 + milliseconds)).astype("M8[ms]")


def _two(digits: ByteArray, at: int) -> npt.NDArray[np.int32]:
    number: npt.NDArray[np.int32] = digits[:, at].astype(np.int32) * 10 + digits[:, at + 1]
    return number


def _parsed(texts: tuple[str | None, ...]) -> TimeArray:
    """Times of stored lines."""
    known = [text is not None for text in texts]
    times = np.full(len(texts), _NOT_A_TIME)
    joined = "".join(text for text in texts if text is not None).encode()
    times[known] = to_times(np.frombuffer(joined, np.uint8).reshape(-1, _TIME_BYTES))
    return times


def _placed(words: tuple[str | None, ...], numbers: npt.NDArray[np.intp], kinds: npt.NDArray[np.int64]) -> Words:
    different = sorted({word for word in words if word is not None})
    place = {word: place for place, word in enumerate(different)}
    of_kind = np.full(int(numbers[-1]) + 1, -1, np.int32)
    of_kind[numbers] = [-1 if word is None else place[word] for word in words]
    return Words(of_kind[kinds], different)


def _no_text(rows: RowArray) -> tuple[ByteArray, IntArray]:
    return np.empty(0, np.uint8), np.zeros(len(rows), np.int64)
