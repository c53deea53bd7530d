"""A publisher for queues that take any event as often as it comes."""

from __future__ import annotations

from typing import Protocol

from complyq_workers.events.published import PublishedEvents


class EventQueue(Protocol):
    """A queue that confirms what it has. Any thread may use it; a forked process gets connections of its own."""

    def send(self, batch_id: str, event_id: str, body: bytes) -> None:
        """Put an event on the queue, and return when the queue has confirmed it.

        Raises:
            EventsError: there is no confirmation. The event may be on the queue all the same.
        """

    def verify(self) -> None:
        """Prove that events can be published, without publishing one; raises EventsError."""

    def backlog(self) -> int | None:
        """Count the events that wait for listeners, None if that is not known; raises EventsError."""

    def close(self) -> None:
        """Close the connections of this process; the next call opens new ones."""


class RecordedPublisher:
    """Implements `EventPublisher`: looks up what was published, publishes, and records it after the confirmation.

    Who dies between confirmation and record leaves a copy to be published; listeners know it by its id.
    """

    def __init__(self, queue: EventQueue, published: PublishedEvents) -> None:
        self._queue = queue
        self._published = published

    def publish(self, batch_id: str, event_id: str, body: bytes) -> bool:
        """Publish an event unless it was published before; raises EventsError."""
        if self._published.has(batch_id, event_id):
            return False
        self._queue.send(batch_id, event_id, body)
        self._published.add(batch_id, event_id)
        return True

    def verify(self) -> None:
        """Prove that events can be published, without publishing one; raises EventsError."""
        self._published.has("probe", "probe")
        self._queue.verify()

    def backlog(self) -> int | None:
        """Count the events that wait for listeners, None if that is not known; raises EventsError."""
        return self._queue.backlog()

    def life(self) -> None:
        """Tell nothing: such a queue does not show whether it lost what it held."""

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._queue.close()
        self._published.close()
