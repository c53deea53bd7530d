"""Looks at the results queue."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import redis

from complyq_config.errors import ConfigurationError
from complyq_config.redaction import redact
from complyq_producer.cli.checks.finding import Finding, failed, ok, warning
from complyq_producer.errors import EventsError
from complyq_producer.listening import ExchangeAddress, SqsAddress, StreamAddress, address_of
from complyq_producer.live import connect_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_config.settings import Settings

NAME = "Results queue"
MEND = "Start it, or correct COMPLYQ_EVENTS_URL."
_STREAM_TYPES = {b"stream", b"none"}


def check_events(settings: Settings) -> Iterator[Finding]:
    """Look whether the results queue can be reached, may be used and is what we take it for."""
    try:
        address = address_of(settings.effective_events_url.get_secret_value())
        if isinstance(address, SqsAddress):
            yield from _sqs(address, settings)
        elif isinstance(address, ExchangeAddress):
            yield from _exchange(address, settings.namespace)
        else:
            yield from _stream(address)
    except (EventsError, ConfigurationError) as error:
        yield failed(NAME, redact(str(error)), MEND)


def _stream(address: StreamAddress) -> Iterator[Finding]:
    from complyq_producer.listening.stream_groups import unhandled_by_group  # noqa: PLC0415 - as the others

    where = redact(f"{address} at {address.url}")
    try:
        with closing(connect_redis(address.url)) as client:
            kind: Any = client.type(address.stream)
            is_stream = kind in _STREAM_TYPES
            length: Any = client.xlen(address.stream) if is_stream else 0
            groups = unhandled_by_group(client, address.stream) if is_stream else {}
    except (redis.RedisError, OSError, ValueError) as error:
        yield failed(NAME, redact(f"{where}: {error}"), MEND)
        return
    if not is_stream:
        found = f"{where} is a {kind.decode()}, no stream"
        yield failed(NAME, found, "Name another stream in COMPLYQ_EVENTS_URL (?stream=complyq.events).")
        return
    waiting = "".join(f"; group {name}: {count:,} not handled" for name, count in sorted(groups.items()))
    yield ok(NAME, f"{where}, {length:,} events{waiting}")


def _sqs(address: SqsAddress, settings: Settings) -> Iterator[Finding]:
    from complyq_producer.listening.sqs_client import SqsQueue, waiting_on  # noqa: PLC0415 - boto3 takes long to import

    with closing(SqsQueue(address)) as queue:
        told = queue.prove_publishing()
    order = "FIFO, in order within a batch" if address.is_fifo else "standard, in no order"
    yield ok(NAME, f"{address} ({order}), {waiting_on(told):,} events")
    hours = int(told.get("MessageRetentionPeriod", 0)) / 3600
    if hours < settings.events_replay_hours:
        mend = (
            f"Raise its MessageRetentionPeriod to {settings.events_replay_hours} hours (COMPLYQ_EVENTS_REPLAY_HOURS): "
            "what no listener handles in time is gone."
        )
        yield warning("Results retention", f"{address} keeps messages for {hours:,.0f} hours", mend)


def _exchange(address: ExchangeAddress, namespace: str) -> Iterator[Finding]:
    from complyq_producer.listening import rabbitmq_connection as rabbitmq  # noqa: PLC0415 - kombu takes long to import

    with rabbitmq.translated("publish to", address), rabbitmq.connect(address) as connection:
        rabbitmq.prove_publishing(connection, address)
        lengths = {queue: rabbitmq.length_of(connection, queue) for queue in address.watched(namespace)}
    known = {queue: length for queue, length in lengths.items() if length is not None}
    where = redact(f"{address} at {address.url}")
    if known:
        yield ok(NAME, where + "".join(f"; queue {queue}: {count:,} events" for queue, count in known.items()))
        return
    mend = (
        f"Start a listener, or bind a queue to the exchange with the routing key {rabbitmq.BINDING_KEY}: events that no "
        "queue takes are not published. Name queues of your own in COMPLYQ_EVENTS_URL (&queue=a,b)."
    )
    yield warning(NAME, f"{where}; no queue {', '.join(lengths)}", mend)
