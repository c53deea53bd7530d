"""The results queue in RabbitMQ: a durable topic exchange, one persistent message for each event, its body is the JSON."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from kombu import Producer

from complyq_producer.errors import EventsError
from complyq_producer.listening.rabbitmq_connection import (
    ANSWER_SECONDS,
    BINDING_KEY,
    connect,
    declare_exchange,
    length_of,
    prove_publishing,
    topic_exchange,
    translated,
)

if TYPE_CHECKING:
    from complyq_producer.listening import ExchangeAddress

_IDLE_SECONDS = 30
"""A connection that nobody used for longer is not trusted: RabbitMQ hears nothing from it meanwhile, and ends it."""
_PERSISTENT = 2
_CONTENT_TYPE = "application/cloudevents+json"


class RabbitEventQueue:
    """Implements `EventQueue`. An event is published when RabbitMQ confirmed it and no event of an unbound queue."""

    def __init__(self, address: ExchangeAddress, namespace: str) -> None:
        self._address = address
        self._watched = address.watched(namespace)
        self._of_process: dict[int, _Line] = {}

    def send(self, batch_id: str, event_id: str, body: bytes) -> None:  # noqa: ARG002 - the port's argument
        """Publish the event and wait for the confirmation; raises EventsError, also where no queue is bound."""
        envelope = msgspec.json.decode(body, type=_Envelope)
        with self._line() as sender, translated("publish to", self._address):
            sender.publish(body, routing_key(envelope), message_id=event_id, type=envelope.type)

    def verify(self) -> None:
        """Prove that we may publish; raises EventsError."""
        with translated("publish to", self._address), connect(self._address) as connection:
            prove_publishing(connection, self._address)

    def backlog(self) -> int | None:
        """Count the messages on the longest queue of those that are watched; None where there is none of them."""
        with self._line() as sender, translated("look at", self._address):
            lengths = [length_of(sender.connection, queue) for queue in self._watched]
        known = [length for length in lengths if length is not None]
        return max(known) if known else None

    def close(self) -> None:
        """Close the connection of this process; the next call opens a new one."""
        line = self._of_process.pop(os.getpid(), None)
        if line:
            with line.lock:
                line.leave()

    def _line(self) -> _Line:
        """Return this process's own: after a fork, neither a socket nor a lock that was held may be shared."""
        return self._of_process.setdefault(os.getpid(), _Line(self._address))


class _Envelope(msgspec.Struct):
    """What the routing key says of an event."""

    type: str
    data: _About


class _About(msgspec.Struct):
    type: str


def routing_key(envelope: _Envelope) -> str:
    """Return `complyq.<type>.<event>`, for example `complyq.tweets.completed`."""
    return f"complyq.{envelope.data.type}.{envelope.type.split('.')[2]}"


class _Sender:
    """One connection, for one thread at a time."""

    def __init__(self, address: ExchangeAddress) -> None:
        self.connection = connect(address, confirms=True, on_blocked=_raise_blocked)
        self.used_at = time.monotonic()
        self._address = address
        self._returned: list[str] = []
        declare_exchange(self.connection, address)
        self._producer = Producer(
            self.connection.channel(), topic_exchange(address), auto_declare=False, on_return=self._take_back
        )

    def publish(self, body: bytes, key: str, **properties: str) -> None:
        """Publish a message, and return when it is confirmed and was not returned."""
        self._returned.clear()
        self._producer.publish(
            body,
            routing_key=key,
            mandatory=True,
            delivery_mode=_PERSISTENT,
            content_type=_CONTENT_TYPE,
            content_encoding="utf-8",
            timeout=ANSWER_SECONDS,
            confirm_timeout=ANSWER_SECONDS,
            **properties,
        )
        # RabbitMQ returns a message before it confirms it.
        if self._returned:
            raise EventsError(
                f"No queue takes events with the routing key {key} from the {self._address} of RabbitMQ "
                f"(COMPLYQ_EVENTS_URL), so none is published: start a listener, or bind a queue to the exchange "
                f"with the routing key {BINDING_KEY}."
            )
        self.used_at = time.monotonic()

    def _take_back(self, _error: Exception, _exchange: str, key: str, _message: Any) -> None:
        self._returned.append(key)


def _raise_blocked(_reason: str) -> None:
    raise EventsError(
        "RabbitMQ (COMPLYQ_EVENTS_URL) takes no messages, since it is short of memory or disk: see its log. "
        "Events wait until it takes them again."
    )


@dataclass
class _Line:
    """The connection of a process. Whatever goes wrong on it ends it: a late confirmation could pass for the next one's."""

    address: ExchangeAddress
    lock: threading.Lock = field(default_factory=threading.Lock)
    sender: _Sender | None = None

    def __enter__(self) -> _Sender:
        self.lock.acquire()
        try:
            if self.sender and time.monotonic() - self.sender.used_at > _IDLE_SECONDS:
                self.leave()
            with translated("reach", self.address):
                self.sender = self.sender or _Sender(self.address)
        except BaseException:
            self.lock.release()
            raise
        return self.sender

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None:
                self.drop()
        finally:
            self.lock.release()

    def leave(self) -> None:
        """End the connection in order."""
        sender, self.sender = self.sender, None
        if sender:
            with suppress(EventsError), translated("leave", self.address):
                sender.connection.release()

    def drop(self) -> None:
        """End the connection without a word to RabbitMQ, which may not listen."""
        sender, self.sender = self.sender, None
        if sender:
            sender.connection.collect()
