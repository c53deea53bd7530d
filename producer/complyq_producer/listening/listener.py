"""The iterator over events.

Each event is handled by one listener of a group and is taken off only when the loop asks for the next one. A
listener that dies in between leaves its event to the others: delivery is at least once.
"""

import os
import secrets
import socket
import sys
from collections import OrderedDict
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import msgspec
import structlog

from complyq_config.settings import Settings, load_settings
from complyq_producer.listening.event import Event
from complyq_producer.listening.groups import DEFAULT_GROUP
from complyq_producer.listening.opening import Listening, open_reader
from complyq_producer.listening.reader import Delivery, Reader

log = structlog.get_logger(__name__)

_REMEMBERED_EVENTS = 10_000


class Listener(Iterator[Event]):
    """Yields events for ever; each is acknowledged when the next one is asked for. Made by `listen`."""

    def __init__(self, reader: Reader, source: str) -> None:
        """Listen through a reader.

        Args:
            reader: where events come from.
            source: `/complyq/<namespace>`: only events from there are taken.
        """
        self._reader: Reader | None = reader
        self._source = source
        self._in_hand: tuple[Delivery, str] | None = None
        self._handled: OrderedDict[str, None] = OrderedDict()

    def __next__(self) -> Event:
        """Acknowledge the last event and wait for the next; raises EventsError where the queue refuses us."""
        self.acknowledge()
        while self._reader is not None:
            delivery = self._reader.next()
            event = _decode(delivery)
            if event is None or event.source != self._source:
                self._reader.set_aside(delivery)
            elif event.id in self._handled:
                self._reader.acknowledge(delivery)
            else:
                self._in_hand = delivery, event.id
                return event
        raise StopIteration

    def acknowledge(self) -> None:
        """Take the last event off now, without asking for another; for a loop that is about to end."""
        if self._reader is None or self._in_hand is None:
            return
        delivery, event_id = self._in_hand
        self._in_hand = None
        self._handled[event_id] = None
        if len(self._handled) > _REMEMBERED_EVENTS:
            self._handled.popitem(last=False)
        self._reader.acknowledge(delivery)

    def close(self) -> None:
        """Stop listening. An event that is not acknowledged is delivered again, to this group."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.close()


def listen(
    url: str | None = None,
    *,
    group: str = DEFAULT_GROUP,
    consumer: str | None = None,
    namespace: str | None = None,
    settings: Settings | None = None,
    block_seconds: float = 5,
    claim_seconds: float = 300,
    from_start: bool = True,
) -> Listener:
    """Yield events for ever; each is acknowledged when the next one is asked for.

    Leaving the loop, or raising in it, leaves the last event to be delivered again. Copies of an event that this
    listener handled lately are left out; handle an event so that doing it twice does no harm all the same.

    Args:
        url: the results queue, by default `COMPLYQ_EVENTS_URL`.
        group: listeners of one group share the events; each group gets them all. An SQS queue is one group by itself.
        consumer: name of this listener, unique in its group; on a stream, one that is stable gets its unfinished events
            back at once.
        namespace: whose events, by default `COMPLYQ_NAMESPACE`.
        settings: read from the environment if not given.
        block_seconds: how long one request waits for an event.
        claim_seconds: an event that another listener has had for so long is taken over. Must exceed the longest time
            that the body of the loop takes. RabbitMQ needs none: it sees that a listener is gone.
        from_start: a group that is new gets the events that are on the stream already. In RabbitMQ a new group gets
            what comes from now on, on SQS there are no new groups.

    Raises:
        ConfigurationError: the URL or a setting is wrong.
        EventsError: the queue refuses us. One that does not answer is waited for.
    """
    if url is None or namespace is None:
        settings = settings or load_settings()
        url = url or settings.effective_events_url.get_secret_value()
        namespace = namespace or settings.namespace
    how = Listening(
        group=group,
        namespace=namespace,
        consumer=consumer or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        block_seconds=block_seconds,
        claim_seconds=claim_seconds,
        from_start=from_start,
    )
    return Listener(open_reader(url, how), f"/complyq/{namespace}")


def _decode(delivery: Delivery) -> Event | None:
    """The event, or None if it is none: that is set aside, or it would stop everything behind it."""
    try:
        return msgspec.json.decode(delivery.body, type=Event)
    except ValueError as error:
        log.warning("malformed_event_skipped", entry=delivery.receipt, error=repr(error))
        return None
