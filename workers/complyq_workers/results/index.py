"""Which parts asked for which ID: sorted runs on local disk, cut into ranges of values that fit into memory."""

import os
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from complyq_producer.ids.values import EMPTY, IdArray
from complyq_workers.results.parts import IdBlock, PlaceArray

_RANGE_IDS = 32_768
_SAMPLE_EVERY = 1_024
_RUN_IDS = 524_288
_ID_BYTES = 8
_NO_IDS = IdBlock(EMPTY, np.empty(0, np.uint32))


class IdIndex:
    """Pairs of an ID and the place of a part that holds it, in order of the IDs.

    Half a million pairs at a time are sorted and written as a run. A range of values is one slice of each run, so the
    work does not grow with the number of parts.

    Attributes:
        counts: how many IDs each part holds.
        edges: range n ends before `edges[n]`, the last one is open.
        ranges: how many ranges there are.
    """

    def __init__(self, blocks: Iterable[IdBlock], parts: int, folder: Path) -> None:
        """Copy the IDs of so many parts to files in `folder`; raises what reading the blocks raises."""
        self.counts = np.zeros(parts, np.int64)
        self._samples: list[IdArray] = []
        self._bounds = [0]
        self._last = 0
        self._ids, self._places = folder / "asked.ids", folder / "asked.places"
        with self._ids.open("wb") as ids, self._places.open("wb") as places:
            self._write_runs(blocks, ids, places)
        self.edges = self._choose_edges()
        self.ranges = len(self.edges) + 1
        self._cuts = [self._cut(start, end) for start, end in pairwise(self._bounds)]

    def load(self, value_range: int) -> IdBlock:
        """The pairs of a range, ascending by ID; of one ID in order of the parts."""
        spans = [cuts[value_range : value_range + 2] for cuts in self._cuts]
        ids = [_read(self._ids, np.uint64, *span) for span in spans]
        return _ascending(ids, [_read(self._places, np.uint32, *span) for span in spans])

    def _write_runs(self, blocks: Iterable[IdBlock], ids: BinaryIO, places: BinaryIO) -> None:
        waiting, waiting_ids = [_NO_IDS], 0
        for block in blocks:
            self.counts += np.bincount(block.places, minlength=len(self.counts))
            waiting.append(block)
            waiting_ids += len(block.ids)
            if waiting_ids >= _RUN_IDS:
                self._write_run(waiting, ids, places)
                waiting, waiting_ids = [_NO_IDS], 0
        self._write_run(waiting, ids, places)

    def _write_run(self, blocks: list[IdBlock], ids: BinaryIO, places: BinaryIO) -> None:
        """Write a run, or make the last one longer; of one ID the parts stay in order."""
        run = _ascending([block.ids for block in blocks], [block.places for block in blocks])
        ids.write(run.ids.data)
        places.write(run.places.data)
        self._samples.append(run.ids[::_SAMPLE_EVERY].copy())
        end = self._bounds[-1] + len(run.ids)
        if len(self._bounds) > 1 and len(run.ids) and run.ids[0] > self._last:
            self._bounds.pop()  # as parts of one batch follow each other
        self._bounds.append(end)
        self._last = int(run.ids[-1]) if len(run.ids) else self._last

    def _choose_edges(self) -> IdArray:
        samples = np.sort(np.concatenate(self._samples))
        ranges = max(1, -(-self._bounds[-1] // _RANGE_IDS))
        positions = np.arange(1, ranges) * len(samples) // ranges
        return np.unique(samples[positions])

    def _cut(self, start: int, end: int) -> list[int]:
        """Where in the file each range begins in the run, and where the last one ends."""
        with self._ids.open("rb", buffering=0) as file:
            run = _Stored(file.fileno(), end)
            return [start, *(bisect_left(run, edge, start) for edge in self.edges.tolist()), end]


@dataclass(frozen=True, slots=True)
class _Stored(Sequence[int]):
    """The IDs of a file up to place `end`, to be searched."""

    file: int
    end: int

    def __len__(self) -> int:
        return self.end

    def __getitem__(self, place: Any) -> Any:
        return int.from_bytes(os.pread(self.file, _ID_BYTES, place * _ID_BYTES), "little")


def _ascending(ids: list[IdArray], places: list[PlaceArray]) -> IdBlock:
    all_ids, all_places = np.concatenate(ids), np.concatenate(places)
    if (all_ids[1:] >= all_ids[:-1]).all():
        return IdBlock(all_ids, all_places)
    order = np.argsort(all_ids, kind="stable")
    return IdBlock(all_ids[order], all_places[order])


def _read(path: Path, kind: type[np.integer[Any]], start: int, end: int) -> npt.NDArray[Any]:
    return np.fromfile(path, kind, end - start, offset=start * np.dtype(kind).itemsize)
