"""What a listener owes to the others of its group: an event that it had in hand when it left is not lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import uuid4

import msgspec
import pytest
import redis

from complyq_producer.listening import Listener, listen

NAMESPACE = "tests"


class Stream:
    """A stream with two events."""

    def __init__(self, url: str, client: redis.Redis) -> None:
        self.name = f"guards:{uuid4().hex}"
        self._url = f"{url}?stream={self.name}"
        self.client = client
        for number in (1, 2):
            client.xadd(self.name, {"event": _body(f"e{number}")})

    @contextmanager
    def listen(self, consumer: str, *, claim_seconds: float = 300.0) -> Iterator[Listener]:
        """Listen as one consumer of the group."""
        with listen(
            self._url, consumer=consumer, namespace=NAMESPACE, block_seconds=0.1, claim_seconds=claim_seconds
        ) as events:
            yield events

    def leave_with_the_first(self) -> None:
        """Have a listener take an event and not come to the end of its loop's body."""
        with self.listen("one") as events:
            assert next(events).id == "e1"


def _body(event_id: str) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": f"/complyq/{NAMESPACE}",
            "type": "complyq.batch.completed.v1",
            "subject": "b1",
            "time": "2026-11-22T12:00:00.000Z",
            "data": {},
        }
    )


@pytest.fixture
def stream(redis_server: str) -> Iterator[Stream]:
    """A stream of the test's own."""
    with redis.Redis.from_url(redis_server) as client:
        yield Stream(redis_server, client)


def test_a_listener_that_comes_back_gets_what_it_had_in_hand(stream: Stream) -> None:
    """At once, and before anything that is new."""
    stream.leave_with_the_first()
    with stream.listen("one") as events:
        assert next(events).id == "e1"


def test_another_listener_gets_what_one_had_in_hand_for_too_long(stream: Stream) -> None:
    """Before anything that is new."""
    stream.leave_with_the_first()
    with stream.listen("two", claim_seconds=0.0) as events:
        assert next(events).id == "e1"


def test_a_listener_that_leaves_takes_nothing_with_it(stream: Stream) -> None:
    """Its place in the group stays until what it had in hand is done."""
    stream.leave_with_the_first()
    pending = cast("dict[str, int]", stream.client.xpending(stream.name, f"complyq@{NAMESPACE}"))
    assert pending["pending"] == 1
