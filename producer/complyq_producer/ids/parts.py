"""The parts of a batch: its sorted IDs as text, cut where a part is full."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, cycle
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt

from complyq_producer.ids.text import LONGEST_LINE, LineWriter, fitting
from complyq_producer.ids.values import IdArray

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class IdPart:
    """One part: `count` IDs from `first` to `last` as text, an ID and a line feed each."""

    index: int
    first: int
    last: int
    count: int
    text: memoryview

    @property
    def size(self) -> int:
        """How many bytes the text has."""
        return len(self.text)

    def open(self) -> BinaryIO:
        """Return the text as a file, which is no copy."""
        return io.BufferedReader(_Memory(self.text), _COPY_BYTES)


def make_parts(ascending: Iterable[IdArray], part_bytes: int) -> Iterator[IdPart]:
    """Yield parts of as many IDs as fit into `part_bytes`; the last one has what is left.

    The text of one lies where that of the next but one will be written.
    """
    writer = LineWriter(part_bytes // LONGEST_LINE)
    drafts = map(_Draft, count(), cycle(np.empty((2, part_bytes), np.uint8)))
    draft = next(drafts)
    for array in ascending:
        left = array
        while len(left):
            fitting_in = fitting(left, draft.room)
            if fitting_in:
                draft.add(left[:fitting_in], writer)
                left = left[fitting_in:]
            else:
                yield draft.finished()
                draft = next(drafts)
    yield draft.finished()


class _Draft:
    """A part that is being written."""

    def __init__(self, index: int, text: npt.NDArray[np.uint8]) -> None:
        self._index = index
        self._text = text
        self._first = self._last = self._count = self._size = 0

    @property
    def room(self) -> int:
        return len(self._text) - self._size

    def add(self, ascending: IdArray, writer: LineWriter) -> None:
        self._first = self._first or int(ascending[0])
        self._last = int(ascending[-1])
        self._count += len(ascending)
        self._size += writer.write(ascending, self._text[self._size :])

    def finished(self) -> IdPart:
        return IdPart(self._index, self._first, self._last, self._count, self._text[: self._size].data)


class _Memory(io.RawIOBase):
    """A file that is somewhere in memory."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        block = self._content[self._place : self._place + len(view)]
        view[: len(block)] = block
        self._place += len(block)
        return len(block)

    def readall(self) -> bytes:
        block = bytes(self._content[self._place :])
        self._place += len(block)
        return block

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, len(self._content))[whence]
        return self._place
