"""Has tables written by a process of its own.

What pyarrow takes, thirty megabytes as soon as it is imported, a worker that sorts results has no room for, and this
process has it for the length of one collection.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import cast

from complyq_config.errors import ComplyqError
from complyq_workers.results.kinds import Kind
from complyq_workers.results.lines import RowArray
from complyq_workers.results.outputs import Packed
from complyq_workers.results.shapes import Shape


class TableError(ComplyqError):
    """A results table could not be written; collecting the job again may help."""


@dataclass(frozen=True, slots=True)
class Begin:
    """What rows refer to: see `Kinds`, `Shapes` and `LineWriter`."""

    job_type: str
    pairs: Sequence[Kind]
    shapes: Sequence[Shape]
    odd_lines: Path


@dataclass(frozen=True, slots=True)
class Make:
    """The rows of a part, and where their table is to be."""

    rows: Path
    table: Path


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no table."""

    why: str


class TableProcess:
    """Writes one table after another; several threads may ask. Begins to import what it needs at once."""

    def __init__(self, folder: Path) -> None:
        """Start the process; rows pass through files in this folder."""
        self._folder = folder
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "complyq_workers.results.tables"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},  # gives memory back sooner than others
            start_new_session=True,  # what a terminal sends to stop the worker is not for it
        )

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        with suppress(BrokenPipeError):
            self._process.communicate()

    def begin(self, begin: Begin) -> None:
        """Tell it once what rows refer to."""
        self._send(begin)

    def write(self, pieces: Iterator[RowArray], table: Path) -> Packed:
        """Write the results of some rows, in their order, to a new file.

        Raises:
            TableError: it could not.
        """
        rows = self._folder / f"{table.name}.rows"
        with rows.open("wb") as file:
            for piece in pieces:
                piece.tofile(file)
        with self._lock:
            self._send(Make(rows, table))
            answer = self._answer()
        rows.unlink()
        if isinstance(answer, Failed):
            raise TableError(f"the table {table.name} cannot be written: {answer.why}")
        return answer

    def _send(self, request: Begin | Make) -> None:
        stdin = self._process.stdin
        try:
            pickle.dump(request, stdin)  # type: ignore[arg-type] # there is one
            stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            raise self._ended() from None

    def _answer(self) -> Packed | Failed:
        try:
            return cast("Packed | Failed", pickle.load(self._process.stdout))  # type: ignore[arg-type] # noqa: S301
        except (EOFError, pickle.UnpicklingError):
            raise self._ended() from None

    def _ended(self) -> TableError:
        return TableError(f"the process that writes tables ended with {self._process.wait()}")
