"""X's answer as rows on disk: read once, from its first line to its last, before anybody needs to know whose IDs they are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from complyq_producer.ids.values import IdArray
from complyq_workers.results.answer import Reader, Said, read_blocks
from complyq_workers.results.chunks import Chunks
from complyq_workers.results.kinds import Kinds
from complyq_workers.results.lines import RowArray
from complyq_workers.results.parts import Beat
from complyq_workers.results.shapes import Shapes
from complyq_workers.results.strays import ForeignIds, StrayErrors
from complyq_workers.results.writing import LineWriter
from complyq_workers.together import ahead


class AnswerRows:
    """What X's answer says, line for line, to be asked for by ranges of IDs.

    Attributes:
        job_type: "tweets" or "users".
        kinds: what lines say.
        shapes: how most of them are written.
        odd_lines: the file of those that are written otherwise.
        writer: gives the text of rows.
        strays: errors that name no ID.
        foreign: results whose ID can be none of ours.
        count: lines of X that were not blank.
    """

    def __init__(self, job_type: str, folder: Path) -> None:
        """Make files in an existing folder on disk, which is of this answer alone."""
        self.job_type = job_type
        self.kinds = Kinds()
        self.shapes = Shapes(job_type, self.kinds)
        self.odd_lines = folder / "answer.odd"
        self.writer = LineWriter(self.shapes, self.odd_lines)
        self.strays = StrayErrors(job_type)
        self.foreign = ForeignIds()
        self.count = 0
        self._chunks = Chunks(folder / "answer.rows", np.uint64)

    def close(self) -> None:
        """Close the files."""
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
        reader = Reader(self.job_type, self.kinds, self.shapes)
        for said in ahead(reader.read, read_blocks(answer)):
            beat()
            self._take(said)

    def cut(self, edges: IdArray) -> None:
        """Divide the answer by ID: range n ends before `edges[n]`, the last one is open."""
        self._chunks.cut(edges)

    def rows(self, value_range: int) -> Iterator[RowArray]:
        """What is said about the IDs of a range, in no particular order, 32,768 lines at most at a time."""
        return self._chunks.rows(value_range)

    def _take(self, said: Said) -> None:
        self.count += said.lines
        for line in said.strays:
            self.strays.add(line)
        self.foreign.add(said.foreign)
        for rows in (said.rows, self.writer.keep(said.odd)):
            self._chunks.add(rows["id"], rows)
