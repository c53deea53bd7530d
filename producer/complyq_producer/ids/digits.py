"""Numbers from lines of digits, eight characters in one machine word at a time.

A text is read in blocks that fit a processor's cache. Of each line the last 24 characters are taken out as three words,
whatever stands in the words' first bytes before the line begins is shifted out, and the eight digits of a word become a
number in three steps: digits are added up in pairs, pairs in fours, fours in eights.
"""

import sys
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

if sys.byteorder != "little":
    raise ImportError("IDs are read and written by arithmetic that needs a little-endian processor")

Words: TypeAlias = npt.NDArray[np.uint64]
_Places: TypeAlias = npt.NDArray[np.intp]
_Characters: TypeAlias = npt.NDArray[np.uint8]

MOST_DIGITS = 19  # so many always fit 64 bits; twenty may not

_BLOCK_BYTES = (1 << 19) + (1 << 12)  # so that files, which are read a MiB at a time, give no third one of a line
_LINES = 1 << 15  # at once; most blocks have fewer, as most IDs have 19 digits
_ZERO, _LINE_FEED = 48, 218  # the latter less the former, as one byte
_WORDS = 3  # of eight characters, the last ones of a line
_BITS = np.uint64(64)
_DIGIT_OF_EACH = np.uint64(0x0F0F0F0F0F0F0F0F)
_IN_PAIRS, _IN_FOURS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_TENS, _HUNDREDS, _THOUSANDS = (np.uint64(1 + (10**digits << 8 * digits)) for digits in (1, 2, 4))
_EIGHT, _SIXTEEN, _THIRTY_TWO = np.uint64(8), np.uint64(16), np.uint64(32)
_TO_THE_8, _TO_THE_16 = np.uint64(10**8), np.uint64(10**16)
_WHICH_BYTE, _TOP_BYTE = np.uint64(0x0001020304050607), np.uint64(56)
# Of a line with so many digits, how many bits of its third last, second last and last word lie before it.
_BEFORE: npt.NDArray[np.uint64] = np.array(
    [[8 * min(8, max(0, end - digits)) for digits in range(MOST_DIGITS + 1)] for end in (24, 16, 8)], np.uint64
)


class LineReader:
    """Reads text of digits; keeps its working memory from one text to the next. For one thread at a time.

    Args:
        longest: how many bytes the texts have, which saves memory if these are few.
    """

    def __init__(self, longest: int = _BLOCK_BYTES) -> None:
        self._block_bytes = min(longest, _BLOCK_BYTES)
        lines = self._lines = max(1, min(longest, _LINES))
        words = -(-self._block_bytes // 8)
        self._text: Words = np.zeros(words, np.uint64)
        self._marks: Words = np.zeros(words, np.uint64)
        self._marked = np.empty(words, np.bool_)
        self._words: Words = np.empty((_WORDS + 1, lines), np.uint64)
        self._shifts: Words = np.empty((2, lines), np.uint64)
        self._rest: Words = np.empty(lines, np.uint64)

    def read(self, chunk: bytes) -> Words | None:
        """Return the number of each line that is not empty; None if one is zero, or has other characters or over 19 digits.

        Args:
            chunk: whole lines, the last one with its line feed.
        """
        arrays = []
        for block in self._blocks(chunk):
            values = None if block is None else self._numbers(block)
            if values is None:
                return None
            arrays.append(values)
        return arrays[0] if len(arrays) == 1 else np.concatenate([np.empty(0, np.uint64), *arrays])

    def _blocks(self, chunk: bytes) -> Iterator[_Characters | None]:
        """Cut the text into blocks of whole lines; None stands for a line that is too long for one."""
        characters = np.frombuffer(chunk, np.uint8)
        start = 0
        while start < len(chunk):
            end = chunk.rfind(b"\n", start, start + self._block_bytes) + 1
            yield characters[start:end] if end else None
            start = end or len(chunk)

    def _numbers(self, block: _Characters) -> Words | None:
        ends = self._line_ends(block)
        if ends is None:
            return None
        digits = np.diff(ends, prepend=-1) - 1
        shortest, longest = int(digits.min()), int(digits.max())
        if longest > MOST_DIGITS:
            return None
        if not shortest:
            ends, digits = ends[digits > 0], digits[digits > 0]
        numbers = np.empty(len(ends), np.uint64)
        for start in range(0, len(ends), self._lines):
            now = slice(start, start + self._lines)
            self._read_lines(ends[now], digits[now], numbers[now], full_words=2 if shortest >= 16 else 0)
        return numbers if numbers.all() else None

    def _line_ends(self, block: _Characters) -> _Places | None:
        """Keep the block's characters as digits; return where its line feeds are, or None if there is anything else."""
        size = len(block)
        words = -(-size // 8)
        digits, marks = self._text.view(np.uint8)[:size], self._marks.view(np.bool_)
        np.subtract(block, _ZERO, out=digits)
        others = np.count_nonzero(np.greater(digits, 9, out=marks[:size]))
        np.equal(digits, _LINE_FEED, out=marks[:size])
        marks[size : 8 * words] = False
        ends = np.flatnonzero(np.not_equal(self._marks[:words], 0, out=self._marked[:words]))
        if len(ends) == others <= self._lines:  # no word has two line feeds, and there is nothing but digits beside
            return self._in_words(ends)
        ends = np.flatnonzero(marks[:size])
        return ends if len(ends) == others else None

    def _in_words(self, words: _Places) -> _Places:
        """Return where the one marked byte of each of these words is."""
        marked = self._rest[: len(words)]
        self._marks.take(words, out=marked, mode="clip")
        marked *= _WHICH_BYTE
        marked >>= _TOP_BYTE
        words <<= 3
        words += marked.view(np.intp)
        return words

    def _read_lines(self, ends: _Places, digits: _Places, numbers: Words, *, full_words: int) -> None:
        words = self._last_words(ends)
        before = self._rest[: len(ends)]
        for place in range(_WORDS - full_words):
            word = words[place]
            _BEFORE[place].take(digits, out=before, mode="clip")
            word >>= before
            word <<= before
        _add_up(words, numbers)

    def _last_words(self, ends: _Places) -> Words:
        """Return the 24 characters before each end as three words; what lies before the text is undefined."""
        count = len(ends)
        words, (shift, back), part = self._words[:, :count], self._shifts[:, :count], self._rest[:count]
        starts = ends - 8 * _WORDS
        np.bitwise_and(starts, 7, out=shift.view(np.intp))
        shift *= _EIGHT
        np.subtract(_BITS, shift, out=back)
        starts >>= 3
        for word in words:
            self._text.take(starts, out=word, mode="clip")
            starts += 1
        for place in range(_WORDS):
            word = words[place]
            word >>= shift
            word |= np.left_shift(words[place + 1], back, out=part)  # by 64 bits where shift is none: nothing is left
        return words[:_WORDS]


def from_columns(digits: _Characters) -> Words:
    """Return the number in each row of 24 digits, the first five of which are zero."""
    words = np.ascontiguousarray(digits.view(np.uint64).T) & _DIGIT_OF_EACH
    numbers = np.empty(len(digits), np.uint64)
    _add_up(words, numbers)
    return numbers


def _add_up(words: Words, numbers: Words) -> None:
    for word in words:
        _add_digits(word)
    high, middle, low = words
    np.multiply(high, _TO_THE_16, out=numbers)
    middle *= _TO_THE_8
    numbers += middle
    numbers += low


def _add_digits(word: Words) -> None:
    """Turn words of eight digits, the first one in the lowest byte, into their numbers."""
    word *= _TENS
    word >>= _EIGHT
    word &= _IN_PAIRS
    word *= _HUNDREDS
    word >>= _SIXTEEN
    word &= _IN_FOURS
    word *= _THOUSANDS
    word >>= _THIRTY_TWO
