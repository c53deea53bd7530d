"""What lines say, as small numbers: pairs of an action and a reason, of which there are few."""

from collections.abc import Iterable
from threading import Lock
from typing import TypeAlias

Kind: TypeAlias = tuple[str | None, str | None]
"""Action and reason, None where X named none."""

UNTOLD = 65_535
"""Stands for pairs beyond as many as there are numbers, and for very long ones: who wants to know them reads the lines."""

_LONGEST = 128  # characters of both names: X must not fill the memory
REJECTED_RANK = 0
_OTHER_RANK = 1
_RANKS = {"scrub_geo": 2, "rehydrate": 3, "delete": 4}


def rank_of(action: str | None) -> int:
    """How strongly a line speaks for its ID: X's own order, then actions we do not know, then errors."""
    return _RANKS.get(action or "", _OTHER_RANK)


class Kinds:
    """Numbers pairs as they are met; may be used by several threads."""

    def __init__(self, pairs: Iterable[Kind] = ()) -> None:
        """Begin with these pairs, if others were met elsewhere."""
        self._pairs = list(pairs)
        self._numbers = {pair: number for number, pair in enumerate(self._pairs)}
        self._lock = Lock()

    def number(self, action: str | None, reason: str | None) -> int:
        """The pair's number, or UNTOLD."""
        known = self._numbers.get((action, reason))
        return self._new_number((action, reason)) if known is None else known

    def pair(self, number: int) -> Kind:
        """The pair with this number, which is not UNTOLD."""
        return self._pairs[number]

    def pairs(self) -> tuple[Kind, ...]:
        """All pairs in order of their numbers."""
        return tuple(self._pairs)

    def _new_number(self, pair: Kind) -> int:
        with self._lock:
            if pair not in self._numbers and len(self._pairs) < UNTOLD and _length(pair) <= _LONGEST:
                self._pairs.append(pair)
                self._numbers[pair] = len(self._pairs) - 1
            return self._numbers.get(pair, UNTOLD)


def _length(pair: Kind) -> int:
    return sum(len(name) for name in pair if name)
