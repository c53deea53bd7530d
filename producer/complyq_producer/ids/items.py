"""IDs from an iterable of numbers and texts."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from complyq_producer.ids.rejects import Rejects
from complyq_producer.ids.values import MAX_ID, IdArray, parse_exactly, parse_plain

_AT_ONCE = 16_384
_AROUND = " \t\r\n"


def parse_items(items: Iterable[Any], rejects: Rejects) -> Iterator[IdArray]:
    """Yield the valid IDs, some thousands at a time, in order.

    Texts follow the rule of lines. Numbers are Python's and numpy's integers; bool, float and everything else is
    counted in `rejects`.
    """
    iterator = iter(items)
    position = 1
    while batch := list(islice(iterator, _AT_ONCE)):
        values = _plain(batch)
        yield _each(batch, position, rejects) if values is None else values
        position += len(batch)


def _plain(batch: list[Any]) -> IdArray | None:
    """Return the IDs of items that are all int, or all text of digits; None if each has to be looked at."""
    kinds = set(map(type, batch))
    if kinds == {int}:
        return _numbers(batch)
    if kinds == {str}:
        return _texts(batch)
    return None


def _numbers(batch: list[int]) -> IdArray | None:
    try:
        values = np.array(batch, np.uint64)
    except OverflowError:
        return None
    return values if values.all() else None


def _texts(batch: list[str]) -> IdArray | None:
    joined = "\n".join(batch) + "\n"
    if not joined.isascii() or joined.count("\n") != len(batch):
        return None
    return parse_plain(joined.encode())


def _each(batch: list[Any], position: int, rejects: Rejects) -> IdArray:
    values = []
    for number, item in enumerate(batch, position):
        value = _value(item)
        if value is not None:
            values.append(value)
        elif not _is_blank(item):
            rejects.add(number, item)
    return np.array(values, np.uint64)


def _value(item: object) -> int | None:
    if isinstance(item, str):
        return parse_exactly(item.strip(_AROUND).encode(errors="replace"))
    if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
        return int(item) if 1 <= int(item) <= MAX_ID else None
    return None


def _is_blank(item: object) -> bool:
    return isinstance(item, str) and not item.strip(_AROUND)
