"""What lines say, as small numbers: pairs of an action and a reason, of which there are few."""

from collections.abc import Mapping
from threading import Lock
from typing import TypeAlias

Kind: TypeAlias = tuple[str | None, str | None]
"""Action and reason, None where X named none."""

UNTOLD = 65_535
"""Stands for pairs beyond as many as there are numbers, and for very long ones: who wants to know them reads the lines."""

SHARES = 2
"""So many processes may number what they meet: each has numbers of its own, which mean the same everywhere."""

_MOST = UNTOLD // SHARES
_LONGEST = 128  # characters of both names: X must not fill the memory
REJECTED_RANK = 0
_OTHER_RANK = 1
_RANKS = {"scrub_geo": 2, "rehydrate": 3, "delete": 4}


def rank_of(action: str | None) -> int:
    """How strongly a line speaks for its ID: X's own order, then actions we do not know, then errors."""
    return _RANKS.get(action or "", _OTHER_RANK)


class Kinds:
    """Numbers pairs as they are met; may be used by several threads."""

    def __init__(self, share: int = 0) -> None:
        """Know none, and number those that are met as process number `share` does."""
        self._coming = iter(range(share * _MOST, (share + 1) * _MOST))
        self._pairs: dict[int, Kind] = {}
        self._numbers: dict[Kind, int] = {}
        self._lock = Lock()

    def learn(self, pairs: Mapping[int, Kind]) -> None:
        """Know these too, which another process has numbered; a pair may have two numbers then."""
        self._pairs.update(pairs)

    def number(self, action: str | None, reason: str | None) -> int:
        """The pair's number, or UNTOLD."""
        known = self._numbers.get((action, reason))
        return self._new_number((action, reason)) if known is None else known

    def pair(self, number: int) -> Kind:
        """The pair with this number, which is not UNTOLD."""
        return self._pairs[number]

    def pairs(self) -> dict[int, Kind]:
        """All pairs by their numbers."""
        return dict(self._pairs)

    def _new_number(self, pair: Kind) -> int:
        with self._lock:
            number = next(self._coming, None) if pair not in self._numbers and _length(pair) <= _LONGEST else None
            if number is not None:
                self._pairs[number] = pair
                self._numbers[pair] = number
            return self._numbers.get(pair, UNTOLD)


def _length(pair: Kind) -> int:
    return sum(len(name) for name in pair if name)
