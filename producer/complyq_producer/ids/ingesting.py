"""From whatever holds IDs to the sorted, disjoint parts of a batch."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, TypeAlias, cast

from complyq_producer.errors import EmptyBatchError, InvalidArgumentError
from complyq_producer.ids.background import Background
from complyq_producer.ids.items import parse_items
from complyq_producer.ids.lines import parse_lines
from complyq_producer.ids.parts import IdPart, make_parts
from complyq_producer.ids.rejects import Rejects
from complyq_producer.ids.sorting import Sorter
from complyq_producer.ids.sources import file_blocks, path_blocks
from complyq_producer.ids.spool import open_spool
from complyq_producer.ids.text import LONGEST_LINE
from complyq_producer.ids.values import IdArray

IdSource: TypeAlias = Iterable[int | str] | str | os.PathLike[str] | IO[str] | IO[bytes]

_PART_BYTES = 16_000_000


class IngestedIds:
    """The IDs of one batch, checked, sorted and without duplicates.

    How many are unique, and their digest, is known once the parts were made, which is done for it if need be.

    Attributes:
        submitted: how many IDs were given; blank lines are none. It is `invalid + duplicates + unique`.
        invalid: how many were skipped.
    """

    def __init__(self, sorter: Sorter, invalid: int, part_bytes: int) -> None:
        self.submitted = sorter.added + invalid
        self.invalid = invalid
        self._sorter = sorter
        self._part_bytes = part_bytes
        self._known: tuple[int, str] | None = None

    @property
    def unique(self) -> int:
        """How many different ones there are."""
        return self._count_and_digest()[0]

    @property
    def duplicates(self) -> int:
        """How many valid ones were given again."""
        return self._sorter.added - self.unique

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the unique IDs in ascending order, a line feed behind each."""
        return self._count_and_digest()[1]

    def each_part(self, take: Callable[[IdPart], object]) -> None:
        """Have `take` called with each part, ascending and disjoint, one after the other; may be asked for again.

        If there are many, it is called in another thread, while the next part is made. A part's text is there only
        until it returns. Nothing is under way any more when this returns or raises.
        """
        self._known = self._make_parts(take)

    def _count_and_digest(self) -> tuple[int, str]:
        if self._known is None:
            self._known = self._make_parts(lambda _: None)
        return self._known

    def _make_parts(self, take: Callable[[IdPart], object]) -> tuple[int, str]:
        count, sha256 = 0, hashlib.sha256()
        apart = not self._sorter.in_memory
        with Background(apart=apart) as hashing, Background(apart=apart) as taking:
            for part in make_parts(self._sorter.ascending(), min(self._part_bytes, self._sorter.added * LONGEST_LINE)):
                count += part.count
                hashing.run(sha256.update, part.text)
                taking.run(take, part)
        return count, sha256.hexdigest()


@contextmanager
def ingest(
    ids: IdSource, *, spool_dir: Path, on_invalid: Literal["refuse", "skip"], part_bytes: int = _PART_BYTES
) -> Iterator[IngestedIds]:
    """Read all IDs; up to about a million different ones stay in memory, more go through a file in `spool_dir`.

    Which parts come out depends on the set of IDs alone, not on their order or on where they were kept. The file has no
    name, so that nothing of it outlives the block or the process.

    Args:
        ids: an iterable of int or str, or a path or an open file with one ID a line, plain or gzip. An open file is
            read from its position and left open.
        spool_dir: a folder on a disk, made with mode 0700 if it is missing.
        on_invalid: "refuse" the whole input, or "skip" and count what is not decimal, zero, or beyond 64 bits.
        part_bytes: the size of a part at most.

    Raises:
        InvalidIdsError: IDs are invalid, with the first of them; only with "refuse".
        EmptyBatchError: there is no (valid) ID.
        UnreadableInputError: the file is missing, unreadable or not text; TruncatedInputError if its gzip ends early.
        InvalidArgumentError: `ids` or `on_invalid` is something else.
        ConfigurationError: `spool_dir` cannot be written.
    """
    _check(on_invalid, part_bytes)
    rejects = Rejects("line" if _is_file(ids) else "item")
    values = _values(ids, rejects)
    with open_spool(spool_dir) as spool:
        with Background() as background:
            sorter = Sorter(spool, background=background)
            _add_all(values, sorter, rejects, refuse=on_invalid == "refuse")
        yield IngestedIds(sorter, rejects.count, part_bytes)


def _check(on_invalid: str, part_bytes: int) -> None:
    if on_invalid not in {"refuse", "skip"}:
        raise InvalidArgumentError(f'on_invalid is {on_invalid!r}: it may be "refuse" or "skip"')
    if part_bytes < LONGEST_LINE:
        raise InvalidArgumentError(f"part_bytes is {part_bytes}: a single ID may need {LONGEST_LINE}")


def _is_file(ids: object) -> bool:
    return isinstance(ids, (str, os.PathLike)) or hasattr(ids, "read")


def _values(ids: IdSource, rejects: Rejects) -> Iterator[IdArray]:
    if isinstance(ids, (str, os.PathLike)):
        return parse_lines(path_blocks(Path(ids)), rejects, str(ids))
    if hasattr(ids, "read"):
        file = cast("IO[str] | IO[bytes]", ids)
        return parse_lines(file_blocks(file), rejects, str(getattr(file, "name", "the input")))
    if isinstance(ids, (bytes, bytearray, memoryview)) or not isinstance(ids, Iterable):
        kind = type(ids).__name__
        raise InvalidArgumentError(f"ids is of type {kind}: give an iterable of int or str, a path, or an open file")
    return parse_items(ids, rejects)


def _add_all(values: Iterator[IdArray], sorter: Sorter, rejects: Rejects, *, refuse: bool) -> None:
    for array in values:
        if not (refuse and rejects.count):  # after the first one only the others are counted
            sorter.add(array)
    if refuse:
        rejects.refuse()
    if not sorter.added:
        raise EmptyBatchError(_nothing(rejects))
    sorter.settle()


def _nothing(rejects: Rejects) -> str:
    if rejects.count:
        return f"there is no valid ID: {rejects.describe()}"
    return "there is no ID at all: give at least one"
