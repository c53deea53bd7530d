"""A results queue tells when it has lost what it held, and only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import redis

from complyq_producer.errors import EventsError
from complyq_workers.events import EventPublisher, MemoryPublisher, RedisStreamPublisher
from support.redis_server import RedisServer, redis_server, running_redis_server  # noqa: F401 - a fixture is used by its name
from support.tcp_proxy import running_tcp_proxy

BODY = b"{}"


@dataclass
class Stream:
    """A stream in a real server, its publisher, and whoever else has to do with it."""

    publisher: RedisStreamPublisher
    client: redis.Redis
    name: str
    namespace: str

    def publish(self, count: int = 1) -> list[bool]:
        """Publish some events."""
        return [self.publisher.publish("b1", uuid4().hex, BODY) for _ in range(count)]


@pytest.fixture
def stream(redis_server: str) -> Iterator[Stream]:  # noqa: F811 - it is the fixture
    """A stream that nobody has used."""
    name, namespace = f"events:{uuid4().hex}", uuid4().hex
    with (
        redis.Redis.from_url(redis_server) as client,
        closing(RedisStreamPublisher(f"{redis_server}?stream={name}", namespace)) as publisher,
    ):
        yield Stream(publisher, client, name, namespace)


def flush(stream: Stream) -> None:
    """Lose all that is the installation's."""
    keys = [key for pattern in (stream.name, f"*{stream.namespace}*") for key in stream.client.scan_iter(pattern)]
    stream.client.delete(*keys)


LOSSES: dict[str, Callable[[Stream], object]] = {
    "flushed": flush,
    "deleted": lambda stream: stream.client.delete(stream.name),
    "deleted, and made anew by a listener": lambda stream: (
        stream.client.delete(stream.name),
        stream.client.xgroup_create(stream.name, "g", mkstream=True),
    ),
    "deleted, and written to by us": lambda stream: (stream.client.delete(stream.name), stream.publish(9)),
    "made anew by a listener, and written to by us": lambda stream: (
        stream.client.delete(stream.name),
        stream.client.xgroup_create(stream.name, "g", mkstream=True),
        stream.publish(9),
    ),
    "deleted, and written to by another installation": lambda stream: (
        stream.client.delete(stream.name),
        stream.client.xadd(stream.name, {"event": b"{}"}),
    ),
}
HARMLESS: dict[str, Callable[[Stream], object]] = {
    "nothing": lambda _: None,
    "trimmed to nothing": lambda stream: stream.client.xtrim(stream.name, maxlen=0, approximate=False),
    "trimmed, and written to": lambda stream: (
        stream.client.xtrim(stream.name, maxlen=0, approximate=False),
        stream.publish(),
    ),
    "read and deleted by listeners": lambda stream: [
        stream.client.xdel(stream.name, entry)
        for entry, _ in stream.client.xrange(stream.name)  # type: ignore[union-attr]
    ],
    "a group joins": lambda stream: stream.client.xgroup_create(stream.name, "g"),
    "more events": lambda stream: stream.publish(20),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_stream_that_lost_its_events_lives_another_life(stream: Stream, loss: str) -> None:
    """However it lost them, and whoever has made it anew since."""
    stream.publish(5)
    life = stream.publisher.life()
    LOSSES[loss](stream)
    other = stream.publisher.life()
    assert other != life
    assert stream.publisher.life() == other
    UUID(other)


@pytest.mark.parametrize("loss", ["deleted", "made anew by a listener, and written to by us"])
def test_a_loss_between_two_looks_is_noticed(stream: Stream, loss: str) -> None:
    """Nobody had looked since the first event was published."""
    life = stream.publisher.life()
    stream.publish(3)
    LOSSES[loss](stream)
    assert stream.publisher.life() != life


@pytest.mark.parametrize("what", HARMLESS)
def test_a_stream_that_listeners_trim_lives_on(stream: Stream, what: str) -> None:
    """What was read may go."""
    stream.publish(5)
    life = stream.publisher.life()
    HARMLESS[what](stream)
    assert stream.publisher.life() == life


def test_a_stream_without_events_loses_nothing(stream: Stream) -> None:
    """A listener that is there first makes it, and may delete it again."""
    life = stream.publisher.life()
    stream.client.xgroup_create(stream.name, "g", mkstream=True)
    assert stream.publisher.life() == life
    stream.client.delete(stream.name)
    assert stream.publisher.life() == life


def test_events_are_published_to_a_stream_that_was_lost(stream: Stream) -> None:
    """What was published before is remembered beside the stream, and is published once more under another name."""
    assert stream.publisher.publish("b1", "b1/0/0", BODY)
    stream.client.delete(stream.name)
    assert not stream.publisher.publish("b1", "b1/0/0", BODY)
    assert stream.publisher.publish("b1@r1", "b1/0/0", BODY)
    assert not stream.publisher.publish("b1@r1", "b1/0/0", BODY)
    assert stream.client.xlen(stream.name) == 1


def test_a_server_that_kept_its_data_lives_on_and_an_empty_one_does_not(tmp_path: Path) -> None:
    """A restart is no loss where what was confirmed is on the disk."""
    with running_redis_server() as empty:
        kept = RedisServer(empty.port, tmp_path)
        empty.kill()
        kept.start()
        with closing(RedisStreamPublisher(f"{kept.url}?stream=events", "tests")) as publisher:
            publisher.publish("b1", "b1/0/0", BODY)
            life = publisher.life()
            kept.kill()
            kept.start()
            assert publisher.life() == life
            kept.kill()
            empty.start()
            assert publisher.life() != life


def test_a_life_whose_answer_was_lost_is_the_same_when_asked_again(redis_server: str) -> None:  # noqa: F811
    """The library asks twice: the second answer is the first one's."""
    with running_tcp_proxy(redis_server) as proxy:
        name = f"events:{uuid4().hex}"
        with closing(RedisStreamPublisher(f"{proxy.url(redis_server)}?stream={name}", uuid4().hex)) as publisher:
            publisher.verify()
            proxy.lose_next_reply()
            life = publisher.life()
            assert publisher.life() == life


def test_what_is_no_life_is_named(stream: Stream) -> None:
    """Somebody else has written there: the message says which key to delete."""
    stream.publisher.life()
    [key] = stream.client.scan_iter(f"*{stream.namespace}*:life:*")
    stream.client.hset(key, "id", "../../keys")
    with pytest.raises(EventsError, match="life:events"):
        stream.publisher.life()


def test_a_queue_in_memory_tells_the_same() -> None:
    """Tests that are built on it see what workers see."""
    memory = MemoryPublisher()
    queue: EventPublisher = memory
    life = queue.life()
    queue.publish("b1", "b1/0/0", BODY)
    assert queue.life() == life
    memory.flush()
    assert queue.life() != life
    memory.available = False
    with pytest.raises(EventsError):
        queue.life()
