"""Pass three: the objects of each part."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from complyq_producer.model import ObjectFormat
from complyq_workers.results.answer_rows import AnswerRows
from complyq_workers.results.groups import PartGroup
from complyq_workers.results.kinds import REJECTED_RANK, UNTOLD
from complyq_workers.results.lines import Lines, RowArray, in_pieces, pick
from complyq_workers.results.outputs import Packed, pack
from complyq_workers.results.parts import Beat
from complyq_workers.results.strays import StrayErrors
from complyq_workers.results.summary import PartSummary, Tally
from complyq_workers.results.table_process import TableError, TableProcess

PartName = tuple[str, int]
"""The batch, and the number of the part in it."""


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """One part's results in one format on local disk."""

    path: Path
    format: ObjectFormat
    packed: Packed


@dataclass(frozen=True, slots=True)
class PartFiles:
    """One part's finished objects on local disk.

    Attributes:
        batch_id: the batch the part belongs to.
        part: its number in the batch.
        results: what X flagged, ascending by ID; no line in it if that is nothing.
        rejected: what X answered with an error, as gzip JSON lines; None if nothing was.
        summary: counted from the two files.
        format: of `results`.
        also: the same results in other formats.
    """

    batch_id: str
    part: int
    results: Path
    rejected: Path | None
    summary: PartSummary
    format: ObjectFormat = ObjectFormat.JSON_LINES
    also: tuple[ResultsFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made of the rows of each part.

    Attributes:
        parts: their names.
        strays: errors without an ID of ours, and
        shares: which of these count against each part.
        folder: for the parts' files.
        lines: whether results are wanted as JSON lines.
    """

    parts: Sequence[PartName]
    strays: StrayErrors
    shares: Sequence[slice]
    folder: Path
    lines: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """Makes the files of parts; `tables` writes those that are wanted as Parquet."""

    wanted: Wanted
    answer: AnswerRows
    beat: Beat
    tables: TableProcess | None = None

    def group(self, group: PartGroup) -> list[PartFiles]:
        """The files of the parts of a group."""
        return [self._part(place, rows) for place, rows in enumerate(group.parts(), group.first)]

    def _part(self, place: int, rows: Callable[[], Iterator[RowArray]]) -> PartFiles:
        (batch_id, part), tally = self.wanted.parts[place], Tally()
        results, *also = self._results(place, partial(self._rows, rows, rejected=False), tally)
        rejected = self._path("rejected", place)
        count = self._pack_errors(place, self._rows(rows, rejected=True), rejected)
        summary = tally.summary(results.packed.bytes, results.packed.sha256, count)
        for file in (results, *also):
            if file.packed.lines != summary.count:
                raise TableError(f"{summary.count} results became {file.packed.lines} in {file.path.name}")
        return PartFiles(
            batch_id, part, results.path, rejected if count else None, summary, results.format, tuple(also)
        )

    def _results(self, place: int, rows: Callable[[], Iterator[RowArray]], tally: Tally) -> Iterator[ResultsFile]:
        """The part's results in each format that is wanted, counted on the way."""
        told = self.answer.writer.lines if self.wanted.lines else self.answer.writer.outlines
        counted = tally.counted(itertools.chain.from_iterable(map(told, rows())), self.answer.kinds)
        if self.wanted.lines:
            path = self._path("results", place)
            yield ResultsFile(path, ObjectFormat.JSON_LINES, pack(counted, path, self.beat))
        if self.tables:
            path = self._path("results", place, ObjectFormat.PARQUET)
            yield ResultsFile(path, ObjectFormat.PARQUET, self.tables.write(rows(), path))
        for _ in counted:
            self.beat()

    def _pack_errors(self, place: int, rows: Iterator[RowArray], path: Path) -> int:
        """Write what X answered with an error, if it did; return how many lines that are."""
        errors = itertools.chain(
            itertools.chain.from_iterable(map(self.answer.writer.lines, rows)), self._strays_of(place)
        )
        first = next(errors, None)
        return pack(itertools.chain([first], errors), path, self.beat).lines if first else 0

    def _rows(self, pieces: Callable[[], Iterator[RowArray]], *, rejected: bool) -> Iterator[RowArray]:
        for rows in pieces():
            wanted = (rows["rank"] == REJECTED_RANK) == rejected
            yield rows if wanted.all() else pick(rows, wanted)

    def _strays_of(self, place: int) -> Iterator[Lines]:
        share = self.wanted.shares[place]
        return in_pieces(self.wanted.strays.lines(share.start, share.stop - share.start), UNTOLD)

    def _path(self, kind: str, place: int, format_: ObjectFormat = ObjectFormat.JSON_LINES) -> Path:
        batch_id, part = self.wanted.parts[place]
        return self.wanted.folder / f"{kind}-{batch_id}-{part:05d}.{format_}"
