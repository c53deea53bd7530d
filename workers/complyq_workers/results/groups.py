"""The lines of each part, gathered in files that many parts share: no file is opened for each part and range."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from complyq_workers.results.buckets import REJECTED_RANK, BucketContent, Buckets, RowArray, new_rows
from complyq_workers.results.parts import PlaceArray

_GROUP_IDS = 65_536
_SLICE_BYTES = 1 << 20


class PartGroups:
    """Groups of parts that follow each other and ask for few enough IDs to be told apart in memory.

    A part that asks for more is a group of its own, whose lines are in order as they come.
    """

    def __init__(self, counts: npt.NDArray[np.int64], folder: Path) -> None:
        """Group parts by how many IDs each of them holds; files are made in `folder`."""
        self._bounds = [*_first_places(counts), len(counts)]
        self._group_of = np.repeat(np.arange(len(self._bounds) - 1), np.diff(self._bounds))
        self._buckets = Buckets(folder)

    def add(self, places: PlaceArray, rows: RowArray, content: BucketContent) -> None:
        """Give each part at `places` the line of its row; called with ever higher IDs.

        An ID that very many parts share is in as many lines, so their bytes bound what is taken at once.
        """
        for chosen in _slices(rows["length"]):
            lines = list(content.lines(rows[chosen]))
            owners = places[chosen]
            self._buckets.add(self._group_of[owners], new_rows(owners, rows["rank"][chosen], lines), lines)

    def parts(self) -> Iterator["PartLines"]:
        """The lines of each part, in order of the parts, each to be read before the next one; may be called once."""
        self._buckets.flush()
        for group, (first, end) in enumerate(pairwise(self._bounds)):
            with self._buckets.load(group) as content:
                yield from _alone(content) if end - first == 1 else _apart(content, first, end)


class PartLines:
    """What X said about the IDs of one part, ascending by ID."""

    def __init__(self, content: BucketContent, rows: Callable[[], Iterator[RowArray]]) -> None:
        self._content = content
        self._rows = rows

    def results(self) -> Iterator[bytes]:
        """Stored lines of the flagged IDs."""
        for rows in self._rows():
            yield from self._content.lines(rows[rows["rank"] != REJECTED_RANK])

    def rejected(self) -> Iterator[bytes]:
        """Stored lines of IDs that X answered with an error."""
        for rows in self._rows():
            yield from self._content.lines(rows[rows["rank"] == REJECTED_RANK])


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


def _slices(lengths: npt.NDArray[np.uint32]) -> Iterator[slice]:
    """Slices of lines that are about a megabyte each."""
    blocks = np.cumsum(lengths, dtype=np.int64) // _SLICE_BYTES
    starts = np.flatnonzero(np.diff(blocks, prepend=-1)).tolist()
    for start, end in pairwise([*starts, len(lengths)]):
        yield slice(start, end)


def _alone(content: BucketContent) -> Iterator[PartLines]:
    yield PartLines(content, content.rows)


def _apart(content: BucketContent, first: int, end: int) -> Iterator[PartLines]:
    """Sort by part; the sort is stable, so that each part's lines stay ascending by ID."""
    rows = np.concatenate([content.no_rows(), *content.rows()])
    rows = rows[np.argsort(rows["key"], kind="stable")]
    cuts = np.searchsorted(rows["key"], np.arange(first, end + 1, dtype=np.uint64))
    for start, stop in pairwise(cuts.tolist()):
        yield PartLines(content, partial(iter, [rows[start:stop]]))
