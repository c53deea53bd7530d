"""A results queue in memory, for tests: the semantics of the real ones, and an outage on request."""

from complyq_producer.errors import EventsError


class MemoryPublisher:
    """Implements `EventPublisher`.

    Attributes:
        events: id and body of each event, in order of publication.
        available: set it to False, and every call raises EventsError.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, bytes]] = []
        self.available = True
        self._published: set[tuple[str, str]] = set()

    def publish(self, batch_id: str, event_id: str, body: bytes) -> bool:
        """Remember an event unless it was published before."""
        self.verify()
        if (batch_id, event_id) in self._published:
            return False
        self._published.add((batch_id, event_id))
        self.events.append((event_id, body))
        return True

    def verify(self) -> None:
        """Raise EventsError while the queue is made unavailable."""
        if not self.available:
            raise EventsError("The results queue is not available.")
