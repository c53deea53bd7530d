"""X's answer about one job, given to the parts it belongs to, in bounded memory.

Lines are read once and kept on disk as rows that are sorted chunk by chunk, while the IDs are read that were asked for;
then range by range of IDs the strongest line of each is found and given to every part that holds the ID, in a file that
many parts share; at last group by group the parts are told apart, and each is compressed and counted.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from complyq_workers.results.allocation import keep_freed_memory
from complyq_workers.results.answer import pieces
from complyq_workers.results.child import ChildError
from complyq_workers.results.finishing import Finish, Wanted
from complyq_workers.results.groups import PartGroups
from complyq_workers.results.index import IdIndex
from complyq_workers.results.parts import read_parts
from complyq_workers.results.sorting import Sorter
from complyq_workers.results.table_process import Begin, TableProcess
from complyq_workers.together import ahead, at_once, one_by_one, shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from complyq_config.settings import ResultsFormat
    from complyq_workers.results.answer_rows import AnswerRows
    from complyq_workers.results.chunks import StoredChunks
    from complyq_workers.results.finishing import PartFiles
    from complyq_workers.results.helper import Helper
    from complyq_workers.results.lines import IntArray
    from complyq_workers.results.parts import Beat, PartIds
    from complyq_workers.results.sorting import SortedOut
    from complyq_workers.together import Together


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


def read_answer(answer: AnswerRows, path: Path, *, helper: Helper | None = None, beat: Beat = lambda: None) -> None:
    """Read X's complete answer, newline-delimited JSON in any order; once.

    Args:
        answer: takes what it says.
        path: the file.
        helper: reads some pieces of it, if it is there.
        beat: called every few megabytes, to renew a lease or to stop by raising.

    Raises:
        ResultsUnreadableError: a line is damaged; nothing of the answer counts.
        ChildError: the helper failed.
    """
    keep_freed_memory()
    if helper is None or not helper.is_there:
        answer.read(path, beat)
        return
    here = partial(answer.read_piece, path, beat=beat)
    shared(here, partial(helper.read, path), pieces(path), beat=beat, stop=helper.close)
    answer.learn(helper.exchange(answer.told()))


def collect(
    answer: AnswerRows,
    parts: Sequence[PartIds],
    index: IdIndex,
    *,
    spool_dir: Path,
    results_format: ResultsFormat = "jsonl",
    helper: Helper | None = None,
    beat: Beat = lambda: None,
) -> Collection:
    """Turn X's complete answer into the results of each part.

    Args:
        answer: what X said; it has been read.
        parts: what the job asked about.
        index: the IDs of these parts.
        spool_dir: an existing folder on disk of this job's own. The parts' files are left in it.
        results_format: what results are to be stored as; all but "jsonl" needs pyarrow.
        helper: does a share of the work, if it has read a share of the answer.
        beat: called every few megabytes, to renew a lease or to stop by raising.

    Raises:
        ChildError: a process that was needed ended, or results could not be written as Parquet.
    """
    with TemporaryDirectory(prefix="collect-", dir=spool_dir) as name, ExitStack() as files:
        folder = Path(name)
        tables = files.enter_context(closing(TableProcess(folder))) if results_format != "jsonl" else None
        groups = files.enter_context(closing(PartGroups(index.counts, folder / "groups")))
        collector = _Collector(answer, parts, index, groups, helper if helper and helper.is_there else None, beat)
        return collector.run(spool_dir, tables, folder / "groups-of-helper", lines=results_format != "parquet")


@dataclass(frozen=True, slots=True)
class _Collector:
    answer: AnswerRows
    parts: Sequence[PartIds]
    index: IdIndex
    groups: PartGroups
    helper: Helper | None
    beat: Beat

    def run(self, results: Path, tables: TableProcess | None, more_groups: Path, *, lines: bool) -> Collection:
        shares = self._sorted_out(more_groups)
        wanted = self._wanted(shares, results, lines=lines)
        rows = [share.rows for share in shares]
        self.groups.open(rows)
        files = self._with_tables(wanted, tables) if tables else self._in_lines(wanted, rows)
        return Collection(
            parts=tuple(itertools.chain.from_iterable(files)),
            lines=self.answer.count,
            repeated=sum(share.repeated for share in shares),
            foreign=self.answer.foreign.total,
            foreign_examples=self.answer.foreign.examples,
            unattributed=self.answer.strays.total - wanted.shares[-1].stop if wanted.shares else 0,
        )

    def _sorted_out(self, more_groups: Path) -> list[SortedOut]:
        """What each process found: this one about the lower half of the IDs, if there is another one."""
        ranges, sorter = range(self.index.ranges), Sorter(self.answer, self.index, self.groups, self.beat)
        if self.helper is None:
            found = [sorter.run(ranges)]
        else:
            lower, upper = ranges[: len(ranges) // 2], ranges[len(ranges) // 2 :]
            there = partial(self.helper.sort_out, self.index, upper, more_groups)
            found = list(at_once(partial(sorter.run, lower), there, beat=self.beat, stop=self.helper.close))
        for share in found:
            self.answer.strays.join(share.strays)
            self.answer.foreign.join(share.foreign)
        if sum(share.read for share in found) != self.answer.rows_stored:
            raise ChildError(f"of {self.answer.rows_stored} lines {sum(share.read for share in found)} were sorted out")
        return found

    def _wanted(self, found: Sequence[SortedOut], results: Path, *, lines: bool) -> Wanted:
        # IDs of each part for which X gave neither a result nor an error of their own.
        silent = self.index.counts - np.sum([share.answered for share in found], axis=0)
        names = [(part.batch_id, part.part) for part in self.parts]
        return Wanted(names, self.answer.strays, self._shares(silent), results, lines)

    def _in_lines(self, wanted: Wanted, rows: list[StoredChunks]) -> Iterable[list[PartFiles]]:
        here = Finish(wanted, self.answer, self.beat)
        numbers = range(self.groups.count)
        if self.helper is None:
            return ahead(lambda number: here.group(self.groups.group(number)), numbers)
        self.helper.open(rows, wanted)
        return shared(
            lambda number: here.group(self.groups.group(number)),
            self.helper.finish,
            numbers,
            beat=self.beat,
            stop=self.helper.close,
        )

    def _with_tables(self, wanted: Wanted, tables: TableProcess) -> Iterable[list[PartFiles]]:
        """Only this process has tables written: two that do would take too much memory."""
        answer = self.answer
        answer.writer.flush()
        tables.begin(
            Begin(
                answer.job_type, answer.kinds.pairs(), answer.shapes.learned(), answer.odd_lines, answer.writer.shares()
            )
        )
        here = Finish(wanted, answer, self.beat, tables)
        return ahead(lambda number: here.group(self.groups.group(number)), range(self.groups.count))

    def _shares(self, silent: IntArray) -> list[slice]:
        """Which of the errors without an ID count against each part.

        They count against a job's only batch, as far as it has IDs that X said nothing about. They go to the first
        parts: which IDs they were is unknown, but that they were not checked must show.
        """
        theirs = self.answer.strays.total if len({part.batch_id for part in self.parts}) == 1 else 0
        ends = np.minimum(np.cumsum(silent), theirs).tolist()
        return [slice(first, end) for first, end in pairwise([0, *ends])]
