"""Which parts asked for which ID: sorted runs on local disk, cut into ranges of values that fit into memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from complyq_producer.ids.values import IdArray
from complyq_workers.results.parts import IdBlock

# At most about 256 ranges, so that appending to one file each stays cheap; at least so many IDs that few are needed.
MIN_RANGE_IDS = 32_768
MAX_RANGES = 256
_SAMPLE_EVERY = 1_024
_RUN_IDS = 524_288
_PAIR = np.dtype([("id", "<u8"), ("place", "<u4")])

_Pairs = npt.NDArray[np.void]


class IdIndex:
    """Pairs of an ID and the place of a part that holds it, in order of the IDs.

    Half a million pairs at a time are sorted and written as a run. A range of values is one slice of each run, so the
    work does not grow with the number of parts.

    Attributes:
        counts: how many IDs each part holds.
        edges: range n ends before `edges[n]`, the last one is open.
    """

    def __init__(self, blocks: Iterable[IdBlock], parts: int, folder: Path) -> None:
        """Copy the IDs of so many parts to a file in `folder`; raises what reading the blocks raises."""
        self.counts = np.zeros(parts, np.int64)
        self._samples: list[IdArray] = []
        self._bounds = [0]
        self._path = folder / "asked.pairs"
        with self._path.open("wb") as file:
            self._write_runs(blocks, file)
        self.edges = self._choose_edges()
        self._cuts = [self._cut(run) for run in range(len(self._samples))]

    def ranges(self) -> Iterator[IdBlock]:
        """The pairs of each range, ascending by ID; of one ID in order of the parts."""
        for value_range in range(len(self.edges) + 1):
            slices = [self._read(*cuts[value_range : value_range + 2]) for cuts in self._cuts]
            pairs = np.concatenate([np.empty(0, _PAIR), *slices])
            pairs = pairs[np.argsort(pairs["id"], kind="stable")]
            yield IdBlock(pairs["id"].copy(), pairs["place"].copy())

    def _write_runs(self, blocks: Iterable[IdBlock], file: BinaryIO) -> None:
        run, filled = np.empty(_RUN_IDS, _PAIR), 0
        for block in blocks:
            self.counts += np.bincount(block.places, minlength=len(self.counts))
            done = 0
            while done < len(block.ids):
                end = min(len(block.ids), done + len(run) - filled)
                taken = run[filled : filled + end - done]
                taken["id"], taken["place"] = block.ids[done:end], block.places[done:end]
                filled, done = filled + end - done, end
                if filled == len(run):
                    self._write_run(run, file)
                    filled = 0
        self._write_run(run[:filled], file)

    def _write_run(self, pairs: _Pairs, file: BinaryIO) -> None:
        """Parts come in order, and the sort is stable: so the parts of an ID stay in order."""
        ordered = pairs[np.argsort(pairs["id"], kind="stable")]
        file.write(ordered.data)
        self._samples.append(ordered["id"][::_SAMPLE_EVERY].copy())
        self._bounds.append(self._bounds[-1] + len(ordered))

    def _choose_edges(self) -> IdArray:
        samples = np.sort(np.concatenate(self._samples))
        range_ids = max(MIN_RANGE_IDS, self._bounds[-1] // MAX_RANGES)
        ranges = max(1, -(-self._bounds[-1] // range_ids))
        positions = np.arange(1, ranges) * len(samples) // ranges
        return np.unique(samples[positions])

    def _cut(self, run: int) -> list[int]:
        """Where in the file each range begins in the run, and where the last one ends."""
        start, end = self._bounds[run : run + 2]
        cuts = np.searchsorted(self._read(start, end)["id"].copy(), self.edges) + start
        return [start, *cuts.tolist(), end]

    def _read(self, start: int, end: int) -> _Pairs:
        return np.fromfile(self._path, _PAIR, end - start, offset=start * _PAIR.itemsize)
