"""The text of rows, written where it is stored."""

import itertools
import os
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from complyq_producer.ids.text import to_columns
from complyq_workers.results.answer import OddLine
from complyq_workers.results.kinds import UNTOLD
from complyq_workers.results.lines import ByteArray, IntArray, Lines, RowArray, by_value, pick, starts_of, windows
from complyq_workers.results.rows import ROW
from complyq_workers.results.shapes import UNSHAPED, Shapes

_ODD_ROW = np.dtype([*ROW.descr[:-1], ("start", "<i8"), ("length", "<u4"), ("rest", f"V{ROW['slots'].itemsize - 12}")])
_SLICE_BYTES = 4 << 20
_SHARE_BYTES = 1 << 48  # more than a file has: so the place of a line tells which process has kept it
_NO_TEXT: ByteArray = np.empty(0, np.uint8)


class LineWriter:
    """Writes the lines of rows: from their shape, or from the file where lines without a shape are kept.

    Lines may be written by several threads once all are kept.
    """

    def __init__(self, shapes: Shapes, path: Path, share: int | None = 0) -> None:
        """Make a file for lines without a shape.

        Args:
            shapes: of all other lines.
            path: how the file's name begins, and those of other processes.
            share: number of this process; None if it only reads what others have kept.
        """
        self._shapes = shapes
        self._path = path
        self._share = share or 0
        self._files: dict[int, BinaryIO] = {} if share is None else {share: self._of(share).open("w+b")}

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def shares(self) -> list[int]:
        """The numbers of the processes whose lines can be read."""
        return list(self._files)

    def learn(self, shares: Iterable[int]) -> None:
        """Read also what these processes have kept."""
        self._files.update({share: self._of(share).open("rb") for share in shares})

    def keep(self, odd: Iterable[OddLine]) -> RowArray:
        """Keep lines without a shape; return their rows."""
        rows = [(one.id, 0, one.kind, UNSHAPED, one.rank, self._append(one.line), len(one.line), b"") for one in odd]
        return np.array(rows, _ODD_ROW).view(ROW)

    def lines(self, rows: RowArray) -> Iterator[Lines]:
        """The lines of these rows, in their order, about four megabytes at a time."""
        self.flush()
        return itertools.starmap(self._written, self.slices(rows))

    def outlines(self, rows: RowArray) -> Iterator[Lines]:
        """The same without their text, except where only the text says what a line says."""
        if (rows["kind"] == UNTOLD).any():
            return self.lines(rows)
        return iter([Lines(_NO_TEXT, self._lengths(rows), rows["kind"])])

    def slices(self, rows: RowArray) -> Iterator[tuple[RowArray, IntArray]]:
        """Rows and the lengths of their lines, so many at a time as have about four megabytes of text."""
        lengths = self._lengths(rows)
        blocks = np.cumsum(lengths) // _SLICE_BYTES
        firsts = np.flatnonzero(np.diff(blocks, prepend=-1)).tolist()
        for start, end in pairwise([*firsts, len(rows)]):
            yield pick(rows, slice(start, end)), lengths[start:end]

    def flush(self) -> None:
        """Write all lines that were kept, so that they can be read."""
        for file in self._files.values():
            file.flush()

    def _of(self, share: int) -> Path:
        return self._path.with_name(f"{self._path.name}-{share}")

    def _append(self, line: bytes) -> int:
        file = self._files[self._share]
        start = self._share * _SHARE_BYTES + file.tell()
        file.write(line)
        return start

    def _lengths(self, rows: RowArray) -> IntArray:
        lengths: IntArray = self._shapes.columns()["length"][rows["shape"]]
        odd = rows["shape"] == UNSHAPED
        if odd.any():
            lengths[odd] = rows.view(_ODD_ROW)["length"][odd]
        return lengths

    def _written(self, rows: RowArray, lengths: IntArray) -> Lines:
        starts, data = starts_of(lengths), np.empty(int(lengths.sum()), np.uint8)
        digits = to_columns(rows["id"])
        for number, places in by_value(rows["shape"]):
            if number == UNSHAPED:
                self._copy_odd(pick(rows, places), starts[places], data)
                continue
            written = self._shapes.shape(number).write(digits[places], pick(rows, places)["slots"])
            windows(data, written.shape[1])[starts[places]] = written.view(f"V{written.shape[1]}").reshape(-1)
        return Lines(data, lengths, rows["kind"])

    def _copy_odd(self, rows: RowArray, targets: IntArray, data: ByteArray) -> None:
        odd = rows.view(_ODD_ROW)
        for start, length, target in zip(odd["start"].tolist(), odd["length"].tolist(), targets.tolist(), strict=True):
            share, at = divmod(start, _SHARE_BYTES)
            line = os.pread(self._files[share].fileno(), length, at)
            data[target : target + length] = np.frombuffer(line, np.uint8)
