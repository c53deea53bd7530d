"""A connection to RabbitMQ as we use it, and what it reports, in our words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from amqp.exceptions import (
    AccessRefused,
    AMQPError,
    MessageNacked,
    NotAllowed,
    NotFound,
    PreconditionFailed,
)
from kombu import Connection, Exchange
from kombu.exceptions import KombuError, OperationalError

from complyq_producer.errors import EventsError, EventsRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from complyq_producer.listening.addresses import ExchangeAddress

HEARTBEAT_SECONDS = 60
"""A side that was silent for twice as long is gone."""
ANSWER_SECONDS = 15
"""RabbitMQ has so long to answer."""
BINDING_KEY = "complyq.#"
"""Binds a queue to all events."""
_CREDENTIALS = "correct the user, its password or its permissions, or COMPLYQ_EVENTS_URL"
_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (AccessRefused, _CREDENTIALS),
    (NotAllowed, "correct the virtual host in COMPLYQ_EVENTS_URL, or create it"),
    (PreconditionFailed, "it exists and is something else: name another in COMPLYQ_EVENTS_URL"),
    (NotFound, "create it, or correct COMPLYQ_EVENTS_URL"),
)
"""What waiting does not mend, and what does."""


def connect(
    address: ExchangeAddress, *, confirms: bool = False, on_blocked: Callable[[str], None] | None = None
) -> Connection:
    """Open a connection; raises what `translated` knows.

    Args:
        address: where RabbitMQ is.
        confirms: whether publishing waits for RabbitMQ's word that it has the message.
        on_blocked: called when RabbitMQ takes no messages, since it is short of memory or disk.
    """
    connection = Connection(
        address.url,
        connect_timeout=5,
        heartbeat=HEARTBEAT_SECONDS,
        ssl=address.server.tls if address.server.tls is not None else False,
        transport_options={"confirm_publish": confirms, "on_blocked": on_blocked},
    )
    try:
        connection.ensure_connection(
            max_retries=len(address.server.nodes), interval_start=0.1, interval_step=0, timeout=10
        )
        # amqp would wait for an answer without end, also of a server that hangs.
        connection.connection.transport.sock.settimeout(ANSWER_SECONDS)
    except BaseException:
        connection.release()
        raise
    return connection


def topic_exchange(address: ExchangeAddress) -> Exchange:
    """Describe the exchange: it outlives a restart, and routes by topic."""
    return Exchange(address.exchange, type="topic", durable=True)


def declare_exchange(connection: Connection, address: ExchangeAddress) -> None:
    """Make the exchange, or take the one that is there where we may make none; raises what `translated` knows."""
    exchange = topic_exchange(address)
    try:
        with connection.channel() as channel:
            exchange.declare(channel=channel)
    except AccessRefused:
        with connection.channel() as channel:  # RabbitMQ closes a channel in which something was refused
            exchange.declare(channel=channel, passive=True)


def declare_queue(connection: Connection, queue: str, arguments: dict[str, int]) -> None:
    """Make a durable queue, or take the one that is there, whatever it is; raises what `translated` knows."""
    try:
        with connection.channel() as channel:
            channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
    except (AccessRefused, PreconditionFailed):
        with connection.channel() as channel:
            channel.queue_declare(queue, passive=True)


def prove_publishing(connection: Connection, address: ExchangeAddress) -> None:
    """Publish in a transaction, which RabbitMQ refuses where we may not, and take it back; raises what `translated` knows."""
    declare_exchange(connection, address)
    with connection.channel() as channel:
        channel.tx_select()
        channel.basic_publish(channel.prepare_message(b"{}"), address.exchange, "complyq.probe")
        channel.tx_rollback()


def length_of(connection: Connection, queue: str) -> int | None:
    """Count the messages on a queue that nobody has taken yet; None where there is no such queue."""
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)
    except NotFound:
        return None


@contextmanager
def translated(verb: str, address: ExchangeAddress) -> Iterator[None]:
    """Turn what kombu and amqp raise into EventsError and its kin."""
    try:
        yield
    except (AMQPError, MessageNacked, KombuError, OSError) as error:
        what = f"cannot {verb} the {address} of RabbitMQ (COMPLYQ_EVENTS_URL)"
        cause = error.__cause__ if isinstance(error, OperationalError) else None  # kombu's word for all that amqp says
        raise _translation(cause or error, what) from error


def _translation(error: BaseException, what: str) -> EventsError:
    if isinstance(error, MessageNacked):
        return EventsError(f"{what}: RabbitMQ refused the message; see its log")
    for kind, hint in _REFUSALS:
        if isinstance(error, kind):
            return EventsRefusedError(f"{what}: {error}; {hint}")
    return EventsError(f"{what}: {error!r}")
