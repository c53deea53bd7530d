"""Numbers as lines of decimal text, eight digits in one machine word at a time.

A word takes a number below 10**8 apart in three steps: into two fours of digits, these into pairs, these into digits, the
first one in the lowest byte. Divisions by constants are multiplications here, exact for as many digits as there are.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Words: TypeAlias = npt.NDArray[np.uint64]
_Characters: TypeAlias = npt.NDArray[np.uint8]

LONGEST_LINE = len(f"{2**64 - 1}\n")

_POWERS: _Words = np.array([10**exponent for exponent in range(1, 20)], np.uint64)
_ROWS = 1 << 14  # at once, so that all stays in a processor's cache
_LINE_FEED = 10
_TO_THE_4 = np.uint64(10**4)
_TO_THE_8 = np.uint64(10**8)
_DIGITS_OF_TWO_WORDS = 16
_FOURS = np.frombuffer(b"".join(b"%04d" % number for number in range(10_000)), np.uint32)
_ASCII = np.uint64(0x3030303030303030)
# For each step: multiply and shift to divide, what is then left of a quotient, how far quotients move to make room for the
# remainders, and what takes them out of the number at the same time.
_STEPS = tuple(
    tuple(map(np.uint64, (factor, shift, kept, room, (divisor << room) - 1)))
    for factor, shift, kept, room, divisor in (
        (109_951_163, 40, 0xFFFF, 32, 10_000),
        (10_486, 20, 0x0000007F0000007F, 16, 100),
        (103, 10, 0x000F000F000F000F, 8, 10),
    )
)


def text_bytes(ascending: _Words) -> int:
    """Return how many bytes the lines of these numbers are."""
    return sum(len(numbers) * (digits + 1) for digits, numbers in _lengths(ascending))


def fitting(ascending: _Words, room: int) -> int:
    """Return how many of the first lines fit into so many bytes."""
    count = 0
    for digits, numbers in _lengths(ascending):
        more = min(len(numbers), room // (digits + 1))
        count += more
        if more < len(numbers):
            break
        room -= more * (digits + 1)
    return count


def line_ends(ascending: _Words) -> npt.NDArray[np.int64]:
    """Return where each number's line ends in the text, in bytes."""
    return np.cumsum(np.searchsorted(_POWERS, ascending, side="right") + 2)


def to_columns(numbers: _Words) -> _Characters:
    """Return each number as a row of 20 digits."""
    fours = np.empty((len(numbers), 5), np.uint32)
    rest = numbers
    for four in (4, 3, 2, 1, 0):
        quotients = rest // _TO_THE_4
        fours[:, four] = _FOURS[rest - quotients * _TO_THE_4]
        rest = quotients
    return fours.view(np.uint8)


class LineWriter:
    """Writes numbers as lines; keeps its working memory from one call to the next. For one thread at a time.

    Args:
        most: how many numbers are written at once at most, which saves memory if they are few.
    """

    def __init__(self, most: int = _ROWS) -> None:
        rows = self._rows = max(1, min(most, _ROWS))
        self._split: _Words = np.empty((3, rows), np.uint64)
        self._scratch: _Words = np.empty((2, rows), np.uint64)

    def write(self, ascending: _Words, text: _Characters) -> int:
        """Write the lines of these numbers from the beginning of `text` on, which has room; return their bytes."""
        done = 0
        for digits, numbers in _lengths(ascending):
            for start in range(0, len(numbers), self._rows):
                few = numbers[start : start + self._rows]
                rows = text[done : done + len(few) * (digits + 1)].reshape(len(few), digits + 1)
                self._write_rows(few, digits, rows)
                done += rows.size
        return done

    def _write_rows(self, numbers: _Words, digits: int, rows: _Characters) -> None:
        words = self._digits(numbers)
        if digits < _DIGITS_OF_TWO_WORDS:
            characters = np.ascontiguousarray(words[1:].T).view(np.uint8)
            rows[:, :-1] = characters[:, -digits:]
        else:
            self._write_long(words, digits - _DIGITS_OF_TWO_WORDS, rows)
        rows[:, -1] = _LINE_FEED

    def _write_long(self, words: _Words, more: int, rows: _Characters) -> None:
        """Write whole words, and before them the lowest digits of the first word's number, at most four."""
        high, middle, low = words
        if more:
            fours = _FOURS.take(high.view(np.intp), mode="clip")
            _column(rows, 0, np.uint32)[:] = fours >> np.uint32(8 * (4 - more))  # what is too much is written over
        _column(rows, more, np.uint64)[:] = middle
        _column(rows, more + 8, np.uint64)[:] = low

    def _digits(self, numbers: _Words) -> _Words:
        """Return three words for each number: what is above sixteen digits as a number, and these as text."""
        count = len(numbers)
        words, scratch = self._split[:, :count], self._scratch[:, :count]
        high, middle, low = words
        product = scratch[0]
        np.floor_divide(numbers, _TO_THE_8, out=middle)
        np.subtract(numbers, np.multiply(middle, _TO_THE_8, out=product), out=low)
        np.floor_divide(middle, _TO_THE_8, out=high)
        middle -= np.multiply(high, _TO_THE_8, out=product)
        _to_digits(words[1:], scratch)
        return words


def _to_digits(words: _Words, scratch: _Words) -> None:
    for factor, shift, kept, room, taken_out in _STEPS:
        np.multiply(words, factor, out=scratch)
        scratch >>= shift
        scratch &= kept
        scratch *= taken_out
        words <<= room
        words -= scratch
    words |= _ASCII


def _column(rows: _Characters, first: int, kind: type[np.uint32 | np.uint64]) -> npt.NDArray[np.uint32 | np.uint64]:
    """Return a view of the characters from `first` on, of each row as many as one number of this kind has bytes."""
    return np.ndarray((len(rows),), kind, rows, first, (rows.strides[0],))


def _lengths(ascending: _Words) -> Iterator[tuple[int, _Words]]:
    """Yield the numbers of each length, and the length in digits before them."""
    bounds = [0, *np.searchsorted(ascending, _POWERS).tolist(), len(ascending)]
    for digits, (start, end) in enumerate(pairwise(bounds), 1):
        if start < end:
            yield digits, ascending[start:end]
