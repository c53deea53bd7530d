"""A second process that shares the work of collecting a large answer.

A worker's own threads could not: what Python does between the calls of numpy, and the memory that these take and give
back, would have them wait for each other most of the time.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from complyq_workers.results.answer import Piece
from complyq_workers.results.answer_rows import Told
from complyq_workers.results.child import ChildError, ChildProcess
from complyq_workers.results.chunks import StoredChunks
from complyq_workers.results.finishing import PartFiles, Wanted
from complyq_workers.results.index import IdIndex
from complyq_workers.results.sorting import SortedOut

SHARE = 1
"""The number of the process; the worker itself is number 0."""

_LARGE_BYTES = 64 << 20  # below that it would hardly have started when all is done


class Helper:
    """The process, if there is one: it is started when the answer turns out to be large.

    Of what it is asked for it raises what doing the same here would raise, and ChildError if it ended.
    """

    def __init__(self, job_type: str, folder: Path) -> None:
        """Start nothing yet.

        Args:
            job_type: "tweets" or "users".
            folder: of the answer's rows: see `AnswerRows`.
        """
        self._begin = job_type, folder
        self._process: ChildProcess | None = None
        self._begun = False

    @property
    def is_there(self) -> bool:
        """Whether it was started."""
        return self._process is not None

    def expect(self, answer_bytes: int) -> None:
        """Start it if so large an answer is worth it, and this worker may use two processors."""
        if self._process is None and answer_bytes >= _LARGE_BYTES and _processors() > 1:
            self._process = ChildProcess("complyq_workers.results.helping", "the process that helps to collect")

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process:
            self._process.close()

    def read(self, answer: Path, piece: Piece) -> None:
        """Have a piece of the answer read."""
        self._ask("read", answer, piece)

    def exchange(self, told: Told) -> Told:
        """Tell it what was read here, and ask what was read there."""
        return cast("Told", self._ask("exchange", told))

    def sort_out(self, index: IdIndex, ranges: range, groups: Path) -> SortedOut:
        """Have ranges of IDs sorted out; what is found goes to a new file."""
        return cast("SortedOut", self._ask("sort_out", index, ranges, groups))

    def open(self, rows: Sequence[StoredChunks], wanted: Wanted) -> None:
        """Have it get ready to finish parts."""
        self._ask("open", rows, wanted)

    def finish(self, number: int) -> list[PartFiles]:
        """Have the parts of a group finished."""
        return cast("list[PartFiles]", self._ask("finish", number))

    def _ask(self, what: str, *about: object) -> object:
        if self._process is None:
            raise ChildError("the process that helps to collect was not started")
        if not self._begun:
            self._begun = True  # what it takes to begin, it takes while others work
            self._process.ask(("begin", self._begin))
        return cast("object", self._process.ask((what, about)))


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # other systems have no such function
        return os.cpu_count() or 1
