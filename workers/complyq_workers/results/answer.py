"""X's answer, read a few megabytes at a time: most lines as tables, the others one by one."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from complyq_producer.ids.digits import from_columns
from complyq_producer.results import Rejected, Result
from complyq_workers.results.errors import ResultsUnreadableError
from complyq_workers.results.kinds import REJECTED_RANK, UNTOLD, Kinds, rank_of
from complyq_workers.results.lines import ByteArray, IntArray, PlaceArray, RowArray, by_value, pick, windows
from complyq_workers.results.parse import MAX_LINE_BYTES, UnreadableLineError, id_number, parse_line
from complyq_workers.results.rows import ROW
from complyq_workers.results.shapes import UNSHAPED, Shape, Shapes, skeleton

_BLOCK_BYTES = 4 << 20
_PIECE_BYTES = 12 << 20
_EXCERPT_BYTES = 120
_LINE_FEED, _ZERO = 10, 48
_ID_COLUMNS = 24
_NO_PLACES: PlaceArray = np.empty(0, np.intp)
_TWO_DIGITS = (5, 8, 11, 14, 17)  # where month, day, hour, minute and second begin
_ANY_TIME = np.frombuffer(b"2000-01-01T00:00:00.000  ", np.uint8)
# Of leap years only `parse_line` knows.
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, *[0] * 87], np.uint8)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the answer, from `start` to before `end`, which are whole lines."""

    start: int
    end: int


WHOLE = Piece(0, 2**63)


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines of the answer.

    Attributes:
        path: of the answer.
        offset: where in it the first line begins.
        text: the lines, and what else was read behind them.
        size: bytes of the lines.
    """

    path: Path
    offset: int
    text: bytes
    size: int


@dataclass(frozen=True, slots=True)
class OddLine:
    """A stored line that is no table's, what it says, and how strongly it speaks for which ID."""

    line: bytes
    id: int
    kind: int
    rank: int


@dataclass(frozen=True, slots=True)
class Said:
    """What some lines of the answer say.

    Attributes:
        rows: of lines with a shape.
        odd: other results, and errors that name an ID.
        strays: stored lines of errors that name no ID.
        foreign: what results call their ID that can be none of ours.
    """

    rows: RowArray
    odd: list[OddLine]
    strays: list[bytes]
    foreign: list[str]

    @property
    def lines(self) -> int:
        """How many lines were not blank."""
        return len(self.rows) + len(self.odd) + len(self.strays) + len(self.foreign)


def pieces(path: Path) -> Iterator[Piece]:
    """The whole answer in pieces of about twelve megabytes, of whole lines."""
    start = 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while start < size:
            file.seek(start + _PIECE_BYTES)
            while (some := file.readline(MAX_LINE_BYTES)) and not some.endswith(b"\n"):
                pass
            end = min(file.tell(), size)
            yield Piece(start, end)
            start = end


def read_blocks(path: Path, piece: Piece = WHOLE) -> Iterator[Block]:
    """A piece in blocks; a line that a block's end cuts is read again with the next one, which spares a copy of all."""
    offset = piece.start
    with path.open("rb", buffering=0) as file:
        while text := _read(file.fileno(), offset, piece.end - offset):
            size = text.rfind(b"\n") + 1
            if not size:
                yield Block(path, offset, text + b"\n", len(text) + 1)
                return
            yield Block(path, offset, text, size)
            offset += size


def _read(file: int, offset: int, most: int) -> bytes:
    """A block; but of a last line without its newline, or one that is too long, only what is needed to see that."""
    text = os.pread(file, min(most, _BLOCK_BYTES), offset)
    return text if b"\n" in text else os.pread(file, min(most, MAX_LINE_BYTES + 1), offset)


class Reader:
    """Reads blocks, by the shapes it has learned from others; may be used by several threads."""

    def __init__(self, job_type: str, kinds: Kinds, shapes: Shapes) -> None:
        self._job_type = job_type
        self._kinds = kinds
        self._shapes = shapes

    def read(self, block: Block) -> Said:
        """What the lines of a block say.

        Raises:
            ResultsUnreadableError: at a damaged line: it is never taken for "compliant".
        """
        text = np.frombuffer(block.text, np.uint8, block.size)
        ends = np.flatnonzero(text == _LINE_FEED)
        starts = np.concatenate([[0], ends[:-1] + 1])
        tables = _Tables(len(starts))
        others = [_NO_PLACES]
        for number, places in by_value(self._shapes_of(block)):
            if number == UNSHAPED:
                others.append(places)
                continue
            width = int(ends[places[0]] - starts[places[0]])
            table = windows(text, width)[starts[places]].view(np.uint8).reshape(-1, width)
            tables.add(number, self._shapes.shape(number), table, places)
        rows, unusual = tables.rows(self._shapes.columns())
        return self._completed(rows, block, np.sort(np.concatenate([*others, unusual])), starts, ends)

    def _shapes_of(self, block: Block) -> npt.NDArray[np.uint16]:
        lines = skeleton(block.text).split(b"\n")
        lines.pop()  # what is behind the last newline
        return np.fromiter(map(self._shapes.__getitem__, lines), np.uint16, len(lines))

    def _completed(self, rows: RowArray, block: Block, unread: PlaceArray, starts: IntArray, ends: IntArray) -> Said:
        """Add what the lines at these places say, read one by one."""
        said = Said(rows, [], [], [])
        for start, end in zip(starts[unread].tolist(), ends[unread].tolist(), strict=True):
            outcome = self._parsed(block, start, end + 1)
            if outcome is None:
                continue
            number, stored = id_number(outcome.id), outcome.to_json() + b"\n"
            if number is not None:
                said.odd.append(OddLine(stored, number, *self._weight(outcome)))
            elif isinstance(outcome, Rejected):
                said.strays.append(stored)
            else:
                said.foreign.append(outcome.id)
        return said

    def _weight(self, outcome: Result | Rejected) -> tuple[int, int]:
        """Kind and rank."""
        if isinstance(outcome, Rejected):
            return UNTOLD, REJECTED_RANK
        return self._kinds.number(outcome.action, outcome.reason), rank_of(outcome.action)

    def _parsed(self, block: Block, start: int, end: int) -> Result | Rejected | None:
        line = block.text[start:end]
        try:
            return parse_line(line, self._job_type)
        except UnreadableLineError as error:
            number = _line_number(block.path, block.offset + start)
            raise ResultsUnreadableError(number, _excerpt(line), str(error)) from error


class _Tables:
    """The lines of a block that are read as tables, one shape after the other."""

    def __init__(self, lines: int) -> None:
        self._count = 0
        self._shapes: list[tuple[int, int]] = []  # number, and how many lines have it
        self._rows = np.empty(lines, ROW)
        self._places = np.empty(lines, np.intp)
        self._digits = np.full((lines, _ID_COLUMNS), _ZERO, np.uint8)
        self._slots: ByteArray = self._rows["slots"]
        self._slots[:] = _ANY_TIME
        self._in_utc = np.ones(lines, np.bool_)

    def add(self, number: int, shape: Shape, table: ByteArray, places: PlaceArray) -> None:
        """Take lines of a shape, a row each, from these places."""
        here = slice(self._count, self._count + len(table))
        self._count = here.stop
        self._shapes.append((number, len(table)))
        self._places[here] = places
        shape.read(table, self._digits[here], self._slots[here])
        if shape.offsets:
            self._in_utc[here] = shape.in_utc(table)

    def rows(self, columns: RowArray) -> tuple[RowArray, PlaceArray]:
        """The rows, and the places of lines whose digits are not those of an ID and of times in UTC.

        Args:
            columns: what is known of all shapes.
        """
        rows, slots = self._rows[: self._count], self._slots[: self._count]
        shapes = np.repeat(*np.array(self._shapes, np.int64).reshape(-1, 2).T)
        known = columns[shapes]
        rows["id"] = from_columns(self._digits[: self._count])
        rows["shape"], rows["kind"], rows["rank"] = shapes, known["kind"], known["rank"]
        in_form = self._in_utc[: self._count] & (rows["id"] >= known["least_id"])
        plain = in_form & _are_times(slots[:, 0]) & _are_times(slots[:, 1])
        return (rows, _NO_PLACES) if plain.all() else (pick(rows, plain), self._places[: self._count][~plain])


def _are_times(texts: ByteArray) -> npt.NDArray[np.bool_]:
    """Which of `0000-00-00T00:00:00` with other digits are times from 1000 to 2999 that every year has."""
    digits = texts - np.uint8(_ZERO)
    month, day, hour, minute, second = (digits[:, at] * np.uint8(10) + digits[:, at + 1] for at in _TWO_DIGITS)
    in_year = (digits[:, 0] >= 1) & (digits[:, 0] <= 2) & (day >= 1) & (day <= _MONTH_DAYS[month])
    return np.asarray(in_year & (hour <= 23) & (minute <= 59) & (second <= 59))


def _line_number(path: Path, offset: int) -> int:
    """The number of the line that begins at this byte, from 1 on."""
    with path.open("rb") as file:
        whole, rest = divmod(offset, _BLOCK_BYTES)
        return 1 + sum(file.read(size).count(b"\n") for size in [*[_BLOCK_BYTES] * whole, rest])


def _excerpt(line: bytes) -> str:
    shown = ascii(line[:_EXCERPT_BYTES].decode(errors="replace"))
    return shown if len(line) <= _EXCERPT_BYTES else f"{shown} … ({len(line)} bytes)"
