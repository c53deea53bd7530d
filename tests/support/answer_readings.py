"""What an answer of X says, read in the two ways that must agree: as tables, and line for line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from complyq_producer.results import Rejected, Result
from complyq_workers.results import ResultsUnreadableError, answer
from complyq_workers.results.answer import Reader, read_blocks
from complyq_workers.results.kinds import UNTOLD, Kind, Kinds, rank_of
from complyq_workers.results.lines import RowArray, joined
from complyq_workers.results.parse import UnreadableLineError, id_number, parse_line
from complyq_workers.results.rows import NO_ROWS
from complyq_workers.results.shapes import UNSHAPED, Shapes
from complyq_workers.results.writing import LineWriter

Stored = tuple[bytes, int, Kind, int]
"""A line as it is stored, its ID, what it says, and how strongly."""
_ERROR: Kind = (None, None)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that is known of an answer, in an order of its own.

    Attributes:
        stored: results and errors that name an ID.
        strays: errors that name none.
        foreign: what results call an ID that can be none of ours.
        damaged: number of the first line that cannot be read, how it begins, and why not; of other lines nothing is known then.
    """

    stored: list[Stored]
    strays: list[bytes]
    foreign: list[str]
    damaged: tuple[int, str, str] | None = None


def by_lines(text: bytes, job_type: str) -> Reading:
    """Read the answer with `parse_line` alone."""
    stored: list[Stored] = []
    strays: list[bytes] = []
    foreign: list[str] = []
    for number, line in enumerate(_lines(text), 1):
        try:
            outcome = parse_line(line, job_type)
        except UnreadableLineError as error:
            return Reading([], [], [], (number, _begin(answer._excerpt(line)), str(error)))
        if outcome is None:
            continue
        written, identifier = outcome.to_json() + b"\n", id_number(outcome.id)
        if identifier is None:
            strays += [written] * isinstance(outcome, Rejected)
            foreign += [outcome.id] * (not isinstance(outcome, Rejected))
        elif isinstance(outcome, Rejected):
            stored.append((written, identifier, _ERROR, 0))
        else:
            stored.append((written, identifier, (outcome.action, outcome.reason), rank_of(outcome.action)))
    return Reading(sorted(stored, key=repr), sorted(strays), sorted(foreign))


class Tables:
    """Reads answers as tables, and remembers the shapes of one for the next."""

    def __init__(self, job_type: str, folder: Path) -> None:
        self.kinds = Kinds()
        self.shapes = Shapes(job_type, self.kinds)
        self._reader = Reader(job_type, self.kinds, self.shapes)
        self._folder = folder
        self.shaped = 0
        """How many lines had a shape."""

    def read(self, text: bytes) -> Reading:
        """Read an answer."""
        path = self._folder / "answer"
        path.write_bytes(text)
        with closing(LineWriter(self.shapes, self._folder / "odd")) as writer:
            try:
                said = list(map(self._reader.read, read_blocks(path)))
            except ResultsUnreadableError as error:
                return Reading([], [], [], (error.line_number, _begin(error.excerpt), error.why))
            rows = joined([NO_ROWS, *(rows for some in said for rows in (some.rows, writer.keep(some.odd)))])
            self.shaped += int((rows["shape"] != UNSHAPED).sum())
            stored = sorted(self._stored(rows, writer), key=repr)
        strays = [line for some in said for line in some.strays]
        foreign = [identifier for some in said for identifier in some.foreign]
        assert sum(some.lines for some in said) == len(stored) + len(strays) + len(foreign)
        return Reading(stored, sorted(strays), sorted(foreign))

    def _stored(self, rows: RowArray, writer: LineWriter) -> Iterator[Stored]:
        known = zip(rows["id"].tolist(), rows["kind"].tolist(), rows["rank"].tolist(), strict=True)
        for piece in writer.lines(rows):
            start = 0
            for length, kind in zip(piece.lengths.tolist(), piece.kinds.tolist(), strict=True):
                identifier, number, rank = next(known)
                assert number == kind
                line = piece.data[start : start + length].tobytes()
                pair = self.kinds.pair(number) if number != UNTOLD else _told_by(line) if rank else _ERROR
                yield line, identifier, pair, rank
                start += length
            assert start == len(piece.data)
        assert next(known, None) is None


def _lines(text: bytes) -> list[bytes]:
    """The lines, each with its end, also the last one."""
    return [line + b"\n" for line in text.removesuffix(b"\n").split(b"\n")]


def _told_by(line: bytes) -> Kind:
    result = Result.from_line(line)
    return result.action, result.reason


def _begin(excerpt: str) -> str:
    """What is shown of a damaged line, but for its length: a line that is too long is not read to its end."""
    return excerpt.partition(" …")[0]
