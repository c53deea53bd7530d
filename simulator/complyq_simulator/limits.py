"""X's request limits: so many for each endpoint in fifteen minutes."""

import math
from dataclasses import dataclass

WINDOW_SECONDS = 900


@dataclass(slots=True)
class _Window:
    used: int
    reset_at: float


@dataclass(frozen=True, slots=True)
class Charge:
    """The outcome of one request against its limit; `reset` in epoch seconds."""

    allowed: bool
    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """Return the headers X sends with every answer."""
        return {
            "x-rate-limit-limit": str(self.limit),
            "x-rate-limit-remaining": str(self.remaining),
            "x-rate-limit-reset": str(self.reset),
        }


class Limits:
    """One window for each endpoint; it begins with the first request after the last one ended."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._windows: dict[str, _Window] = {}

    def charge(self, endpoint: str, now: float) -> Charge:
        """Count one request; a refused one counts too."""
        window = self._windows.get(endpoint)
        if window is None or now >= window.reset_at:
            window = self._windows[endpoint] = _Window(0, now + WINDOW_SECONDS)
        window.used += 1
        remaining = max(0, self._limit - window.used)
        return Charge(window.used <= self._limit, self._limit, remaining, math.ceil(window.reset_at))
