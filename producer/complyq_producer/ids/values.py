"""IDs as numbers: arrays of them from text, text from them, and the slow exact rule."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from complyq_producer.ids.digits import MOST_DIGITS, LineReader
from complyq_producer.ids.text import LineWriter, line_ends, text_bytes

__all__ = ["EMPTY", "MAX_ID", "IdArray", "line_ends", "parse_exactly", "parse_plain", "text_slices", "to_text"]

IdArray: TypeAlias = npt.NDArray[np.uint64]

MAX_ID = 2**64 - 1
EMPTY: IdArray = np.empty(0, np.uint64)

_ROWS = 65_536


def parse_plain(chunk: bytes) -> IdArray | None:
    """Return the IDs of lines that hold nothing but a valid ID, or nothing at all; None if any line is different.

    Args:
        chunk: whole lines, the last one with its line feed.

    None only means that each line has to be looked at; `parse_exactly` gives the same numbers, slower. numpy's own
    parser of text is not used: it takes signs and spaces, and turns what is beyond 64 bits into the largest number.
    """
    return LineReader(len(chunk)).read(chunk)


def parse_exactly(text: bytes) -> int | None:
    """Return the ID that the text is, without the spaces around it; None if it is not one."""
    significant = text.lstrip(b"0")
    if not text.isdigit() or not 1 <= len(significant) <= MOST_DIGITS + 1:
        return None
    value = int(significant)
    return value if value <= MAX_ID else None


def text_slices(ascending: IdArray) -> list[IdArray]:
    """Cut an array into views whose text is of a moderate size."""
    return [ascending[start : start + _ROWS] for start in range(0, len(ascending), _ROWS)]


def to_text(ascending: IdArray) -> bytes:
    """Return each ID in decimal with a line feed behind it; they must ascend."""
    text = np.empty(text_bytes(ascending), np.uint8)
    LineWriter(len(ascending)).write(ascending, text)
    return text.tobytes()
