"""Reads the queue of a group in RabbitMQ, which is bound to the exchange of all events."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from amqp.exceptions import AccessRefused

from complyq_producer.errors import EventsError, EventsRefusedError
from complyq_producer.listening.addresses import queue_of
from complyq_producer.listening.groups import only_looks
from complyq_producer.listening.rabbitmq_connection import (
    BINDING_KEY,
    HEARTBEAT_SECONDS,
    connect,
    declare_exchange,
    declare_queue,
    translated,
)
from complyq_producer.listening.reader import Delivery, Patience

if TYPE_CHECKING:
    from amqp import Message
    from kombu import Connection

    from complyq_producer.listening.addresses import ExchangeAddress

log = structlog.get_logger(__name__)

_LOOKING_QUEUE = {"x-expires": 86_400_000}
"""The queue of people who look ends a day after the last of them, or it would fill without end."""


class RabbitReader:
    """Takes messages one at a time; RabbitMQ hands those of a listener that is gone to another one."""

    def __init__(self, address: ExchangeAddress, group: str, consumer: str, block_seconds: float) -> None:
        self._address = address
        self._queue = queue_of(address.exchange, group)
        self._arguments = _LOOKING_QUEUE if only_looks(group) else {}
        self._consumer = consumer
        self._block_seconds = min(block_seconds, HEARTBEAT_SECONDS / 4)
        self._patience = Patience(f"queue {self._queue}")
        self._connection: Connection | None = None
        self._channel: Any = None
        self._generation = 0
        self._arrived: Delivery | None = None
        self._lock = threading.Lock()  # amqp's connections know no threads
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def next(self) -> Delivery:
        """Wait for the next message."""
        while True:
            try:
                with self._lock, translated("read", self._address):
                    found = self._look()
                self._patience.end()
            except EventsError as error:
                self._recover(error)
                continue
            if found:
                return found

    def acknowledge(self, delivery: Delivery) -> None:
        """Take the message off. If that fails it comes back, and is recognised by its event's id."""
        generation, _, tag = delivery.receipt.partition("/")
        try:
            with self._lock, translated("acknowledge on", self._address):
                # What another channel delivered is on the queue again, and its number may be that of another message.
                if self._channel is not None and generation == str(self._generation):
                    self._channel.basic_ack(int(tag))
        except EventsError as error:
            self._recover(error)

    def set_aside(self, delivery: Delivery) -> None:
        """Take the message off: every installation has queues of its own."""
        self.acknowledge(delivery)

    def close(self) -> None:
        """Leave; what is in our hands goes back to its place in the queue."""
        self._closed.set()
        with self._lock:
            self._disconnect()

    def _look(self) -> Delivery | None:
        if self._connection is None:
            self._join()
        self._drain(self._block_seconds)
        arrived, self._arrived = self._arrived, None
        return arrived

    def _join(self) -> None:
        self._connection = connection = connect(self._address)
        declare_exchange(connection, self._address)
        declare_queue(connection, self._queue, self._arguments)
        self._bind(connection)
        self._generation += 1
        self._channel = connection.channel()
        self._channel.basic_qos(0, 1, a_global=False)  # one in hand, none in store: what waits here others could do
        self._channel.basic_consume(self._queue, consumer_tag=self._consumer, callback=self._take)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep_connection, name="events-heartbeat", daemon=True)
            self._keeper.start()

    def _bind(self, connection: Connection) -> None:
        try:
            with connection.channel() as channel:
                channel.queue_bind(self._queue, self._address.exchange, routing_key=BINDING_KEY)
        except AccessRefused as error:
            log.warning("queue_not_bound", queue=self._queue, exchange=self._address.exchange, error=str(error))

    def _take(self, message: Message) -> None:
        body = message.body
        receipt = f"{self._generation}/{message.delivery_tag}"
        self._arrived = Delivery(receipt, body if isinstance(body, bytes) else str(body).encode())

    def _drain(self, seconds: float) -> None:
        """Read what comes within so many seconds, up to a message."""
        if self._connection is not None and self._arrived is None:
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=seconds)
            self._connection.heartbeat_check()

    def _keep_connection(self) -> None:
        """Show RabbitMQ that we live while the body of the loop works, however long that takes."""
        while not self._closed.wait(HEARTBEAT_SECONDS / 4):
            try:
                with self._lock, translated("keep", self._address):
                    self._drain(0.01)
            except EventsError as error:
                log.debug("connection_lost", error=str(error))  # the listener's own next call meets it and mends it

    def _recover(self, error: EventsError) -> None:
        """Pause and connect anew; raises where waiting does not help."""
        with self._lock:
            self._disconnect()
        if isinstance(error, EventsRefusedError):
            raise error
        self._patience.wait(error)

    def _disconnect(self) -> None:
        """Give up the connection, and what came on it."""
        connection, self._connection, self._channel, self._arrived = self._connection, None, None, None
        if connection is not None:
            try:
                with translated("leave", self._address):
                    connection.release()
            except EventsError as error:
                log.debug("connection_lost", error=str(error))
