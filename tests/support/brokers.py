"""The brokers that Celery's messages go through: Redis everywhere, RabbitMQ where it is installed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import amqp
import pytest
from kombu import Connection

from support.real_workers import Installation

on_both_brokers = pytest.mark.parametrize("broker_url", ["redis", "rabbitmq"], indirect=True)


@pytest.fixture
def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of the broker: of the one that `--broker` names (Redis), unless a test is marked to run on both."""
    usual = "redis" if request.node.get_closest_marker("redis_broker") else request.config.getoption("broker")
    if getattr(request, "param", usual) == "redis":
        return str(request.getfixturevalue("redis_server"))
    return str(request.getfixturevalue("rabbitmq_server").url)


@dataclass(frozen=True, slots=True)
class RabbitQueues:
    """The queues of an installation on RabbitMQ."""

    url: str
    namespace: str

    @classmethod
    def of(cls, running: Installation) -> "RabbitQueues":
        """Look at the broker of an installation."""
        return cls(running.environment["COMPLYQ_BROKER_URL"], running.environment["COMPLYQ_NAMESPACE"])

    def name(self, kind: str) -> str:
        """Name a queue: control, transfer or dead."""
        return f"complyq.{self.namespace}.{kind}"

    def length(self, kind: str) -> int:
        """How many messages nobody has taken; 0 where there is no such queue."""
        try:
            with self.channel() as channel:
                return int(channel.queue_declare(self.name(kind), passive=True).message_count)
        except amqp.NotFound:
            return 0

    def put(self, body: bytes, kind: str = "control", **properties: Any) -> None:
        """Put a message into a queue."""
        with self.channel() as channel:
            channel.basic_publish(amqp.Message(body, **properties), "", self.name(kind))

    def take_dead_letters(self) -> list[dict[str, Any]]:
        """Take the dead letters out of their queue, the oldest first: headers and body."""
        with self.channel() as channel:
            taken = iter(lambda: channel.basic_get(self.name("dead"), no_ack=True), None)
            return [{"headers": each.properties.get("application_headers"), "body": str(each.body)} for each in taken]

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Open a channel."""
        with Connection(self.url) as connection, connection.channel() as channel:
            yield channel


def task_message(task: str = "complyq.plan", arguments: tuple[Any, ...] = ("tweets",)) -> dict[str, Any]:
    """Return body and properties of a message as Celery sends it."""
    headers = {"lang": "py", "task": task, "id": "1", "retries": 0, "eta": None, "expires": None, "root_id": "1",
               "parent_id": None, "group": None, "timelimit": [None, None]}  # fmt: skip
    body = json.dumps([arguments, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return {
        "body": body.encode(),
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "application_headers": headers,
    }
