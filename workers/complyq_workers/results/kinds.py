"""What lines say, as small numbers: pairs of an action and a reason, of which there are few."""

from threading import Lock
from typing import TypeAlias

Kind: TypeAlias = tuple[str | None, str | None]
"""Action and reason, None where X named none."""

UNTOLD = 65_535
"""Stands for pairs beyond as many as there are numbers: who wants to know them reads the lines."""

REJECTED_RANK = 0
_OTHER_RANK = 1
_RANKS = {"scrub_geo": 2, "rehydrate": 3, "delete": 4}


def rank_of(action: str | None) -> int:
    """How strongly a line speaks for its ID: X's own order, then actions we do not know, then errors."""
    return _RANKS.get(action or "", _OTHER_RANK)


class Kinds:
    """Numbers pairs as they are met; may be used by several threads."""

    def __init__(self) -> None:
        self._numbers: dict[Kind, int] = {}
        self._pairs: list[Kind] = []
        self._lock = Lock()

    def number(self, action: str | None, reason: str | None) -> int:
        """The pair's number, or UNTOLD."""
        known = self._numbers.get((action, reason))
        return self._new_number((action, reason)) if known is None else known

    def pair(self, number: int) -> Kind:
        """The pair with this number, which is not UNTOLD."""
        return self._pairs[number]

    def _new_number(self, pair: Kind) -> int:
        with self._lock:
            if pair not in self._numbers and len(self._pairs) < UNTOLD:
                self._pairs.append(pair)
                self._numbers[pair] = len(self._pairs) - 1
            return self._numbers.get(pair, UNTOLD)
