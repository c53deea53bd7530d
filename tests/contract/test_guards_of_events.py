"""What is true of the results queue when something refuses, or dies, between the queue and the record of it."""

from collections.abc import Iterator
from contextlib import closing
from typing import cast
from uuid import uuid4

import pytest
import redis

from complyq_producer.errors import EventsError
from complyq_producer.listening import LOOKING_GROUP
from complyq_workers.events import RedisStreamPublisher
from support.event_queues import EventQueuePlace, event_body, opened
from support.redis_server import running_redis_server

NAME = f"refused-{uuid4().hex}"
BODY = event_body("b1/0/0")
WEEK_MILLISECONDS = 7 * 86_400_000


@pytest.fixture
def client(redis_server: str) -> Iterator[redis.Redis]:
    """The server of the results queue."""
    with redis.Redis.from_url(redis_server) as client:
        yield client


@pytest.fixture
def publisher(redis_server: str) -> Iterator[RedisStreamPublisher]:
    """A publisher to a stream of its own."""
    with closing(RedisStreamPublisher(f"{redis_server}?stream={NAME}", NAME, replay_hours=2)) as publisher:
        yield publisher


def test_an_event_that_was_refused_is_published_later(redis_server: str, client: redis.Redis) -> None:
    """Redis took the script and not the event: it is not remembered as published."""
    rights = {"enabled": True, "passwords": ["+secret-word"], "keys": ["*"], "categories": ["+@all"]}
    client.acl_setuser(NAME, **rights, commands=["-xadd"])  # type: ignore[arg-type] # all of these it takes
    url = redis_server.replace("redis://", f"redis://{NAME}:secret-word@")
    with closing(RedisStreamPublisher(f"{url}?stream={NAME}", NAME)) as publisher:
        with pytest.raises(EventsError, match="xadd"):
            publisher.publish("batch", "batch/0/0", b"{}")
        client.acl_setuser(NAME, **rights, commands=["+xadd"])  # type: ignore[arg-type] # all of these it takes
        assert publisher.publish("batch", "batch/0/0", b"{}")
    assert client.xlen(NAME) == 1


def test_what_is_remembered_of_a_batch_is_forgotten_in_time(place: EventQueuePlace, client: redis.Redis) -> None:
    """Nothing stays in Redis for ever because a batch was published once."""
    with place.publisher() as publisher:
        publisher.publish("forgotten", "forgotten/0/0", BODY)
    (guard,) = cast("list[bytes]", client.keys(f"*{place.namespace}*forgotten*"))
    assert 0 < cast("int", client.ttl(guard)) <= 7200


@pytest.mark.parametrize("kind", ["sqs-ministack", "fifo-ministack", "rabbitmq"])
def test_an_event_that_could_not_be_recorded_is_published_again(kind: str, request: pytest.FixtureRequest) -> None:
    """Redis dies between the queue's confirmation and our record: a copy may follow, and no event is missing."""
    with opened(kind, request) as place, running_redis_server() as server:
        with place.publisher(redis_url=server.url) as publisher:
            queue = publisher._queue  # type: ignore[attr-defined] # the moment between the two is inside
            publisher._queue = _Dying(queue, server.kill)  # type: ignore[attr-defined]
            with pytest.raises(EventsError, match="COMPLYQ_REDIS_URL"):
                publisher.publish("b1", "b1/0/0", BODY)
            server.start()
            publisher._queue = queue  # type: ignore[attr-defined]
            assert publisher.publish("b1", "b1/0/0", BODY)
            assert not publisher.publish("b1", "b1/0/0", BODY)
        assert place.bodies() == [BODY] * (2 if place.copies else 1)


class _Dying:
    """A queue behind whose confirmation something dies."""

    def __init__(self, queue: object, kill: object) -> None:
        self._queue = queue
        self._kill = kill

    def send(self, *arguments: object) -> None:
        """Send, and let it die."""
        self._queue.send(*arguments)  # type: ignore[attr-defined]
        self._kill()  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["sqs-ministack", "fifo-ministack", "rabbitmq"])
def test_nothing_is_published_that_could_not_be_looked_up(kind: str, request: pytest.FixtureRequest) -> None:
    """Without the record every repetition would be a copy; the events wait."""
    with opened(kind, request) as place, running_redis_server() as server:
        with place.publisher(redis_url=server.url) as publisher:
            server.kill()
            with pytest.raises(EventsError, match="COMPLYQ_REDIS_URL"):
                publisher.publish("b1", "b1/0/0", BODY)
            with pytest.raises(EventsError, match="COMPLYQ_REDIS_URL"):
                publisher.verify()
        assert place.bodies() == []


def test_the_backlog_counts_what_is_published(place: EventQueuePlace) -> None:
    """So publishing can pause while listeners are behind."""
    place.announce()
    with place.publisher() as publisher:
        assert publisher.backlog() == 0
        for number in range(3):
            publisher.publish("b1", f"b1/0/{number}", BODY)
        assert publisher.backlog() == 3


def test_the_backlog_of_a_stream_is_that_of_the_group_furthest_behind(
    client: redis.Redis, publisher: RedisStreamPublisher
) -> None:
    """What a group was given and has not acknowledged counts, a group that only looks does not."""
    stream = NAME
    client.delete(stream)
    for number in range(4):
        publisher.publish(f"of {stream}", f"backlog/{number}", b"{}")
    for group in ("quick", "slow", LOOKING_GROUP, f"{LOOKING_GROUP}@other"):
        client.xgroup_create(stream, group, "0")
    assert publisher.backlog() == 4
    given = client.xreadgroup("quick", "one", {stream: ">"})
    client.xreadgroup("slow", "one", {stream: ">"}, count=3)
    assert publisher.backlog() == 4
    client.xack(stream, "quick", *[entry for entry, _ in given[0][1]])  # type: ignore[index] # sync client
    first = client.xrange(stream, count=1)[0][0]  # type: ignore[index] # sync client
    client.xack(stream, "slow", first)
    assert publisher.backlog() == 3
    client.xgroup_destroy(stream, "slow")
    assert publisher.backlog() == 0


def _with_old_entries(client: redis.Redis, stream: str) -> None:
    """Put entries of two weeks ago on a stream, more than Redis keeps in one piece."""
    client.delete(stream)
    instant = cast("tuple[int, int]", client.time())[0] * 1000 - 2 * WEEK_MILLISECONDS
    for number in range(300):
        client.xadd(stream, {"event": b"x" * 100}, id=f"{instant + number}-1")


def test_a_stream_keeps_what_somebody_has_yet_to_handle(client: redis.Redis, publisher: RedisStreamPublisher) -> None:
    """Old entries go when all groups have acknowledged them, and not a moment before; without a group none goes."""
    _with_old_entries(client, NAME)
    publisher.publish("trimmed", uuid4().hex, b"{}")
    assert client.xlen(NAME) == 301
    for group in ("one", "other", LOOKING_GROUP):
        client.xgroup_create(NAME, group, "0")
    for group, count in (("one", 301), ("other", 250)):
        given = client.xreadgroup(group, "me", {NAME: ">"}, count=count)
        publisher.publish("trimmed", uuid4().hex, b"{}")
        assert cast("int", client.xlen(NAME)) > 300
        client.xack(NAME, group, *[entry for entry, _ in given[0][1]])  # type: ignore[index] # sync client
    publisher.publish("trimmed", uuid4().hex, b"{}")
    left = cast("list[tuple[bytes, object]]", client.xrange(NAME))
    assert 50 <= len(left) < 200
    unread = client.xreadgroup("other", "me", {NAME: ">"})
    assert len(unread[0][1]) == 54  # type: ignore[index] # sync client: 50 old ones, and what was published


def test_a_stream_keeps_what_is_young(client: redis.Redis, publisher: RedisStreamPublisher) -> None:
    """A new group begins with the events of the replay hours, although others have handled them."""
    client.delete(NAME)
    client.xgroup_create(NAME, "one", mkstream=True)
    for _ in range(300):
        publisher.publish("young", uuid4().hex, b"x" * 100)
    given = client.xreadgroup("one", "me", {NAME: ">"})
    client.xack(NAME, "one", *[entry for entry, _ in given[0][1]])  # type: ignore[index] # sync client
    publisher.publish("young", uuid4().hex, b"{}")
    assert client.xlen(NAME) == 301
