"""X's answer about one job, given to the parts it belongs to, in bounded memory.

Lines are read once and spread over files by the value of their ID; then range by range the strongest line of each
ID is found and appended to every part that holds the ID; at last each part is compressed and counted.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from complyq_producer.results import Rejected, Result
from complyq_workers.results.answer import read_answer
from complyq_workers.results.buckets import OTHER_RANK, RANKS, REJECTED_RANK, BucketContent, Buckets, RowArray
from complyq_workers.results.index import IdArray, IdIndex, PartIds
from complyq_workers.results.outputs import append_lines, compress
from complyq_workers.results.parse import id_number
from complyq_workers.results.strays import StrayErrors
from complyq_workers.results.summary import Opener, PartSummary, summarize

Beat = Callable[[], None]
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
    answer: Path, parts: Sequence[PartIds], *, job_type: str, spool_dir: Path, beat: Beat = lambda: None
) -> Collection:
    """Turn X's complete answer into the results of each part.

    Args:
        answer: the downloaded file, newline-delimited JSON in any order.
        parts: the IDs the job asked about; parts of one batch are disjoint, those of several batches may overlap.
        job_type: "tweets" or "users".
        spool_dir: an existing folder on disk of this job's own. The parts' files are left in it.
        beat: called every few thousand lines, to renew a lease or to stop by raising.

    Raises:
        ResultsUnreadableError: a line is damaged; nothing of the answer counts.
        PartUnreadableError: a part is not what was stored.
    """
    with TemporaryDirectory(prefix="collect-", dir=spool_dir) as folder, IdIndex(parts, Path(folder)) as index:
        return _Collector(parts, index, Path(folder), job_type, beat).run(answer, spool_dir)


class _Collector:
    def __init__(self, parts: Sequence[PartIds], index: IdIndex, folder: Path, job_type: str, beat: Beat) -> None:
        self._parts = parts
        self._index = index
        self._folder = folder
        self._job_type = job_type
        self._beat = beat
        self._buckets = Buckets(folder, index.edges)
        self._strays = StrayErrors(job_type)
        self._foreign_examples: list[str] = []
        self._lines = self._foreign = self._repeated = self._unattributed = 0
        # IDs of each part for which X gave neither a result nor an error of their own.
        self._silent = list(index.counts)

    def run(self, answer: Path, spool_dir: Path) -> Collection:
        self._spread(read_answer(answer, self._job_type))
        for value_range in range(self._index.ranges):
            self._beat()
            self._sort_out(value_range)
        self._share_strays()
        return Collection(
            parts=tuple(self._finish(number, spool_dir) for number in range(len(self._parts))),
            lines=self._lines,
            repeated=self._repeated,
            foreign=self._foreign,
            foreign_examples=tuple(self._foreign_examples),
            unattributed=self._unattributed,
        )

    def _spread(self, outcomes: Iterable[Result | Rejected]) -> None:
        """Pass one: every line into the bucket of its ID."""
        numbered = filter(None, map(self._numbered, outcomes))
        for batch in _batches(numbered):
            ids, ranks, lines = map(list, zip(*batch, strict=True))
            self._buckets.add(ids, ranks, lines)
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

    def _sort_out(self, value_range: int) -> None:
        """Pass two: of one range of IDs the strongest lines, to every part that holds their ID."""
        content = self._buckets.load(value_range)
        if content is None:
            return
        ids_by_part = {part: ids for part in range(len(self._parts)) if len(ids := self._index.ids(part, value_range))}
        asked = np.unique(np.concatenate([np.empty(0, np.uint64), *ids_by_part.values()]))
        with content:
            winners = self._winners(content, asked)
            for part, ids in ids_by_part.items():
                self._append(part, content, winners[_is_in(winners["id"], ids)])

    def _winners(self, content: BucketContent, asked: IdArray) -> RowArray:
        winners = content.no_rows()
        for rows in content.rows():
            known = _is_in(rows["id"], asked)
            self._set_aside_rows(content, rows[~known])
            rivals = np.concatenate([winners, rows[known]])
            winners = content.strongest(rivals)
            self._repeated += len(rivals) - len(winners)
            self._beat()
        return winners

    def _append(self, part: int, content: BucketContent, rows: RowArray) -> None:
        rejected = rows["rank"] == REJECTED_RANK
        for kind, chosen in (("results", rows[~rejected]), ("rejected", rows[rejected])):
            if len(chosen):
                append_lines(self._plain(part, kind), content.lines(chosen))
        self._silent[part] -= len(rows)

    def _set_aside_rows(self, content: BucketContent, rows: RowArray) -> None:
        rejected = rows["rank"] == REJECTED_RANK
        for identifier in rows["id"][~rejected].tolist():
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

    def _share_strays(self) -> None:
        """Count errors without an ID against a job's only batch, as far as it has IDs that X said nothing about.

        They go to the first parts: which IDs they were is unknown, but that they were not checked must show.
        """
        self._unattributed = self._strays.total
        if len({part.batch_id for part in self._parts}) > 1:
            return
        lines = self._strays.lines()
        for part, silent in enumerate(self._silent):
            given = min(silent, self._unattributed)
            if given:
                append_lines(self._plain(part, "rejected"), itertools.islice(lines, given))
            self._unattributed -= given

    def _finish(self, number: int, spool_dir: Path) -> PartFiles:
        """Pass three: one part's objects."""
        self._beat()
        part = self._parts[number]
        paths = {
            kind: spool_dir / f"{kind}-{part.batch_id}-{part.part:05d}.jsonl.gz" for kind in ("results", "rejected")
        }
        has_rejected = self._plain(number, "rejected").exists()
        compress(self._plain(number, "results"), paths["results"])
        if has_rejected:
            compress(self._plain(number, "rejected"), paths["rejected"])
        rejected = paths["rejected"] if has_rejected else None
        summary = summarize(_opener(paths["results"]), _opener(rejected) if rejected else None)
        return PartFiles(part.batch_id, part.part, paths["results"], rejected, summary)

    def _plain(self, part: int, kind: str) -> Path:
        return self._folder / f"{kind}-{part:05d}.jsonl"


def _opener(path: Path) -> Opener:
    return lambda: path.open("rb")


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
