"""The time as steps see it: a port, so that it can stand still, jump and differ between workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from complyq_producer.facts import utc_now

if TYPE_CHECKING:
    from datetime import datetime


class Clock(Protocol):
    """Tells the time of this machine. No promise rests on two clocks agreeing, or on one that never jumps."""

    def now(self) -> datetime:
        """Return the time of day in UTC, as precise as this machine's clock is right."""

    def monotonic(self) -> float:
        """Return seconds that only grow; their zero means nothing."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return utc_now()

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)
