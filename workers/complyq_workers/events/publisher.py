"""The results queue as workers see it."""

from typing import Protocol


class EventPublisher(Protocol):
    """Puts events on the results queue, each once as far as it remembers. Repeating a call is always safe."""

    def publish(self, batch_id: str, event_id: str, body: bytes) -> bool:
        """Publish an event unless it was published before.

        Args:
            batch_id: the batch the event is about; what was published is remembered by batch.
            event_id: the event's own id.
            body: its JSON, published as it is.

        Returns:
            False if the event was published before. True if it is on the queue now.

        Raises:
            EventsError: the queue does not answer, or refuses. Whether the event was published is unknown.
        """

    def verify(self) -> None:
        """Prove that events can be published, without publishing one.

        Raises:
            EventsError: they cannot; the message says what to mend.
        """
