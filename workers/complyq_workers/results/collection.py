"""X's answer about one job, given to the parts it belongs to, in bounded memory.

Lines are read once and kept on disk as rows that are sorted chunk by chunk, while the IDs are read that were asked for;
then range by range of IDs the strongest line of each is found and given to every part that holds the ID, in a file that
many parts share; at last group by group the parts are told apart, and each is compressed and counted.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from complyq_config.settings import ResultsFormat
from complyq_producer.ids.values import IdArray
from complyq_producer.model import ObjectFormat
from complyq_workers.results.answer_rows import AnswerRows
from complyq_workers.results.groups import PartGroup, PartGroups
from complyq_workers.results.index import IdIndex
from complyq_workers.results.kinds import REJECTED_RANK, UNTOLD
from complyq_workers.results.lines import Lines, RowArray, in_pieces, joined, pick
from complyq_workers.results.outputs import Packed, pack
from complyq_workers.results.parts import Beat, PartIds, PlaceArray, read_parts
from complyq_workers.results.rows import NO_ROWS
from complyq_workers.results.strongest import strongest
from complyq_workers.results.summary import PartSummary, Tally
from complyq_workers.results.table_process import Begin, TableError, TableProcess
from complyq_workers.together import Together, ahead, one_by_one


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
class Collection:
    """What became of X's answer.

    Attributes:
        parts: files and summary of each part, in the order they were asked for.
        lines: lines of X that were not blank.
        repeated: lines that lost to another one about the same ID.
        foreign: lines about IDs that nobody asked for; they were dropped.
        foreign_examples: the first of those IDs.
        unattributed: errors that name none of our IDs and could not be given to a batch.
    """

    parts: tuple[PartFiles, ...]
    lines: int
    repeated: int
    foreign: int
    foreign_examples: tuple[str, ...]
    unattributed: int


def index_ids(
    parts: Sequence[PartIds], folder: Path, *, together: Together = one_by_one, beat: Beat = lambda: None
) -> IdIndex:
    """Read the IDs of all parts, for `collect`; their files are left in `folder`.

    Args:
        parts: the IDs the job asked about; parts of one batch are disjoint, those of several batches may overlap.
        folder: an existing folder on disk of this job's own.
        together: fetches small parts.
        beat: called every few hundred thousand IDs, to renew a lease or to stop by raising.

    Raises:
        PartMissingError: the store has no such part.
        PartUnreadableError: a part is not what was stored.
    """
    return IdIndex(read_parts(parts, together=together, beat=beat), len(parts), folder)


def collect(
    answer: AnswerRows,
    parts: Sequence[PartIds],
    index: IdIndex,
    *,
    spool_dir: Path,
    results_format: ResultsFormat = "jsonl",
    beat: Beat = lambda: None,
) -> Collection:
    """Turn X's complete answer into the results of each part.

    Args:
        answer: what X said; it has been read.
        parts: what the job asked about.
        index: the IDs of these parts.
        spool_dir: an existing folder on disk of this job's own. The parts' files are left in it.
        results_format: what results are to be stored as; all but "jsonl" needs pyarrow.
        beat: called every few megabytes, to renew a lease or to stop by raising.

    Raises:
        TableError: results could not be written as Parquet.
    """
    with TemporaryDirectory(prefix="collect-", dir=spool_dir) as name, ExitStack() as files:
        folder = Path(name)
        wanted = _Wanted(results_format, spool_dir, folder, files)
        return _Collector(answer, parts, index, folder, files, beat).run(wanted)


class _Wanted:
    """What results are to be stored as, and where the files go."""

    def __init__(self, results_format: ResultsFormat, spool_dir: Path, folder: Path, files: ExitStack) -> None:
        self.spool_dir = spool_dir
        self.lines = results_format != "parquet"
        self.tables = files.enter_context(closing(TableProcess(folder))) if results_format != "jsonl" else None


@dataclass(frozen=True, slots=True)
class _Range:
    """What counts of the answer about a range of IDs.

    Attributes:
        places: of the parts that ask for them, and
        rows: what each of these gets, ascending by ID.
        repeated: how many rows lost to others.
        unasked: rows about IDs of nobody, as they were read.
    """

    places: PlaceArray
    rows: RowArray
    repeated: int
    unasked: list[RowArray]


class _Collector:
    def __init__(
        self,
        answer: AnswerRows,
        parts: Sequence[PartIds],
        index: IdIndex,
        folder: Path,
        files: ExitStack,
        beat: Beat,
    ) -> None:
        self._answer = answer
        self._parts = parts
        self._index = index
        self._beat = beat
        self._groups = files.enter_context(closing(PartGroups(index.counts, folder / "groups")))
        self._repeated = 0
        # IDs of each part for which X gave neither a result nor an error of their own.
        self._silent = index.counts.copy()

    def run(self, wanted: _Wanted) -> Collection:
        answer = self._answer
        answer.cut(self._index.edges)
        for found in ahead(self._sorted_out, range(self._index.ranges)):
            self._beat()
            self._take(found)
        shares = self._shares()
        self._begin_tables(wanted.tables)
        finish = _Finish(self._parts, answer, shares, wanted, self._beat)
        files = tuple(itertools.chain.from_iterable(ahead(finish.group, self._groups.groups())))
        return Collection(
            parts=files,
            lines=answer.count,
            repeated=self._repeated,
            foreign=answer.foreign.total,
            foreign_examples=answer.foreign.examples,
            unattributed=answer.strays.total - shares[-1].stop if shares else 0,
        )

    def _sorted_out(self, value_range: int) -> _Range:
        """Of one range of IDs the strongest lines, for every part that holds their ID."""
        asked = self._index.load(value_range)
        winners, repeated, unasked = self._winners(value_range, asked.ids)
        firsts, ends = (np.searchsorted(asked.ids, winners["id"], side=side) for side in ("left", "right"))
        holders = ends - firsts
        if (holders == 1).all():
            return _Range(asked.places[firsts], winners, repeated, unasked)
        # Of each winner all places from its first one on: a running number, less what ran before.
        shared = np.repeat(np.arange(len(winners)), holders)
        before = np.cumsum(holders) - holders
        places = asked.places[np.arange(len(shared)) + (firsts - before)[shared]]
        return _Range(places, pick(winners, shared), repeated, unasked)

    def _winners(self, value_range: int, asked: IdArray) -> tuple[RowArray, int, list[RowArray]]:
        winners, repeated, unasked = NO_ROWS, 0, []
        for rows in self._answer.rows(value_range):
            known = _is_in(rows["id"], asked)
            if known.all():
                ours = rows
            else:
                ours = pick(rows, known)
                unasked.append(pick(rows, ~known))
            rivals = joined([winners, ours]) if len(winners) else ours
            winners = strongest(rivals, self._answer.writer)
            repeated += len(rivals) - len(winners)
            self._beat()
        return winners, repeated, unasked

    def _take(self, found: _Range) -> None:
        self._groups.add(found.places, found.rows)
        self._silent -= np.bincount(found.places, minlength=len(self._silent))
        self._repeated += found.repeated
        for rows in found.unasked:
            self._set_aside(rows)

    def _set_aside(self, rows: RowArray) -> None:
        """Count lines about no ID of ours: results are foreign, errors may stand for IDs that X misread."""
        rejected = rows["rank"] == REJECTED_RANK
        self._answer.foreign.add([str(identifier) for identifier in rows["id"][~rejected].tolist()])
        for piece in self._answer.writer.lines(pick(rows, rejected)):
            for line in piece.data.tobytes().splitlines(keepends=True):
                self._answer.strays.add(line)

    def _begin_tables(self, tables: TableProcess | None) -> None:
        """Tell what rows refer to."""
        if tables:
            answer = self._answer
            answer.writer.flush()
            tables.begin(Begin(answer.job_type, answer.kinds.pairs(), answer.shapes.learned(), answer.odd_lines))

    def _shares(self) -> list[slice]:
        """Which of the errors without an ID count against each part.

        They count against a job's only batch, as far as it has IDs that X said nothing about. They go to the first
        parts: which IDs they were is unknown, but that they were not checked must show.
        """
        theirs = self._answer.strays.total if len({part.batch_id for part in self._parts}) == 1 else 0
        ends = np.minimum(np.cumsum(self._silent), theirs).tolist()
        return [slice(first, end) for first, end in pairwise([0, *ends])]


@dataclass(frozen=True, slots=True)
class _Finish:
    """Pass three: the objects of each part."""

    parts: Sequence[PartIds]
    answer: AnswerRows
    shares: list[slice]
    wanted: _Wanted
    beat: Beat

    def group(self, group: PartGroup) -> list[PartFiles]:
        return [self._part(place, rows) for place, rows in enumerate(group.parts(), group.first)]

    def _part(self, place: int, rows: Callable[[], Iterator[RowArray]]) -> PartFiles:
        part, tally = self.parts[place], Tally()
        results, *also = self._results(place, partial(self._rows, rows, rejected=False), tally)
        rejected = self._path("rejected", place)
        count = self._pack_errors(place, self._rows(rows, rejected=True), rejected)
        summary = tally.summary(results.packed.bytes, results.packed.sha256, count)
        for file in (results, *also):
            if file.packed.lines != summary.count:
                raise TableError(f"{summary.count} results became {file.packed.lines} in {file.path.name}")
        return PartFiles(
            part.batch_id, part.part, results.path, rejected if count else None, summary, results.format, tuple(also)
        )

    def _results(self, place: int, rows: Callable[[], Iterator[RowArray]], tally: Tally) -> Iterator[ResultsFile]:
        """The part's results in each format that is wanted, counted on the way."""
        told = self.answer.writer.lines if self.wanted.lines else self.answer.writer.outlines
        counted = tally.counted(itertools.chain.from_iterable(map(told, rows())), self.answer.kinds)
        if self.wanted.lines:
            path = self._path("results", place)
            yield ResultsFile(path, ObjectFormat.JSON_LINES, pack(counted, path, self.beat))
        if self.wanted.tables:
            path = self._path("results", place, ObjectFormat.PARQUET)
            yield ResultsFile(path, ObjectFormat.PARQUET, self.wanted.tables.write(rows(), path))
        for _ in counted:
            self.beat()

    def _pack_errors(self, place: int, rows: Iterator[RowArray], path: Path) -> int:
        """Write what X answered with an error, if it did; return how many lines that are."""
        errors = itertools.chain(
            itertools.chain.from_iterable(map(self.answer.writer.lines, rows)), self._strays(place)
        )
        first = next(errors, None)
        return pack(itertools.chain([first], errors), path, self.beat).lines if first else 0

    def _rows(self, pieces: Callable[[], Iterator[RowArray]], *, rejected: bool) -> Iterator[RowArray]:
        for rows in pieces():
            wanted = (rows["rank"] == REJECTED_RANK) == rejected
            yield rows if wanted.all() else pick(rows, wanted)

    def _strays(self, place: int) -> Iterator[Lines]:
        share = self.shares[place]
        return in_pieces(self.answer.strays.lines(share.start, share.stop - share.start), UNTOLD)

    def _path(self, kind: str, place: int, format_: ObjectFormat = ObjectFormat.JSON_LINES) -> Path:
        part = self.parts[place]
        return self.wanted.spool_dir / f"{kind}-{part.batch_id}-{part.part:05d}.{format_}"


def _is_in(values: IdArray, sorted_ids: IdArray) -> npt.NDArray[np.bool_]:
    """Which of the values are among the sorted IDs."""
    if not len(sorted_ids):
        return np.zeros(len(values), bool)
    places = np.minimum(np.searchsorted(sorted_ids, values), len(sorted_ids) - 1)
    return np.equal(sorted_ids[places], values)
