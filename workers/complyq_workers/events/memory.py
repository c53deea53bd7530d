"""A results queue in memory, for tests: the semantics of the real ones, and an outage on request."""

import threading
import time
from collections.abc import Callable

import uuid_utils

from complyq_producer.errors import EventsError

_SECONDS_AN_HOUR = 3_600


class MemoryPublisher:
    """Implements `EventPublisher`.

    Attributes:
        events: id and body of each event, in order of publication.
        available: set it to False, and every call raises EventsError.
        waiting: set it to what `backlog` is to tell.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, *, replay_hours: int = 168) -> None:
        """Prepare an empty queue.

        Args:
            now: the clock, in seconds.
            replay_hours: how long it is remembered that an event of a batch was published, since the batch's last one.
        """
        self.events: list[tuple[str, bytes]] = []
        self.available = True
        self.waiting: int | None = 0
        self._life = str(uuid_utils.uuid7())
        self._now = now
        self._remembered_seconds = replay_hours * _SECONDS_AN_HOUR
        self._published: dict[str, tuple[set[str], float]] = {}
        self._lock = threading.Lock()

    def publish(self, batch_id: str, event_id: str, body: bytes) -> bool:
        """Append an event unless it was published before; raises EventsError."""
        self.verify()
        with self._lock:
            published = self._published_of(batch_id)
            if event_id in published:
                return False
            published.add(event_id)
            self._published[batch_id] = (published, self._now() + self._remembered_seconds)
            self.events.append((event_id, body))
            return True

    def verify(self) -> None:
        """Raise EventsError while the queue is made unavailable."""
        if not self.available:
            raise EventsError("The results queue is not available.")

    def backlog(self) -> int | None:
        """Tell what `waiting` says; raises EventsError while the queue is made unavailable."""
        self.verify()
        return self.waiting

    def life(self) -> str:
        """Name the time since the queue was last flushed; raises EventsError while it is made unavailable."""
        self.verify()
        return self._life

    def flush(self) -> None:
        """Lose the queue and what is remembered of it, as a Redis that was restarted without persistence does."""
        with self._lock:
            self.events.clear()
            self._published.clear()
            self._life = str(uuid_utils.uuid7())

    def _published_of(self, batch_id: str) -> set[str]:
        published, until = self._published.get(batch_id, (set[str](), 0.0))
        return published if until > self._now() else set()
