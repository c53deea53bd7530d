"""What the listener asks of a queue, whichever it is."""

import time
from typing import NamedTuple, Protocol

import structlog

log = structlog.get_logger(__name__)

_LONGEST_PAUSE_SECONDS = 10.0


class Delivery(NamedTuple):
    """An event that is in a listener's hands until it is acknowledged.

    Attributes:
        receipt: names this delivery to the queue.
        body: the event's JSON, or whatever somebody else put on the queue.
    """

    receipt: str
    body: bytes


class Reader(Protocol):
    """Takes events from a queue, one at a time, through any outage. Only one thread uses it."""

    def next(self) -> Delivery:
        """Wait for the next event.

        Raises:
            EventsError: the queue refuses us, and waiting does not help.
        """

    def acknowledge(self, delivery: Delivery) -> None:
        """Take an event off. If that fails it comes back, and is recognised by its id; raises EventsError as `next`."""

    def set_aside(self, delivery: Delivery) -> None:
        """Pass over what is not for us, and leave it to those whose it is; raises EventsError as `next`."""

    def close(self) -> None:
        """Let go; what is in our hands goes to others of the group as soon as the queue can tell. Never raises."""


class Patience:
    """Pauses that grow while a queue does not answer."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._failures = 0

    def wait(self, error: Exception) -> None:
        """Pause, longer each time: 0.1 s, 0.2 s, … 10 s."""
        pause = min(_LONGEST_PAUSE_SECONDS, 0.1 * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        log.warning("events_unavailable", queue=self._queue, error=str(error), retry_in_seconds=pause)
        time.sleep(pause)

    def end(self) -> None:
        """The queue answered."""
        self._failures = 0
