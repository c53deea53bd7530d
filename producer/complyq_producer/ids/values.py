"""IDs as numbers: arrays of them from text, text from them, and the slow exact rule."""

from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

IdArray: TypeAlias = npt.NDArray[np.uint64]

MAX_ID = 2**64 - 1
EMPTY: IdArray = np.empty(0, np.uint64)

_SAFE_DIGITS = 19  # so many always fit 64 bits; twenty may not
_ALPHABET = b"0123456789\n"
_LINE_FEED = 10
_ZERO = np.uint8(48)
_TEN = np.uint64(10)
_POWERS: IdArray = np.array([10**exponent for exponent in range(1, 20)], np.uint64)
_GROUP = np.uint64(10_000)
_GROUPS_OF_FOUR = np.frombuffer(b"".join(b"%04d" % number for number in range(10_000)), np.uint32)
_ROWS = 65_536


def parse_plain(chunk: bytes) -> IdArray | None:
    """Return the IDs of lines that hold nothing but a valid ID, or nothing at all; None if any line is different.

    Args:
        chunk: whole lines, the last one with its line feed.

    None only means that each line has to be looked at; `parse_exactly` gives the same numbers, slower. numpy's own
    parser of text is not used: it takes signs and spaces, and turns what is beyond 64 bits into the largest number.
    """
    if chunk.translate(None, _ALPHABET):
        return None
    characters = np.frombuffer(chunk, np.uint8)
    ends = np.flatnonzero(characters == _LINE_FEED)
    digits = np.diff(ends, prepend=-1) - 1
    longest = int(digits.max(initial=0))
    if longest > _SAFE_DIGITS:
        return None
    even = int(digits.min(initial=0)) == longest
    values = _even(characters, longest) if even else _ragged(characters, ends, digits, longest)
    return None if values.size and not values.all() else values


def parse_exactly(text: bytes) -> int | None:
    """Return the ID that the text is, without the spaces around it; None if it is not one."""
    significant = text.lstrip(b"0")
    if not text.isdigit() or not 1 <= len(significant) <= _SAFE_DIGITS + 1:
        return None
    value = int(significant)
    return value if value <= MAX_ID else None


def text_slices(ascending: IdArray) -> list[IdArray]:
    """Cut an array into views that are small enough for `to_text`."""
    return [ascending[start : start + _ROWS] for start in range(0, len(ascending), _ROWS)]


def to_text(ascending: IdArray) -> bytes:
    """Return each ID in decimal with a line feed behind it; they must ascend."""
    bounds = [0, *np.searchsorted(ascending, _POWERS).tolist(), len(ascending)]
    pieces = [
        _same_length(ascending[start:end], digits)
        for digits, (start, end) in enumerate(pairwise(bounds), 1)
        if start < end
    ]
    return b"".join(pieces)


def line_ends(ascending: IdArray) -> npt.NDArray[np.int64]:
    """Return where each ID's line ends in `to_text`, in bytes."""
    return np.cumsum(np.searchsorted(_POWERS, ascending, side="right") + 2)


def _even(characters: npt.NDArray[np.uint8], length: int) -> IdArray:
    if not length:
        return EMPTY
    table = characters.reshape(-1, length + 1)
    values = np.zeros(len(table), np.uint64)
    for column in range(length):
        values *= _TEN
        values += table[:, column] - _ZERO
    return values


def _ragged(
    characters: npt.NDArray[np.uint8], ends: npt.NDArray[np.intp], digits: npt.NDArray[np.intp], longest: int
) -> IdArray:
    filled = digits > 0
    ends, digits = ends[filled], digits[filled]
    values = np.zeros(len(ends), np.uint64)
    for place in range(longest):
        digit = characters[np.maximum(ends - 1 - place, 0)] - _ZERO
        digit[digits <= place] = 0  # what stands there belongs to the line before
        values += digit * np.uint64(10**place)
    return values


def _same_length(values: IdArray, digits: int) -> bytes:
    table = np.empty((len(values), 6), np.uint32)  # five groups of four digits, and the line feed
    rest = values
    for group in (4, 3, 2, 1, 0):
        quotient = rest // _GROUP
        table[:, group] = _GROUPS_OF_FOUR[rest - quotient * _GROUP]
        rest = quotient
    characters = table.view(np.uint8)
    characters[:, 20] = _LINE_FEED
    return characters[:, 20 - digits : 21].tobytes()
