"""X's answer about one job, given to the parts it belongs to, in bounded memory.

Lines are read once and spread over files by the value of their ID; then range by range the strongest line of each
ID is found and given to every part that holds the ID, in files that many parts share; at last group by group the
parts are told apart, and each is compressed and counted.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from complyq_producer.ids.values import IdArray
from complyq_producer.results import Rejected, Result
from complyq_workers.results.answer import read_answer
from complyq_workers.results.buckets import (
    OTHER_RANK,
    RANKS,
    REJECTED_RANK,
    BucketContent,
    Buckets,
    RowArray,
    new_rows,
)
from complyq_workers.results.groups import PartGroups, PartLines
from complyq_workers.results.index import IdIndex
from complyq_workers.results.outputs import pack
from complyq_workers.results.parse import id_number
from complyq_workers.results.parts import Beat, IdBlock, PartIds, read_parts
from complyq_workers.results.strays import StrayErrors
from complyq_workers.results.summary import PartSummary, Tally
from complyq_workers.together import Together, one_by_one

_Entry = tuple[int, int, bytes]  # an ID, the rank of the line, the line

_LINES_AT_ONCE = 8_192
_BYTES_AT_ONCE = 4 << 20
_EXAMPLES = 5
_EXAMPLE_LENGTH = 64


@dataclass(frozen=True, slots=True)
class PartFiles:
    """One part's finished objects on local disk.

    Attributes:
        batch_id: the batch the part belongs to.
        part: its number in the batch.
        results: gzip JSON lines, ascending by ID; empty inside if nothing was flagged.
        rejected: the same for what X answered with an error; None if nothing was.
        summary: counted from the two files.
    """

    batch_id: str
    part: int
    results: Path
    rejected: Path | None
    summary: PartSummary


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


def collect(
    answer: Path,
    parts: Sequence[PartIds],
    *,
    job_type: str,
    spool_dir: Path,
    together: Together = one_by_one,
    beat: Beat = lambda: None,
) -> Collection:
    """Turn X's complete answer into the results of each part.

    Args:
        answer: the downloaded file, newline-delimited JSON in any order.
        parts: the IDs the job asked about; parts of one batch are disjoint, those of several batches may overlap.
        job_type: "tweets" or "users".
        spool_dir: an existing folder on disk of this job's own. The parts' files are left in it.
        together: fetches small parts.
        beat: called every few thousand lines, to renew a lease or to stop by raising.

    Raises:
        ResultsUnreadableError: a line is damaged; nothing of the answer counts.
        PartMissingError: the store has no such part.
        PartUnreadableError: a part is not what was stored.
    """
    with TemporaryDirectory(prefix="collect-", dir=spool_dir) as name:
        folder = Path(name)
        index = IdIndex(read_parts(parts, together=together, beat=beat), len(parts), folder)
        return _Collector(parts, index, folder, job_type, beat).run(answer, spool_dir)


class _Collector:
    def __init__(self, parts: Sequence[PartIds], index: IdIndex, folder: Path, job_type: str, beat: Beat) -> None:
        self._parts = parts
        self._index = index
        self._job_type = job_type
        self._beat = beat
        self._buckets = Buckets(folder / "ranges")
        self._groups = PartGroups(index.counts, folder / "groups")
        self._strays = StrayErrors(job_type)
        self._foreign_examples: list[str] = []
        self._lines = self._foreign = self._repeated = 0
        # IDs of each part for which X gave neither a result nor an error of their own.
        self._silent = index.counts.copy()

    def run(self, answer: Path, spool_dir: Path) -> Collection:
        self._spread(read_answer(answer, self._job_type))
        for value_range, asked in enumerate(self._index.ranges()):
            self._beat()
            self._sort_out(value_range, asked)
        strays = self._strays.lines()
        files = tuple(self._finish(spool_dir, strays))
        return Collection(
            parts=files,
            lines=self._lines,
            repeated=self._repeated,
            foreign=self._foreign,
            foreign_examples=tuple(self._foreign_examples),
            unattributed=sum(1 for _ in strays),
        )

    def _spread(self, outcomes: Iterable[Result | Rejected]) -> None:
        """Pass one: every line into the bucket of its ID."""
        numbered = filter(None, map(self._numbered, outcomes))
        for batch in _batches(numbered):
            ids, ranks, lines = map(list, zip(*batch, strict=True))
            rows = new_rows(np.array(ids, np.uint64), ranks, lines)
            self._buckets.add(np.searchsorted(self._index.edges, rows["key"], side="right"), rows, lines)
            self._beat()
        self._buckets.flush()

    def _numbered(self, outcome: Result | Rejected) -> _Entry | None:
        """The line with its ID and rank, or None if it has been counted as none of ours."""
        self._lines += 1
        number = id_number(outcome.id)
        line = outcome.to_json() + b"\n"
        if number is None:
            self._set_aside(outcome.id, None if isinstance(outcome, Result) else line)
            return None
        if isinstance(outcome, Rejected):
            return number, REJECTED_RANK, line
        return number, RANKS.get(outcome.action or "", OTHER_RANK), line

    def _sort_out(self, value_range: int, asked: IdBlock) -> None:
        """Pass two: of one range of IDs the strongest lines, to every part that holds their ID."""
        with self._buckets.load(value_range) as content:
            winners = self._winners(content, asked.ids)
            answered = _is_in(asked.ids, winners["key"])
            places = asked.places[answered]
            self._groups.add(places, winners[np.searchsorted(winners["key"], asked.ids[answered])], content)
        self._silent -= np.bincount(places, minlength=len(self._silent))

    def _winners(self, content: BucketContent, asked: IdArray) -> RowArray:
        winners = content.no_rows()
        for rows in content.rows():
            known = _is_in(rows["key"], asked)
            self._set_aside_rows(content, rows[~known])
            rivals = np.concatenate([winners, rows[known]])
            winners = content.strongest(rivals)
            self._repeated += len(rivals) - len(winners)
            self._beat()
        return winners

    def _set_aside_rows(self, content: BucketContent, rows: RowArray) -> None:
        rejected = rows["rank"] == REJECTED_RANK
        for identifier in rows["key"][~rejected].tolist():
            self._set_aside(str(identifier), None)
        for line in content.lines(rows[rejected]):
            self._set_aside("", line)

    def _set_aside(self, identifier: str, error_line: bytes | None) -> None:
        """Count a line about no ID of ours: a result is foreign, an error may stand for an ID that X misread."""
        if error_line is not None:
            self._strays.add(error_line)
            return
        self._foreign += 1
        if len(self._foreign_examples) < _EXAMPLES:
            self._foreign_examples.append(identifier[:_EXAMPLE_LENGTH])

    def _finish(self, spool_dir: Path, strays: Iterator[bytes]) -> Iterator[PartFiles]:
        """Pass three: the objects of each part.

        Errors without an ID count against a job's only batch, as far as it has IDs that X said nothing about. They go
        to the first parts: which IDs they were is unknown, but that they were not checked must show.
        """
        theirs = strays if len({part.batch_id for part in self._parts}) == 1 else iter(())
        for part, found, silent in zip(self._parts, self._groups.parts(), self._silent.tolist(), strict=True):
            self._beat()
            yield self._finish_part(part, found, itertools.islice(theirs, silent), spool_dir)

    def _finish_part(self, part: PartIds, found: PartLines, strays: Iterator[bytes], spool_dir: Path) -> PartFiles:
        results, rejected = (
            spool_dir / f"{kind}-{part.batch_id}-{part.part:05d}.jsonl.gz" for kind in ("results", "rejected")
        )
        tally = Tally()
        packed = pack(tally.counted(found.results()), results, self._beat)
        errors = itertools.chain(found.rejected(), strays)
        first_error = next(errors, None)
        if first_error is None:
            return PartFiles(part.batch_id, part.part, results, None, tally.summary(packed.bytes, packed.sha256, 0))
        count = pack(itertools.chain([first_error], errors), rejected, self._beat).lines
        return PartFiles(part.batch_id, part.part, results, rejected, tally.summary(packed.bytes, packed.sha256, count))


def _batches(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    """Entries, a few thousand and at most about 4 MB at a time."""
    batch: list[_Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry[2])
        if len(batch) == _LINES_AT_ONCE or size > _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _is_in(values: IdArray, sorted_ids: IdArray) -> npt.NDArray[np.bool_]:
    """Which of the values are among the sorted IDs."""
    if not len(sorted_ids):
        return np.zeros(len(values), bool)
    places = np.minimum(np.searchsorted(sorted_ids, values), len(sorted_ids) - 1)
    return np.equal(sorted_ids[places], values)
