"""Has tables written by a process of its own.

What pyarrow takes, thirty megabytes as soon as it is imported, a worker that sorts results has no room for, and this
process has it for the length of one collection.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from complyq_workers.results.child import ChildError, ChildProcess
from complyq_workers.results.kinds import Kind
from complyq_workers.results.lines import RowArray
from complyq_workers.results.outputs import Packed
from complyq_workers.results.shapes import Shape


class TableError(ChildError):
    """A results table could not be written; collecting the job again may help."""


@dataclass(frozen=True, slots=True)
class Begin:
    """What rows refer to: see `Kinds`, `Shapes` and `LineWriter`."""

    job_type: str
    kinds: Mapping[int, Kind]
    shapes: Mapping[int, Shape]
    odd_lines: Path
    shares: Sequence[int]


@dataclass(frozen=True, slots=True)
class Make:
    """The rows of a part, and where their table is to be."""

    rows: Path
    table: Path


class TableProcess:
    """Writes one table after another; several threads may ask. Begins to import what it needs at once."""

    def __init__(self, folder: Path) -> None:
        """Start the process; rows pass through files in this folder."""
        self._folder = folder
        self._process = ChildProcess(
            "complyq_workers.results.tables",
            "the process that writes tables",
            {"ARROW_DEFAULT_MEMORY_POOL": "system"},  # gives memory back sooner than others
        )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.close()

    def begin(self, begin: Begin) -> None:
        """Tell it once what rows refer to."""
        self._process.ask(begin)

    def write(self, pieces: Iterator[RowArray], table: Path) -> Packed:
        """Write the results of some rows, in their order, to a new file.

        Raises:
            TableError: it could not.
        """
        rows = self._folder / f"{table.name}.rows"
        with rows.open("wb") as file:
            for piece in pieces:
                piece.tofile(file)
        try:
            return cast("Packed", self._process.ask(Make(rows, table)))
        except ChildError as error:
            raise TableError(f"the table {table.name} cannot be written: {error}") from error
        finally:
            rows.unlink()
