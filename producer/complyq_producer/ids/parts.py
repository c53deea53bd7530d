"""The parts of a batch: its sorted IDs as text, cut where a part is full."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO

import numpy as np
import numpy.typing as npt

from complyq_producer.ids.values import IdArray, line_ends, text_slices, to_text


@dataclass(frozen=True, slots=True)
class IdPart:
    """One part: `count` IDs from `first` to `last`; `file` holds `size` bytes of text, an ID and a line feed each."""

    index: int
    first: int
    last: int
    count: int
    size: int
    file: BinaryIO


@dataclass(slots=True)
class _Span:
    first: int
    offset: int
    last: int = 0
    count: int = 0
    size: int = 0


class PartWriter:
    """Writes ascending IDs to a text file and remembers where parts of at most `part_bytes` begin.

    Attributes:
        count: how many IDs were written.
    """

    def __init__(self, file: IO[bytes], part_bytes: int) -> None:
        self.count = 0
        self._file = file
        self._part_bytes = part_bytes
        self._written = 0
        self._spans: list[_Span] = []
        self._sha256 = hashlib.sha256()

    def add(self, ascending: IdArray) -> None:
        """Write these IDs, each of which is larger than all before."""
        for values in text_slices(ascending):
            text = to_text(values)
            self._sha256.update(text)
            self._file.write(text)
            self._assign(values, len(text))

    def digest(self) -> str:
        """Return the SHA-256 of all text in hex."""
        return self._sha256.hexdigest()

    def parts(self) -> Iterator[IdPart]:
        """Yield the parts, one in memory at a time."""
        for index, span in enumerate(self._spans):
            self._file.seek(span.offset)
            file = io.BytesIO(self._file.read(span.size))
            yield IdPart(index, span.first, span.last, span.count, span.size, file)

    def _assign(self, values: IdArray, size: int) -> None:
        """Put each of the values into the last part if it has room, else into a new one."""
        if self._spans and size <= self._room():  # most slices, spared the sum over their lines
            self._extend(values, size)
            return
        ends = line_ends(values)
        done = 0
        while done < len(values):
            if not self._spans or self._fitting(ends, done) == done:
                self._spans.append(_Span(int(values[done]), self._written))
            fitting = self._fitting(ends, done)
            self._extend(values[done:fitting], _end(ends, fitting) - _end(ends, done))
            done = fitting

    def _room(self) -> int:
        return self._part_bytes - self._spans[-1].size

    def _fitting(self, ends: npt.NDArray[np.int64], done: int) -> int:
        """Return how many of a slice's lines are in place when the last part is full."""
        return int(np.searchsorted(ends, _end(ends, done) + self._room(), side="right"))

    def _extend(self, values: IdArray, size: int) -> None:
        span = self._spans[-1]
        span.last = int(values[-1])
        span.count += len(values)
        span.size += size
        self._written += size
        self.count += len(values)


def _end(ends: npt.NDArray[np.int64], lines: int) -> int:
    return int(ends[lines - 1]) if lines else 0
