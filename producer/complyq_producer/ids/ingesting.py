"""From whatever holds IDs to the sorted, disjoint parts of a batch."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, TypeAlias, cast

from complyq_producer.errors import EmptyBatchError, InvalidArgumentError
from complyq_producer.ids.items import parse_items
from complyq_producer.ids.lines import parse_lines
from complyq_producer.ids.parts import IdPart, PartWriter
from complyq_producer.ids.rejects import Rejects
from complyq_producer.ids.sorting import Sorter
from complyq_producer.ids.sources import file_blocks, path_blocks
from complyq_producer.ids.spool import Spool, open_spool
from complyq_producer.ids.values import IdArray

IdSource: TypeAlias = Iterable[int | str] | str | os.PathLike[str] | IO[str] | IO[bytes]

_PART_BYTES = 16_000_000
_LONGEST_LINE = len(f"{2**64 - 1}\n")


@dataclass(frozen=True, slots=True)
class IngestedIds:
    """The IDs of one batch, checked, sorted and without duplicates.

    Attributes:
        submitted: how many IDs were given; blank lines are none. It is `invalid + duplicates + unique`.
        invalid: how many were skipped.
        duplicates: how many valid ones were given again.
        unique: how many different ones there are.
        digest: SHA-256 in hex of the unique IDs in ascending order, a line feed behind each.
    """

    submitted: int
    invalid: int
    duplicates: int
    unique: int
    digest: str
    _parts: Callable[[], Iterator[IdPart]] = field(repr=False)

    def parts(self) -> Iterator[IdPart]:
        """Yield the parts, ascending and disjoint, each with a file of its own; may be asked for again."""
        return self._parts()


@contextmanager
def ingest(
    ids: IdSource, *, spool_dir: Path, on_invalid: Literal["refuse", "skip"], part_bytes: int = _PART_BYTES
) -> Iterator[IngestedIds]:
    """Read all IDs; up to about a million different ones stay in memory, more go through files in `spool_dir`.

    Which parts come out depends on the set of IDs alone, not on their order or on where they were kept. The files
    have no name, so that nothing of them outlives the block or the process.

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
        sorter = _sorted(values, rejects, spool, refuse=on_invalid == "refuse")
        yield _written(sorter, rejects, spool, part_bytes)


def _check(on_invalid: str, part_bytes: int) -> None:
    if on_invalid not in {"refuse", "skip"}:
        raise InvalidArgumentError(f'on_invalid is {on_invalid!r}: it may be "refuse" or "skip"')
    if part_bytes < _LONGEST_LINE:
        raise InvalidArgumentError(f"part_bytes is {part_bytes}: a single ID may need {_LONGEST_LINE}")


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


def _sorted(values: Iterator[IdArray], rejects: Rejects, spool: Spool, *, refuse: bool) -> Sorter:
    sorter = Sorter(spool)
    for array in values:
        if not (refuse and rejects.count):  # after the first one only the others are counted
            sorter.add(array)
    if refuse:
        rejects.refuse()
    if not sorter.added:
        raise EmptyBatchError(_nothing(rejects))
    return sorter


def _nothing(rejects: Rejects) -> str:
    if rejects.count:
        return f"there is no valid ID: {rejects.describe()}"
    return "there is no ID at all: give at least one"


def _written(sorter: Sorter, rejects: Rejects, spool: Spool, part_bytes: int) -> IngestedIds:
    writer = PartWriter(spool.text_file(in_memory=sorter.in_memory), part_bytes)
    for array in sorter.ascending():
        with spool.translated():
            writer.add(array)
    return IngestedIds(
        submitted=sorter.added + rejects.count,
        invalid=rejects.count,
        duplicates=sorter.added - writer.count,
        unique=writer.count,
        digest=writer.digest(),
        _parts=writer.parts,
    )
