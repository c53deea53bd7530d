"""Which of several lines about an ID counts."""

import numpy as np
import numpy.typing as npt

from complyq_workers.results.lines import RowArray, pick
from complyq_workers.results.writing import LineWriter


def strongest(rows: RowArray, writer: LineWriter) -> RowArray:
    """One row for each ID, ascending: the highest rank, of equal ones the line that sorts first.

    So the outcome depends on the lines alone, not on the order in which X sent them.
    """
    if (rows["id"][1:] < rows["id"][:-1]).any():
        rows = by_id(rows)
    heads = _heads(rows)
    return rows if len(heads) == len(rows) else _of_equal(rows, heads, writer)


def by_id(rows: RowArray) -> RowArray:
    """A copy of the rows, ascending by ID."""
    return pick(rows, np.argsort(rows["id"]))


def _of_equal(rows: RowArray, heads: npt.NDArray[np.intp], writer: LineWriter) -> RowArray:
    rows = pick(rows, np.lexsort((-rows["rank"].astype(np.int8), rows["id"])))
    head_of = np.repeat(heads, np.diff(heads, append=len(rows)))
    is_rival = rows["rank"] == rows["rank"][head_of]
    is_rival[heads] = False
    rivals = np.flatnonzero(is_rival)
    best: dict[int, int] = {}
    for head, rival in zip(head_of[rivals].tolist(), rivals.tolist(), strict=True):
        best[head] = _first_in_order(rows, best.get(head, head), rival, writer)
    return pick(rows, [best.get(head, head) for head in heads.tolist()])


def _first_in_order(rows: RowArray, one: int, other: int, writer: LineWriter) -> int:
    line, other_line = (next(writer.lines(pick(rows, [place]))).data.tobytes() for place in (one, other))
    return one if line <= other_line else other


def _heads(rows: RowArray) -> npt.NDArray[np.intp]:
    """Where in sorted rows each ID stands first."""
    return np.flatnonzero(np.diff(rows["id"], prepend=~rows["id"][:1]))
