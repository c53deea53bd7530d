"""The rows of each part, gathered in a file that many parts share: no file is opened for each part and range."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from complyq_workers.results.chunks import Chunks, StoredChunks, Stretches
from complyq_workers.results.lines import RowArray, joined, pick
from complyq_workers.results.parts import PlaceArray
from complyq_workers.results.rows import NO_ROWS

_GROUP_IDS = 32_768


class PartGroups:
    """Groups of parts that follow each other and ask for few enough IDs to be told apart in memory.

    A part that asks for more is a group of its own, whose rows are in order as they come.

    Attributes:
        count: how many groups there are.
    """

    def __init__(self, counts: npt.NDArray[np.int64], path: Path) -> None:
        """Group parts by how many IDs each of them holds; rows go to a new file."""
        self._bounds = [*_first_places(counts), len(counts)]
        self.count = len(self._bounds) - 1
        self._group_of = np.repeat(np.arange(self.count, dtype=np.uint16), np.diff(self._bounds))
        self._files = ExitStack()
        self._chunks = self._files.enter_context(closing(Chunks(path, np.uint16, in_order=True)))

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def add(self, places: PlaceArray, rows: RowArray) -> None:
        """Give each part at `places` its row; called with ever higher IDs."""
        rows["place"] = places
        self._chunks.add(self._group_of[places], rows)

    def stored(self) -> StoredChunks:
        """What was added."""
        return self._chunks.stored()

    def open(self, files: Sequence[StoredChunks]) -> None:
        """Have the rows of groups read from these files, in each of which are higher IDs than in the one before."""
        edges = np.arange(1, self.count, dtype=np.uint16)
        self._stretches = self._files.enter_context(closing(Stretches(files, edges)))

    def group(self, number: int) -> "PartGroup":
        """One of the groups, which are in order of their parts."""
        first, end = self._bounds[number : number + 2]
        return PartGroup(first, end, partial(self._stretches.rows, number))


@dataclass(frozen=True, slots=True)
class PartGroup:
    """Parts from place `first` to before place `end`, and how to read their rows."""

    first: int
    end: int
    rows: Callable[[], Iterator[RowArray]]

    def parts(self) -> list[Callable[[], Iterator[RowArray]]]:
        """For each part, how to read its rows, ascending by ID; may be read again."""
        if self.end - self.first == 1:
            return [self.rows]
        # The sort is stable, so that each part's rows stay in order.
        rows = joined([NO_ROWS, *self.rows()])
        rows = pick(rows, np.argsort(rows["place"], kind="stable"))
        cuts = np.searchsorted(rows["place"], np.arange(self.first, self.end + 1)).tolist()
        return [partial(iter, [rows[start:end]]) for start, end in pairwise(cuts)]


def _first_places(counts: npt.NDArray[np.int64]) -> list[int]:
    """Where each group begins."""
    firsts: list[int] = []
    room = 0
    for place, count in enumerate(counts.tolist()):
        if count > room or not firsts:
            firsts.append(place)
            room = _GROUP_IDS
        room -= count
    return firsts
