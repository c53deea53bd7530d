"""What a simulated world is like, and who decides what strikes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

EPOCH = datetime(2026, 11, 1, tzinfo=UTC)
"""The time of day at which worlds begin."""
MAX_ATTEMPTS = 3
PART_BYTES = 21
"""Bytes of a part: two IDs."""


class Adversary(Protocol):
    """Decides whether a fault strikes a call."""

    def fault(self, port: str, call: str) -> str | None:
        """Name the fault, or None."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a producer was asked for."""

    ids: tuple[int, ...]
    type: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Shape:
    """What stays the same for a whole history."""

    direct: bool = False
    one_at_a_time: bool = True
    x_ahead: float = 0.0
    store_ahead: float = 0.0
    max_upload_bytes: int = 60
    merge: bool = True
    poison: frozenset[int] = frozenset()
    """IDs that X cannot bear: every job with one of them fails."""
    loses_events_at: float | None = None
    """When the results queue loses all that it holds; None for never, but for what is drawn."""
    fails_until: float = 0.0
    """So long after the beginning every job fails that X begins."""
