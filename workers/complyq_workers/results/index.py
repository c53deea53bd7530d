"""The IDs of a job's parts on local disk, cut into ranges of values that fit into memory."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt

from complyq_workers.results.errors import PartUnreadableError

IdArray = npt.NDArray[np.uint64]

# At most about 256 ranges, so that appending to one file each stays cheap; at least so many IDs that few are needed.
MIN_RANGE_IDS = 32_768
MAX_RANGES = 256
_SAMPLE_EVERY = 1_024
_BLOCK_BYTES = 1 << 20
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class PartIds:
    """One part of the job: whose it is, and how to read its sorted unique IDs.

    Attributes:
        batch_id: the batch the part belongs to.
        part: its number in the batch.
        open_ids: opens its text, one decimal ID a line, ascending.
    """

    batch_id: str
    part: int
    open_ids: Callable[[], AbstractContextManager[BinaryIO]]


class IdIndex:
    """IDs of all parts as 64-bit numbers in one file, with the places where each range of values begins.

    Reading the parts once, one after the other, keeps one object of the store open at a time, however many
    parts a job has.
    """

    def __init__(self, parts: Sequence[PartIds], folder: Path) -> None:
        """Copy the IDs of `parts` to a file in `folder`; raises PartUnreadableError and what `open_ids` raises."""
        self._path = folder / "ids.u64"
        self._samples: list[IdArray] = []
        with self._path.open("wb") as file:
            self.counts = [self._copy(part, file) for part in parts]
        self._starts = [0, *itertools.accumulate(self.counts)]
        self.edges = self._choose_edges()
        self._file = self._path.open("rb")
        self._cuts = np.stack([self._cut(part) for part in range(len(parts))])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def ranges(self) -> int:
        """How many ranges of values there are; range n ends before `edges[n]`, the last one is open."""
        return len(self.edges) + 1

    def ids(self, part: int, value_range: int) -> IdArray:
        """IDs of the part that lie in the range, ascending."""
        first, last = self._cuts[part, value_range : value_range + 2].tolist()
        return self._read(self._starts[part] + first, last - first)

    def _copy(self, part: PartIds, file: BinaryIO) -> int:
        count, previous = 0, 0
        with part.open_ids() as text:
            for block in _blocks(text):
                ids = _numbers(block)
                if int(ids[0]) <= previous or bool((ids[1:] <= ids[:-1]).any()):
                    raise PartUnreadableError(f"IDs of part {part.part} of batch {part.batch_id} are not ascending.")
                self._samples.append(ids[::_SAMPLE_EVERY].copy())
                file.write(ids.astype("<u8", copy=False).data)
                count, previous = count + len(ids), int(ids[-1])
        return count

    def _choose_edges(self) -> IdArray:
        samples = np.sort(np.concatenate([np.empty(0, np.uint64), *self._samples]))
        range_ids = max(MIN_RANGE_IDS, self._starts[-1] // MAX_RANGES)
        ranges = max(1, -(-self._starts[-1] // range_ids))
        positions = np.arange(1, ranges) * len(samples) // ranges
        return np.unique(samples[positions])

    def _cut(self, part: int) -> npt.NDArray[np.int64]:
        """Where in the part each range begins, and where the last one ends."""
        below = np.zeros(len(self.edges), np.int64)
        for start in range(0, self.counts[part], _BLOCK_BYTES):
            ids = self._read(self._starts[part] + start, min(_BLOCK_BYTES, self.counts[part] - start))
            below += np.searchsorted(ids, self.edges)
        return np.concatenate([[0], below, [self.counts[part]]])

    def _read(self, first: int, count: int) -> IdArray:
        data = os.pread(self._file.fileno(), count * _ID_BYTES, first * _ID_BYTES)
        return np.frombuffer(data, "<u8").astype(np.uint64, copy=False)


def _blocks(text: BinaryIO) -> Iterator[bytes]:
    """Whole lines, about a megabyte at a time."""
    rest = b""
    while data := text.read(_BLOCK_BYTES):
        whole, newline, rest = (rest + data).rpartition(b"\n")
        if newline and whole.strip():
            yield whole
    if rest.strip():
        yield rest


def _numbers(block: bytes) -> IdArray:
    try:
        # numpy parses text at eight times the speed of int(); only the binary mode of fromstring is deprecated.
        return np.fromstring(block, np.uint64, sep="\n")
    except ValueError as error:
        raise PartUnreadableError(f"A part holds something other than decimal IDs: {error}") from error
