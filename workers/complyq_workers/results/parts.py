"""The IDs of a job's parts, read from the store one part after the other, small ones many at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from complyq_producer.errors import ObjectNotFoundError
from complyq_producer.ids.values import EMPTY, IdArray, parse_exactly, parse_plain
from complyq_workers.results.errors import PartMissingError, PartUnreadableError
from complyq_workers.together import Together, one_by_one

Beat = Callable[[], None]
PlaceArray = npt.NDArray[np.uint32]

_BLOCK_BYTES = 1 << 20
_GROUP_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class PartIds:
    """One part of the job: whose it is, and how to read its sorted unique IDs.

    Attributes:
        batch_id: the batch the part belongs to.
        part: its number in the batch.
        open_ids: opens its text, one decimal ID a line, ascending; where parts are read together, in any thread.
        bytes: length of the text; parts for which it is not known are read one at a time.
    """

    batch_id: str
    part: int
    open_ids: Callable[[], AbstractContextManager[BinaryIO]]
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class IdBlock:
    """Some IDs, and for each the place of its part among those that are read; parts in order, their IDs ascending."""

    ids: IdArray
    places: PlaceArray


def read_parts(
    parts: Sequence[PartIds], *, together: Together = one_by_one, beat: Beat = lambda: None
) -> Iterator[IdBlock]:
    """All IDs of the parts, in order, a few hundred thousand at a time.

    Args:
        parts: what to read.
        together: fetches small parts, about 4 MB at once; larger ones are streamed.
        beat: called for each block.

    Raises:
        PartMissingError: the store has no such part.
        PartUnreadableError: a part is not ascending decimal IDs, or not as long as it should be.
    """
    previous = IdBlock(EMPTY, np.empty(0, np.uint32))
    for group in _groups(parts):
        blocks = _streamed(parts, group[0]) if len(group) == 1 else [_fetched(parts, group, together)]
        for block in blocks:
            beat()
            _require_ascending(parts, previous, block)
            previous = IdBlock(block.ids[-1:], block.places[-1:])
            yield block


def _groups(parts: Sequence[PartIds]) -> Iterator[list[int]]:
    """Places of parts that follow each other and are small enough to be fetched at once; a large one stands alone."""
    group: list[int] = []
    size = 0
    for place, part in enumerate(parts):
        small = part.bytes is not None and part.bytes < _BLOCK_BYTES
        length = part.bytes or 0 if small else _GROUP_BYTES + 1
        if group and size + length > _GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(place)
        size += length
    if group:
        yield group


def _fetched(parts: Sequence[PartIds], group: list[int], together: Together) -> IdBlock:
    """Small parts, parsed as one text: a numpy call for each of ten thousand parts would take a second."""
    texts = together(lambda place: _fetch(parts[place]), group)
    lines = [text.count(b"\n") for text in texts]
    ids = parse_plain(b"".join(texts))
    if ids is None or len(ids) != sum(lines):
        ids = np.concatenate([_numbers(parts[place], text) for place, text in zip(group, texts, strict=True)])
    return IdBlock(ids, np.repeat(np.array(group, np.uint32), lines))


def _fetch(part: PartIds) -> bytes:
    with _opened(part) as stream:
        text = stream.read()
    _require_whole(part, len(text), text[-1:])
    return text


def _streamed(parts: Sequence[PartIds], place: int) -> Iterator[IdBlock]:
    part, length, rest = parts[place], 0, b""
    with _opened(part) as stream:
        for data in iter(partial(stream.read, _BLOCK_BYTES), b""):
            length += len(data)
            text = rest + data
            end = text.rfind(b"\n") + 1
            lines, rest = text[:end], text[end:]
            ids = _numbers(part, lines)
            if len(ids):
                yield IdBlock(ids, np.full(len(ids), place, np.uint32))
    _require_whole(part, length, rest or b"\n")


@contextmanager
def _opened(part: PartIds) -> Iterator[BinaryIO]:
    try:
        with part.open_ids() as stream:
            yield stream
    except ObjectNotFoundError as error:
        raise PartMissingError(part.batch_id, part.part, f"is missing: {error}") from error


def _require_whole(part: PartIds, length: int, end: bytes) -> None:
    """A part that was cut short would leave IDs unchecked, which nobody would notice."""
    if part.bytes is not None and length != part.bytes:
        raise PartUnreadableError(part.batch_id, part.part, f"has {length} bytes instead of {part.bytes}")
    if end not in {b"", b"\n"}:
        raise PartUnreadableError(part.batch_id, part.part, "ends within a line")


def _numbers(part: PartIds, lines: bytes) -> IdArray:
    """The IDs of whole lines, none of them blank."""
    ids = parse_plain(lines)
    if ids is None or len(ids) != lines.count(b"\n"):
        values = [parse_exactly(line) for line in lines.split(b"\n")[:-1]]
        if None in values:
            raise PartUnreadableError(part.batch_id, part.part, "holds something other than decimal IDs")
        ids = np.array(values, np.uint64)
    return ids


def _require_ascending(parts: Sequence[PartIds], previous: IdBlock, block: IdBlock) -> None:
    ids = np.concatenate([previous.ids, block.ids])
    places = np.concatenate([previous.places, block.places])
    wrong = np.flatnonzero((places[1:] == places[:-1]) & (ids[1:] <= ids[:-1]))
    if len(wrong):
        part = parts[int(places[wrong[0] + 1])]
        raise PartUnreadableError(part.batch_id, part.part, "holds IDs that are not ascending")
