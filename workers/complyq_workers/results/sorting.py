"""Pass two: range by range of IDs, which lines count, and for whom."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from complyq_producer.ids.values import IdArray
from complyq_workers.results.answer_rows import AnswerRows
from complyq_workers.results.chunks import StoredChunks
from complyq_workers.results.groups import PartGroups
from complyq_workers.results.index import IdIndex
from complyq_workers.results.kinds import REJECTED_RANK
from complyq_workers.results.lines import RowArray, joined, pick
from complyq_workers.results.parts import Beat, PlaceArray
from complyq_workers.results.rows import NO_ROWS
from complyq_workers.results.strays import ForeignIds, StrayErrors
from complyq_workers.results.strongest import by_id, strongest


@dataclass(frozen=True, slots=True)
class SortedOut:
    """What was found about some ranges of IDs.

    Attributes:
        rows: what each part gets, in groups of parts.
        answered: how many IDs of each part X said something about.
        read: lines about IDs of these ranges.
        repeated: how many of them lost to others.
        strays: errors about IDs of nobody, and
        foreign: results about such IDs.
    """

    rows: StoredChunks
    answered: npt.NDArray[np.int64]
    read: int
    repeated: int
    strays: StrayErrors
    foreign: ForeignIds


@dataclass(frozen=True, slots=True)
class _Range:
    """What counts of the answer about a range of IDs.

    Attributes:
        places: of the parts that ask for them, and
        rows: what each of these gets, ascending by ID.
        read: how many rows were read, and
        repeated: how many of them lost to others.
        unasked: rows about IDs of nobody, some thousands at a time.
    """

    places: PlaceArray
    rows: RowArray
    read: int
    repeated: int
    unasked: list[RowArray]


class Sorter:
    """Finds the strongest line of each ID, and gives it to every part that holds the ID."""

    def __init__(self, answer: AnswerRows, index: IdIndex, groups: PartGroups, beat: Beat) -> None:
        """Begin with an answer that was read; `groups` takes what is found."""
        self._answer = answer
        self._index = index
        self._groups = groups
        self._beat = beat

    def run(self, ranges: Iterable[int]) -> SortedOut:
        """Sort out some ranges of IDs, which ascend; once."""
        strays, foreign = StrayErrors(self._answer.job_type), ForeignIds()
        answered = np.zeros(len(self._index.counts), np.int64)
        read = repeated = 0
        self._answer.cut(self._index.edges)
        for found in map(self._sorted_out, ranges):
            self._groups.add(found.places, found.rows)
            answered += np.bincount(found.places, minlength=len(answered))
            read += found.read
            repeated += found.repeated
            for rows in found.unasked:
                self._set_aside(rows, strays, foreign)
        return SortedOut(self._groups.stored(), answered, read, repeated, strays, foreign)

    def _sorted_out(self, value_range: int) -> _Range:
        """Of one range of IDs the strongest lines, for every part that holds their ID."""
        asked = self._index.load(value_range)
        winners, read, repeated, unasked = self._winners(value_range, asked.ids)
        firsts, ends = (np.searchsorted(asked.ids, winners["id"], side=side) for side in ("left", "right"))
        holders = ends - firsts
        if (holders == 1).all():
            return _Range(asked.places[firsts], winners, read, repeated, unasked)
        # Of each winner all places from its first one on: a running number, less what ran before.
        shared = np.repeat(np.arange(len(winners)), holders)
        before = np.cumsum(holders) - holders
        places = asked.places[np.arange(len(shared)) + (firsts - before)[shared]]
        return _Range(places, pick(winners, shared), read, repeated, unasked)

    def _winners(self, value_range: int, asked: IdArray) -> tuple[RowArray, int, int, list[RowArray]]:
        winners, read, repeated, unasked = NO_ROWS, 0, 0, []
        for rows in map(by_id, self._answer.rows(value_range)):  # sorted they are found several times faster
            read += len(rows)
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
        return winners, read, repeated, unasked

    def _set_aside(self, rows: RowArray, strays: StrayErrors, foreign: ForeignIds) -> None:
        """Count lines about no ID of ours: results are foreign, errors may stand for IDs that X misread."""
        rejected = rows["rank"] == REJECTED_RANK
        foreign.add([str(identifier) for identifier in rows["id"][~rejected].tolist()])
        for piece in self._answer.writer.lines(pick(rows, rejected)):
            for line in piece.data.tobytes().splitlines(keepends=True):
                strays.add(line)


def _is_in(values: IdArray, sorted_ids: IdArray) -> npt.NDArray[np.bool_]:
    """Which of the values are among the sorted IDs."""
    if not len(sorted_ids):
        return np.zeros(len(values), bool)
    places = np.minimum(np.searchsorted(sorted_ids, values), len(sorted_ids) - 1)
    return np.equal(sorted_ids[places], values)
