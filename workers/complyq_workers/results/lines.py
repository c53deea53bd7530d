"""Lines that numpy moves by the thousand: what is known of each in a row, and text only where it is written or read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

ByteArray: TypeAlias = npt.NDArray[np.uint8]
IntArray: TypeAlias = npt.NDArray[np.int64]
PlaceArray: TypeAlias = npt.NDArray[np.intp]
RowArray: TypeAlias = npt.NDArray[np.void]

_LINES_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class Lines:
    """Stored lines that follow each other in `data`, each with its newline; length in bytes and kind of each."""

    data: ByteArray
    lengths: npt.NDArray[Any]
    kinds: npt.NDArray[np.uint16]


def in_pieces(lines: Iterator[bytes], kind: int) -> Iterator[Lines]:
    """Lines of one kind, some thousands at a time."""
    while chosen := list(islice(lines, _LINES_AT_ONCE)):
        data = np.frombuffer(b"".join(chosen), np.uint8)
        yield Lines(data, np.array(list(map(len, chosen))), np.full(len(chosen), kind, np.uint16))


def pick(rows: RowArray, chosen: Any) -> RowArray:
    """`rows[chosen]`, several times faster: numpy copies items without fields in one piece."""
    picked: RowArray = rows.view(f"V{rows.itemsize}")[chosen].view(rows.dtype)
    return picked


def joined(pieces: Sequence[RowArray]) -> RowArray:
    """`np.concatenate`, at least of one piece, faster for the same reason."""
    if len(pieces) == 1:
        return pieces[0]
    plain = [rows.view(f"V{rows.itemsize}") for rows in pieces]
    return np.concatenate(plain).view(pieces[0].dtype)


def starts_of(lengths: npt.NDArray[Any]) -> IntArray:
    """Where each line begins, if lines of these lengths follow each other."""
    starts: IntArray = np.cumsum(lengths, dtype=np.int64) - lengths
    return starts


def windows(data: ByteArray, width: int) -> RowArray:
    """All stretches of so many bytes, as items: item n begins at byte n."""
    return np.ndarray((len(data) - width + 1,), f"V{width}", data, strides=(1,))


def by_value(numbers: npt.NDArray[np.uint16]) -> Iterator[tuple[int, PlaceArray]]:
    """Each different number, ascending, with the places where it stands, ascending too."""
    order = np.argsort(numbers, kind="stable")  # of 16 bits numpy sorts by counting
    found, firsts = np.unique(numbers[order], return_index=True)
    for number, (first, end) in zip(found.tolist(), pairwise([*firsts.tolist(), len(order)]), strict=True):
        yield number, order[first:end]
