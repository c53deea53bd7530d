"""The simulator's own clock, which tests may move forward."""

import time
from datetime import UTC, datetime
from email.utils import formatdate


class Clock:
    """The machine's clock plus whatever it was advanced by; a still one goes on only when it is advanced."""

    def __init__(self, *, still: bool = False) -> None:
        self._still_at = time.time() if still else None
        self._offset = 0.0

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return (time.time() if self._still_at is None else self._still_at) + self._offset

    def advance(self, seconds: float) -> None:
        """Move this clock forward; URLs, windows and rate limits follow it."""
        self._offset += seconds


def iso(at: float) -> str:
    """Write a time as X does in a job: whole seconds, `2021-08-05T01:35:11.000Z`."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def iso_milliseconds(at: float) -> str:
    """Write a time with its milliseconds, for the journal."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compact(at: float) -> str:
    """Write a time as `X-Goog-Date` does: `20210805T013511Z`."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y%m%dT%H%M%SZ")


def from_compact(text: str) -> float:
    """Read an `X-Goog-Date`; raises ValueError when it is none."""
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def http_date(at: float) -> str:
    """Write a time as a `Date` header does."""
    return formatdate(at, usegmt=True)
