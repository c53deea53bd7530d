"""X's answer as rows on disk: read once, from its first line to its last, before anybody needs to know whose IDs they are."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from complyq_producer.ids.values import IdArray
from complyq_workers.results.answer import WHOLE, Piece, Reader, Said, read_blocks
from complyq_workers.results.chunks import Chunks, StoredChunks, Stretches
from complyq_workers.results.kinds import Kind, Kinds
from complyq_workers.results.lines import RowArray
from complyq_workers.results.parts import Beat
from complyq_workers.results.shapes import Shape, Shapes
from complyq_workers.results.strays import ForeignIds, StrayErrors
from complyq_workers.results.writing import LineWriter


@dataclass(frozen=True, slots=True)
class Told:
    """What a process has read of an answer, for another one: see `AnswerRows`."""

    shares: list[int]
    rows: list[StoredChunks]
    kinds: Mapping[int, Kind]
    shapes: Mapping[int, Shape]
    strays: StrayErrors
    foreign: ForeignIds
    count: int


class AnswerRows:
    """What X's answer says, line for line, to be asked for by ranges of IDs.

    Attributes:
        job_type: "tweets" or "users".
        kinds: what lines say.
        shapes: how most of them are written.
        odd_lines: how the names of files begin with those that are written otherwise.
        writer: gives the text of rows.
        strays: errors that name no ID.
        foreign: results whose ID can be none of ours.
        count: lines of X that were not blank.
    """

    def __init__(self, job_type: str, folder: Path, share: int = 0) -> None:
        """Make files in an existing folder on disk.

        Args:
            job_type: "tweets" or "users".
            folder: of this answer alone; processes that read it together have the same one.
            share: the number of this process among these.
        """
        self.job_type = job_type
        self.kinds = Kinds(share)
        self.shapes = Shapes(job_type, self.kinds, share)
        self.odd_lines = folder / "answer.odd"
        self.writer = LineWriter(self.shapes, self.odd_lines, share)
        self.strays = StrayErrors(job_type)
        self.foreign = ForeignIds()
        self.count = 0
        self._reader = Reader(job_type, self.kinds, self.shapes)
        self._chunks = Chunks(folder / f"answer.rows-{share}", np.uint64)
        self._others: list[StoredChunks] = []
        self._opened = ExitStack()

    def close(self) -> None:
        """Close the files."""
        self._opened.close()
        self._chunks.close()
        self.writer.close()

    def read(self, answer: Path, beat: Beat = lambda: None) -> None:
        """Read the answer, newline-delimited JSON in any order; once.

        Args:
            answer: the complete file.
            beat: called every few megabytes, to renew a lease or to stop by raising.

        Raises:
            ResultsUnreadableError: a line is damaged; nothing of the answer counts.
        """
        self.read_piece(answer, WHOLE, beat)

    def read_piece(self, answer: Path, piece: Piece, beat: Beat) -> None:
        """Read a piece of the answer; others read the others."""
        for block in read_blocks(answer, piece):
            beat()
            self._take(self._reader.read(block))

    def told(self) -> Told:
        """All that was read, for another process."""
        self.writer.flush()
        return Told(
            self.writer.shares(),
            [self._chunks.stored()],
            self.kinds.pairs(),
            self.shapes.learned(),
            deepcopy(self.strays),  # what others have read may be added before this is sent
            deepcopy(self.foreign),
            self.count,
        )

    def learn(self, told: Told) -> None:
        """Add what another process has read."""
        self.writer.learn(told.shares)
        self._others += told.rows
        self.kinds.learn(told.kinds)
        self.shapes.learn(told.shapes)
        self.strays.join(told.strays)
        self.foreign.join(told.foreign)
        self.count += told.count

    @property
    def rows_stored(self) -> int:
        """How many lines are to be asked for."""
        return sum(file.rows for file in self._files())

    def cut(self, edges: IdArray) -> None:
        """Divide the answer by ID: range n ends before `edges[n]`, the last one is open."""
        self._stretches = self._opened.enter_context(closing(Stretches(self._files(), edges)))

    def rows(self, value_range: int) -> Iterator[RowArray]:
        """What is said about the IDs of a range, in no particular order, 32,768 lines at most at a time."""
        return self._stretches.rows(value_range)

    def _files(self) -> list[StoredChunks]:
        return [self._chunks.stored(), *self._others]

    def _take(self, said: Said) -> None:
        self.count += said.lines
        for line in said.strays:
            self.strays.add(line)
        self.foreign.add(said.foreign)
        for rows in (said.rows, self.writer.keep(said.odd)):
            self._chunks.add(rows["id"], rows)
