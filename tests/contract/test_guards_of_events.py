"""What is true of the results queue in Redis when Redis refuses in the middle."""

from collections.abc import Iterator
from contextlib import closing
from typing import cast
from uuid import uuid4

import pytest
import redis

from complyq_producer.errors import EventsError
from complyq_workers.events import RedisStreamPublisher

NAME = f"refused-{uuid4().hex}"


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


def test_an_event_that_was_refused_is_published_later(client: redis.Redis, publisher: RedisStreamPublisher) -> None:
    """Redis took the script and not the event: it is not remembered as published."""
    client.set(NAME, "no stream")
    with pytest.raises(EventsError):
        publisher.publish("batch", "batch/0/0", b"{}")
    client.delete(NAME)
    assert publisher.publish("batch", "batch/0/0", b"{}")
    assert client.xlen(NAME) == 1


def test_what_is_remembered_of_a_batch_is_forgotten_in_time(
    client: redis.Redis, publisher: RedisStreamPublisher
) -> None:
    """Nothing stays in Redis for ever because a batch was published once."""
    publisher.publish("forgotten", "forgotten/0/0", b"{}")
    (guard,) = cast("list[bytes]", client.keys(f"*{NAME}*forgotten*"))
    assert 0 < cast("int", client.ttl(guard)) <= 7200
