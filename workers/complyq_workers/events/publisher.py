"""The results queue as workers see it."""

from typing import Protocol


class EventPublisher(Protocol):
    """Puts events on the results queue, each once as far as it remembers. Repeating a call is always safe."""

    def publish(self, batch_id: str, event_id: str, body: bytes) -> bool:
        """Publish an event unless it was published before.

        Args:
            batch_id: the batch the event is about; what was published is remembered by batch. In a replay it is followed by
                `@` and the replay's id, so that what was published before is published once more.
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

    def backlog(self) -> int | None:
        """Count the events on the queue that its listeners have not handled yet.

        Returns:
            The number of events, of the group that is furthest behind where each group gets them all; an estimate where
            the queue gives no more than that. None if the queue cannot tell.

        Raises:
            EventsError: the queue does not answer, or refuses.
        """

    def life(self) -> str | None:
        """Name the present life of the queue: it begins another one when it loses what it held, read or not.

        Returns:
            A UUID, the same until then. None if the queue cannot tell.

        Raises:
            EventsError: the queue does not answer, or refuses.
        """
