"""What is true of RabbitMQ alone: what RabbitMQ does not confirm, or cannot deliver, is not published."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection

from complyq_config.settings import load_settings
from complyq_producer.errors import EventsError, EventsRefusedError
from complyq_producer.listening import ExchangeAddress
from complyq_workers.events import rabbitmq
from complyq_workers.events.rabbitmq import RabbitEventQueue
from support.event_queues import event_body
from support.lost_answers import until_answered
from support.rabbitmq_server import RabbitServer, running_rabbitmq_server
from support.tcp_proxy import running_tcp_proxy

BODY = event_body("b1/0/0")


@dataclass
class Site:
    """An exchange of its own, and an operator's channel."""

    url: str
    exchange: str
    channel: Any

    def bind(self, key: str = "complyq.#") -> str:
        """Bind a new queue and return its name."""
        queue = f"queue.{uuid4().hex}"
        self.channel.queue_declare(queue, durable=True, auto_delete=False)
        self.channel.queue_bind(queue, self.exchange, routing_key=key)
        return queue

    def take(self, queue: str) -> Any:
        """Take a message off a queue, None where there is none."""
        return self.channel.basic_get(queue, no_ack=True)

    def ids(self, queue: str) -> list[str]:
        """Take all messages off a queue, and return the ids of their events."""
        return [str(json.loads(message.body)["id"]) for message in iter(lambda: self.take(queue), None)]

    @contextmanager
    def publisher(self, url: str | None = None) -> Iterator[RabbitEventQueue]:
        """Return a publisher without a record, which publishes as often as it is asked."""
        with closing(
            RabbitEventQueue(ExchangeAddress.parse(f"{url or self.url}?exchange={self.exchange}"), "default")
        ) as found:
            yield found


@contextmanager
def site_on(server: RabbitServer) -> Iterator[Site]:
    """Make a site on a server."""
    with Connection(server.url) as connection, connection.channel() as channel:
        site = Site(server.url, f"events.{uuid4().hex}", channel)
        channel.exchange_declare(site.exchange, "topic", durable=True, auto_delete=False)
        yield site


@pytest.fixture
def site(rabbitmq_server: RabbitServer) -> Iterator[Site]:
    """A site on the session's server."""
    with site_on(rabbitmq_server) as found:
        yield found


def test_an_event_that_no_queue_takes_is_not_published(site: Site) -> None:
    """The error says how to bind a queue; once one is bound the event is published."""
    with site.publisher() as publisher:
        with pytest.raises(
            EventsError, match=r"No queue takes .* complyq\.tweets\.results .* bind a queue .*complyq\.#"
        ):
            publisher.send("b1", "b1/0/0", BODY)
        queue = site.bind()
        publisher.send("b1", "b1/0/0", BODY)
    assert site.take(queue).body in {BODY, BODY.decode()}
    assert site.take(queue) is None


def test_events_are_routed_by_type_and_event(site: Site) -> None:
    """A queue may be bound to one type of IDs, or to one kind of event."""
    ends, tweets, users = (site.bind(key) for key in ("complyq.*.completed", "complyq.tweets.#", "complyq.users.#"))
    with site.publisher() as publisher:
        for event_id in ("b1/0/0", "b1/completed"):
            publisher.send("b1", event_id, event_body(event_id))
        publisher.send("b2", "b2/completed", event_body("b2/completed").replace(b'"tweets"', b'"users"'))
    assert site.ids(ends) == ["b1/completed", "b2/completed"]
    assert site.ids(tweets) == ["b1/0/0", "b1/completed"]
    assert site.ids(users) == ["b2/completed"]


def test_a_message_says_what_it_is(site: Site) -> None:
    """It is persistent, and names the event, its type and the format to whoever looks at no body."""
    queue = site.bind()
    with site.publisher() as publisher:
        publisher.send("b1", "b1/0/0", BODY)
    assert site.take(queue).properties == {
        "content_type": "application/cloudevents+json",
        "content_encoding": "utf-8",
        "application_headers": {},
        "delivery_mode": 2,
        "priority": 0,
        "message_id": "b1/0/0",
        "type": "complyq.batch.results.v1",
    }


def test_a_late_confirmation_is_not_taken_for_that_of_another_event(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an event that was not confirmed in time, the next one is confirmed by its own answer only."""
    monkeypatch.setattr(rabbitmq, "ANSWER_SECONDS", 0.5)
    queue = site.bind()
    with running_tcp_proxy(site.url) as proxy, site.publisher(proxy.url(site.url)) as publisher:
        publisher.send("b1", "b1/0/0", BODY)
        proxy.delay(2)
        with pytest.raises(EventsError, match="COMPLYQ_EVENTS_URL"):
            publisher.send("b1", "b1/0/1", BODY)
        proxy.delay(0)
        site.channel.queue_delete(queue)
        with pytest.raises(EventsError, match="No queue takes"):
            publisher.send("b1", "b1/0/2", BODY)


def test_an_exchange_that_was_deleted_is_made_again(site: Site) -> None:
    """Publishing fails once, and goes on when a queue is bound again."""
    site.bind()
    with site.publisher() as publisher:
        publisher.send("b1", "b1/0/0", BODY)
        site.channel.exchange_delete(site.exchange)
        with pytest.raises(EventsError):
            publisher.send("b1", "b1/0/1", BODY)
        with pytest.raises(EventsError, match="No queue takes"):
            publisher.send("b1", "b1/0/1", BODY)
        queue = site.bind()
        publisher.send("b1", "b1/0/1", BODY)
    assert site.take(queue)


def test_an_exchange_of_another_kind_is_refused(site: Site) -> None:
    """Events that would reach the wrong queues, or none, are not published."""
    site.channel.exchange_delete(site.exchange)
    site.channel.exchange_declare(site.exchange, "fanout", durable=False, auto_delete=False)
    with site.publisher() as publisher, pytest.raises(EventsRefusedError, match="name another"):
        publisher.verify()


@pytest.mark.parametrize(
    ("user", "password", "vhost", "hint"),
    [("guest", "wrong-password", "/", "password"), ("guest", "guest", "nowhere", "virtual host")],
)
def test_refusals_say_what_to_mend(
    rabbitmq_server: RabbitServer, user: str, password: str, vhost: str, hint: str
) -> None:
    """A wrong password and a missing virtual host are told apart; the password is not shown."""
    address = ExchangeAddress.parse(rabbitmq_server.url_of(user, password, vhost))
    with (
        closing(RabbitEventQueue(address, "default")) as publisher,
        pytest.raises(EventsRefusedError, match=hint) as caught,
    ):
        publisher.verify()
    assert "wrong-password" not in str(caught.value)


def test_a_publisher_needs_no_right_to_make_things(rabbitmq_server: RabbitServer, site: Site) -> None:
    """Where the operator made the exchange, the right to write is enough; without it the check at start fails."""
    queue = site.bind()
    for name, write in (("writer", ".*"), ("reader", "^$")):
        rabbitmq_server.control("add_user", f"{name}-{site.exchange}", "secret-word")
        rabbitmq_server.control("set_permissions", f"{name}-{site.exchange}", "^$", write, ".*")
    with site.publisher(rabbitmq_server.url_of(f"writer-{site.exchange}", "secret-word")) as publisher:
        publisher.verify()
        publisher.send("b1", "b1/0/0", BODY)
    assert site.take(queue)
    with site.publisher(rabbitmq_server.url_of(f"reader-{site.exchange}", "secret-word")) as publisher:
        with pytest.raises(EventsRefusedError, match="permissions"):
            publisher.verify()
        with pytest.raises(EventsRefusedError, match="permissions"):
            publisher.send("b1", "b1/0/0", BODY)


def test_the_backlog_is_that_of_the_longest_queue_named(site: Site) -> None:
    """A queue that nobody has made yet counts for nothing; where there is none the backlog is unknown."""
    queue, other = site.bind(), site.bind("complyq.*.completed")

    def backlog(names: str) -> int | None:
        address = ExchangeAddress.parse(f"{site.url}?exchange={site.exchange}{names}")
        with closing(RabbitEventQueue(address, "default")) as looking:
            return looking.backlog()

    with site.publisher() as publisher:
        for event_id in ("b1/0/0", "b1/completed"):
            publisher.send("b1", event_id, event_body(event_id))
    assert backlog("") is None
    assert backlog(f"&queue={other},missing,{queue}") == 2


def test_a_short_server_is_told_and_waited_for(tmp_path: Path) -> None:
    """While RabbitMQ is short of memory publishing says so, at once; afterwards it goes on."""
    with running_rabbitmq_server(tmp_path) as server, site_on(server) as site, site.publisher() as publisher:
        queue = site.bind()
        publisher.send("b1", "b1/0/0", BODY)
        server.control("set_vm_memory_high_watermark", "absolute", "1MB")
        with pytest.raises(EventsError, match="short of memory"):
            until_answered(lambda: _refused(publisher), _AcceptedError)
        server.control("set_vm_memory_high_watermark", "absolute", "1GB")
        until_answered(lambda: publisher.send("b1", "b1/0/2", BODY), EventsError)
        accepted = site.ids(queue)
    assert len(accepted) >= 2


class _AcceptedError(Exception):
    """RabbitMQ was not short yet."""


def _refused(publisher: RabbitEventQueue) -> None:
    publisher.send("b1", "b1/0/1", BODY)
    raise _AcceptedError


def test_what_is_confirmed_outlives_the_server(tmp_path: Path) -> None:
    """RabbitMQ is killed behind the confirmation: the event is still there, and publishing goes on."""
    with running_rabbitmq_server(tmp_path) as server:
        with site_on(server) as site:
            queue = site.bind()
        with site.publisher() as publisher:
            publisher.send("b1", "b1/0/0", BODY)
            server.kill()
            with pytest.raises(EventsError):
                publisher.send("b1", "b1/0/1", BODY)
            server.start()
            until_answered(lambda: publisher.send("b1", "b1/0/1", BODY), EventsError)
        with Connection(server.url) as connection, connection.channel() as channel:
            found = [message.properties["message_id"] for message in iter(lambda: channel.basic_get(queue), None)]
    assert found == ["b1/0/0", "b1/0/1"]


def test_addresses_are_read_and_wrong_ones_refused() -> None:
    """An option that nobody knows is named, the password is not shown."""
    address = ExchangeAddress.parse("amqps://u:p@host/v?exchange=x&queue=a,b&ssl_ca_certs=/ca.pem")
    assert (address.url, address.exchange, address.queues) == ("amqps://u:p@host/v", "x", ("a", "b"))
    assert address.server.tls == {"server_hostname": None, "ca_certs": "/ca.pem"}
    cluster = ExchangeAddress.parse("amqp://one/v;amqp://two/v?exchange=x")
    assert (cluster.url, cluster.exchange) == ("amqp://one/v;amqp://two/v", "x")
    assert address.watched("default") == ("a", "b")
    assert ExchangeAddress.parse("amqp://host").watched("default") == ("complyq.events.complyq",)
    assert ExchangeAddress.parse("amqp://host").watched("other") == ("complyq.events.complyq@other",)
    assert "u:p" not in repr(address)
    for wrong in ("?exchange=", "?exchnge=x", "?ssl_ca_certs=/ca.pem"):
        with pytest.raises(Exception, match="COMPLYQ_EVENTS_URL") as caught:
            ExchangeAddress.parse(f"amqp://u:secret@host/{wrong}")
        assert "secret" not in str(caught.value)
    assert load_settings(events_url="amqp://u:secret@host").effective()["events_url"] == "amqp://[redacted]@host"
