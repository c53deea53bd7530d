"""Every kind of results queue there is, with the means to look at it and to lose what it holds."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import redis
from amqp.exceptions import PreconditionFailed
from kombu import Connection

from complyq_config.settings import Settings, load_settings
from complyq_producer.listening.addresses import queue_of
from complyq_producer.listening.groups import DEFAULT_GROUP, group_name
from complyq_workers.events import EventPublisher, open_publisher
from support.coordinations import let_time_pass
from support.rabbitmq_server import RabbitServer
from support.sqs_server import SqsServer

KINDS = ("redis", "sqs-ministack", "fifo-ministack", "sqs-moto", "fifo-moto", "rabbitmq")
"""The real ones."""


def event_body(event_id: str, *, namespace: str = "default", **data: Any) -> bytes:
    """Return an event as workers publish it."""
    batch_id, _, rest = event_id.partition("/")
    kind = rest if rest.isalpha() else "results"
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/complyq/{namespace}",
        "type": f"complyq.batch.{kind}.v1",
        "subject": batch_id,
        "time": "2026-11-22T12:00:00.000Z",
        "datacontenttype": "application/json",
        "data": {"batch_id": batch_id, "type": "tweets", **data},
    }
    return json.dumps(event).encode()


@dataclass
class EventQueuePlace:
    """A results queue on a real server, empty, of a test's own.

    Attributes:
        url: for COMPLYQ_EVENTS_URL.
        server: the URL of the server, for a proxy before it.
        redis_url: where the locks are.
        namespace: of its own.
        copies: whether a copy of an event can come to stand on the queue, where its publisher had no answer.
        order: what it keeps the order of: "all" events, those of a "batch", or "none".
        bodies: what was on the queue so far, since it was last lost.
        lose: loses what is on the queue.
        reach: has this process reach the server at another address from now on.
        announce: has the group of listeners be known to RabbitMQ, which keeps events only for groups that it knows.
        delete_group: takes it away again.
    """

    url: str
    server: str
    redis_url: str
    namespace: str
    copies: bool
    order: str
    bodies: Callable[[], list[bytes]]
    lose: Callable[[], None]
    reach: Callable[[str], None] = lambda _: None
    announce: Callable[..., None] = lambda *_, **__: None
    delete_group: Callable[[], None] = lambda: None

    def settings(self, **changes: Any) -> Settings:
        """Return settings that name this queue; events are remembered for two hours."""
        fields = {
            "events_url": self.url,
            "redis_url": self.redis_url,
            "namespace": self.namespace,
            "events_replay_hours": 2,
        }
        return load_settings(**{**fields, **changes})

    @contextmanager
    def publisher(self, **changes: Any) -> Iterator[EventPublisher]:
        """Return a worker's publisher."""
        publisher = open_publisher(self.settings(**changes))
        try:
            yield publisher
        finally:
            publisher.close()  # type: ignore[attr-defined] # the real ones have connections

    def let_time_pass(self, seconds: float | None) -> None:
        """Have what is remembered in Redis be older; None: forget it all."""
        with redis.Redis.from_url(self.redis_url) as client:
            let_time_pass(client, f"*{{complyq:{self.namespace}}}:*", seconds)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Iterator[EventQueuePlace]:
    """Every real results queue, empty."""
    with opened(request.param, request) as found:
        yield found


@contextmanager
def opened(kind: str, request: pytest.FixtureRequest) -> Iterator[EventQueuePlace]:
    """A queue of a kind, on the session's server."""
    redis_url = request.getfixturevalue("redis_server")
    if kind == "redis":
        with _stream(redis_url) as found:
            yield found
    elif kind == "rabbitmq":
        with _exchange(redis_url, request.getfixturevalue("rabbitmq_server")) as found:
            yield found
    else:
        form, server = kind.split("-")
        monkeypatch = request.getfixturevalue("monkeypatch")
        with _sqs(redis_url, request.getfixturevalue(f"{server}_sqs"), form, monkeypatch) as found:
            yield found


@contextmanager
def _stream(redis_url: str) -> Iterator[EventQueuePlace]:
    name = uuid4().hex
    stream = f"events:{name}"
    with redis.Redis.from_url(redis_url) as client:
        yield EventQueuePlace(
            url=f"{redis_url}?stream={stream}",
            server=redis_url,
            redis_url=redis_url,
            namespace=name,
            copies=False,
            order="all",
            bodies=lambda: [fields[b"event"] for _, fields in client.xrange(stream)],
            lose=lambda: client.delete(stream),
        )


class _Taken:
    """Takes what is on a queue that shows only what it hands out, and keeps it."""

    def __init__(self, take: Callable[[], bytes | None]) -> None:
        self._take = take
        self._taken: list[bytes] = []

    def bodies(self) -> list[bytes]:
        """Return all that was taken so far."""
        while (body := self._take()) is not None:
            self._taken.append(body)
        return list(self._taken)

    def forget(self) -> None:
        """Lose it."""
        self.bodies()
        self._taken.clear()


@contextmanager
def _sqs(redis_url: str, server: SqsServer, form: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventQueuePlace]:
    for variable, value in server.environment.items():
        monkeypatch.setenv(variable, value)
    name = uuid4().hex
    queue = f"events-{name}" + (".fifo" if form == "fifo" else "")
    with closing(server.client()) as client:
        url = server.make_queue(queue)

        def take() -> bytes | None:
            for message in client.receive_message(QueueUrl=url).get("Messages", ()):
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                return str(message["Body"]).encode()
            return None

        def lose() -> None:  # with it goes what a FIFO queue knows of copies
            taken.forget()
            client.delete_queue(QueueUrl=url)
            server.make_queue(queue)

        taken = _Taken(take)
        yield EventQueuePlace(
            url=f"sqs://{queue}",
            server=server.endpoint,
            redis_url=redis_url,
            namespace=name,
            copies=form != "fifo",
            order="batch" if form == "fifo" else "none",
            bodies=taken.bodies,
            lose=lose,
            reach=lambda endpoint: monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint),
        )
        client.delete_queue(QueueUrl=url)


@contextmanager
def _exchange(redis_url: str, server: RabbitServer) -> Iterator[EventQueuePlace]:
    name = uuid4().hex
    with Connection(server.url) as connection, connection.channel() as channel:
        exchange, queue = f"events.{name}", f"looking.{name}"
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
        channel.queue_declare(queue, durable=True, auto_delete=False)
        channel.queue_bind(queue, exchange, routing_key="complyq.#")

        def take() -> bytes | None:
            message = channel.basic_get(queue, no_ack=True)
            return None if message is None else _bytes(message.body)

        groups = []

        def announce(namespace: str = name, arguments: dict[str, int] | None = None) -> None:
            group = queue_of(exchange, group_name(DEFAULT_GROUP, namespace))
            groups.append(group)
            with suppress(PreconditionFailed), connection.channel() as making:
                making.queue_declare(group, durable=True, auto_delete=False, arguments=arguments)
            channel.queue_bind(group, exchange, routing_key="complyq.#")

        group = queue_of(exchange, group_name(DEFAULT_GROUP, name))
        taken = _Taken(take)
        yield EventQueuePlace(
            url=f"{server.url}?exchange={exchange}",
            server=server.url,
            redis_url=redis_url,
            namespace=name,
            copies=True,
            order="all",
            bodies=taken.bodies,
            lose=taken.forget,
            announce=announce,
            delete_group=lambda: channel.queue_delete(group),
        )
        for each in (queue, *groups):
            channel.queue_delete(each)
        channel.exchange_delete(exchange)


def _bytes(body: bytes | str) -> bytes:
    return body if isinstance(body, bytes) else body.encode()
