"""Whether the results queue has room: above a configured backlog publishing pauses, instead of filling it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from complyq_config.errors import ComplyqError

if TYPE_CHECKING:
    from complyq_workers.clock import Clock
    from complyq_workers.events import EventPublisher

_FRESH_SECONDS = 1.0


class BacklogError(ComplyqError):
    """So many events wait for listeners that none is added for now. The step ends, and a later sweep finds it; nothing is lost."""

    def __init__(self, backlog: int, most: int) -> None:
        super().__init__(f"{backlog} events wait for listeners, {most} may (COMPLYQ_EVENTS_MAX_BACKLOG)")
        self.backlog = backlog
        self.most = most


class Room:
    """Counts what waits on the results queue, at most once a second."""

    def __init__(self, events: EventPublisher, clock: Clock, most: int) -> None:
        """Prepare to look.

        Args:
            events: the results queue.
            clock: tells how old the last count is.
            most: so many events may wait; 0 for any number.
        """
        self._events = events
        self._clock = clock
        self._most = most
        self._counted_at = float("-inf")
        self._backlog = 0

    def require(self) -> None:
        """Make sure that an event may be added. A queue that cannot tell what waits has room.

        Raises:
            BacklogError: too many wait.
            EventsError: the queue does not answer, or refuses.
        """
        if not self._most:
            return
        if self._clock.monotonic() - self._counted_at >= _FRESH_SECONDS:
            self._backlog = self._events.backlog() or 0
            self._counted_at = self._clock.monotonic()
        if self._backlog >= self._most:
            raise BacklogError(self._backlog, self._most)
