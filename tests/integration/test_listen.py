"""Listening for events on a real Redis Stream."""

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import redis

from complyq_config.errors import ConfigurationError
from complyq_producer.errors import EventsError
from complyq_producer.listening import Event, Listener, StreamAddress, listen
from support.redis_server import RedisServer, redis_server, running_redis_server  # noqa: F401 - a fixture is used by its name

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def body(event_id: str, namespace: str = "default") -> bytes:
    """An event as workers publish it."""
    event = Event(
        specversion="1.0",
        id=event_id,
        source=f"/complyq/{namespace}",
        type="complyq.batch.completed.v1",
        subject="b1",
        time=NOW,
        data={"batch_id": "b1", "flagged": 3},
    )
    return msgspec.json.encode(event)


class Stream:
    """A stream of its own, and listeners that are closed at the end."""

    def __init__(self, server_url: str) -> None:
        self.name = f"stream-{uuid.uuid4().hex}"
        self.client = redis.Redis.from_url(server_url)
        self.url = f"{server_url}?stream={self.name}"
        self._listeners: list[Any] = []

    def add(self, *event_ids: str, **fields: str) -> None:
        """Put events on the stream."""
        for event_id in event_ids:
            self.client.xadd(self.name, {"event": body(event_id, **fields)})

    def listen(self, **options: Any) -> Listener:
        """A listener that waits for short times only."""
        listener = listen(self.url, **{"namespace": "default", "block_seconds": 0.05, **options})
        self._listeners.append(listener)
        return listener

    def pending(self, group: str = "complyq") -> int:
        """How many events are delivered and not acknowledged."""
        return int(self.client.xpending(self.name, group)["pending"])  # type: ignore[index] # sync client

    def close(self) -> None:
        """Stop the listeners."""
        for listener in self._listeners:
            listener.close()
        self.client.close()


@pytest.fixture
def stream(redis_server: str) -> Iterator[Stream]:  # noqa: F811 - the fixture
    """An empty stream."""
    found = Stream(redis_server)
    yield found
    found.close()


def ids(listener: Iterator[Event], count: int) -> list[str]:
    """The ids of the next events."""
    return [next(listener).id for _ in range(count)]


def test_events_arrive_whole(stream: Stream) -> None:
    """A listener gets the envelope typed and the data as it is."""
    stream.add("b1/completed")
    event = next(stream.listen())
    assert (event.id, event.subject, event.type) == ("b1/completed", "b1", "complyq.batch.completed.v1")
    assert event.time == NOW
    assert event.data == {"batch_id": "b1", "flagged": 3}


def test_events_arrive_in_order_from_the_start(stream: Stream) -> None:
    """A new group gets what is on the stream already, in order, and then what comes."""
    stream.add("e1", "e2")
    listener = stream.listen()
    assert ids(listener, 2) == ["e1", "e2"]
    stream.add("e3")
    assert ids(listener, 1) == ["e3"]


def test_new_group_may_begin_now(stream: Stream) -> None:
    """With from_start=False a new group gets only what comes after it."""
    stream.add("e1")
    listener = stream.listen(from_start=False)
    later = threading.Thread(target=_once_there_is_a_group, args=(stream, lambda: stream.add("e2")))
    later.start()
    assert ids(listener, 1) == ["e2"]
    later.join()


def _once_there_is_a_group(stream: Stream, then: Callable[[], None]) -> None:
    while not (stream.client.exists(stream.name) and stream.client.xinfo_groups(stream.name)):
        pass
    then()


def test_event_is_acknowledged_when_the_next_is_asked_for(stream: Stream) -> None:
    """While the body of the loop works the event is still ours; asking for the next takes it off."""
    stream.add("e1", "e2")
    listener = stream.listen()
    next(listener)
    assert stream.pending() == 1
    next(listener)
    assert stream.pending() == 1
    assert stream.client.xinfo_groups(stream.name)[0]["entries-read"] == 2  # type: ignore[index] # sync client


def test_leaving_the_loop_leaves_the_event(stream: Stream) -> None:
    """A listener of the same name that comes back gets its unfinished event first."""
    stream.add("e1", "e2")
    first = stream.listen(consumer="worker-a")
    assert ids(first, 1) == ["e1"]
    first.close()
    assert ids(stream.listen(consumer="worker-a"), 2) == ["e1", "e2"]


def test_events_of_a_dead_listener_are_taken_over(stream: Stream) -> None:
    """An event that a listener has had for too long goes to another one of the group."""
    stream.add("e1", "e2")
    dead = stream.listen(consumer="dead")
    assert ids(dead, 1) == ["e1"]
    alive = stream.listen(consumer="alive", claim_seconds=0.2)
    assert sorted(ids(alive, 2)) == ["e1", "e2"]


def test_listeners_of_a_group_share_and_groups_do_not(stream: Stream) -> None:
    """Each event goes to one listener of a group, and to every group."""
    stream.add("e1", "e2")
    assert ids(stream.listen(), 1) + ids(stream.listen(), 1) == ["e1", "e2"]
    assert ids(stream.listen(group="other"), 2) == ["e1", "e2"]


def test_copies_are_left_out(stream: Stream) -> None:
    """A copy of an event that was handled is taken off without being handled again."""
    stream.add("e1", "e1", "e2", "e1", "e3")
    listener = stream.listen()
    assert ids(listener, 3) == ["e1", "e2", "e3"]
    assert stream.pending() == 1


def test_malformed_entries_do_not_stop_what_follows(stream: Stream) -> None:
    """An entry that is no event is logged and taken off."""
    stream.client.xadd(stream.name, {"other": "x"})
    for text in (b"{", b"[]", b'{"id":"e0"}', b"\xff"):
        stream.client.xadd(stream.name, {"event": text})
    stream.add("e1")
    assert ids(stream.listen(), 1) == ["e1"]
    assert stream.pending() == 1


def test_other_namespaces_are_left_out(stream: Stream) -> None:
    """Installations that share a stream do not get each other's events."""
    stream.add("e1", namespace="staging")
    stream.add("e2")
    assert ids(stream.listen(), 1) == ["e2"]


def test_listener_that_ends_leaves_no_trace_in_the_group(stream: Stream) -> None:
    """A listener with nothing unfinished is removed from its group; one with something is kept."""
    stream.add("e1", "e2")
    listener = stream.listen(consumer="done")
    assert ids(listener, 2) == ["e1", "e2"]
    listener.close()
    names = [consumer["name"] for consumer in stream.client.xinfo_consumers(stream.name, "complyq")]  # type: ignore[union-attr] # sync client
    assert names == [b"done"]
    again = stream.listen(consumer="done")
    assert ids(again, 1) == ["e2"]
    stream.add("e3")
    next(again)
    stream.client.xack(stream.name, "complyq", *_pending_ids(stream))
    again.close()
    assert stream.client.xinfo_consumers(stream.name, "complyq") == []


def _pending_ids(stream: Stream) -> list[bytes]:
    entries = stream.client.xpending_range(stream.name, "complyq", "-", "+", 10)
    return [entry["message_id"] for entry in entries]  # type: ignore[union-attr] # sync client


def test_listener_survives_a_server_that_dies() -> None:
    """After Redis was killed and came back empty, events published since then arrive; handled copies do not."""
    with running_redis_server() as server:
        stream = Stream(server.url)
        stream.add("e1", "e2")
        listener = stream.listen()
        assert ids(listener, 2) == ["e1", "e2"]
        restarted = threading.Thread(target=_restart, args=(server, lambda: stream.add("e1", "e2", "e3")))
        server.kill()
        restarted.start()
        assert ids(listener, 1) == ["e3"]
        restarted.join()
        stream.close()


def test_listener_survives_a_flush(stream: Stream) -> None:
    """After the stream was deleted while a listener waited, it makes its group again and gets what follows."""
    stream.add("e1")
    listener = stream.listen()
    assert ids(listener, 1) == ["e1"]
    stream.client.delete(stream.name)
    stream.add("e2")
    assert ids(listener, 1) == ["e2"]


def test_listener_may_start_before_the_server() -> None:
    """A server that does not answer yet is waited for."""
    with running_redis_server() as server:
        server.kill()
        stream = Stream(server.url)
        restarted = threading.Thread(target=_restart, args=(server, lambda: stream.add("e1")))
        restarted.start()
        assert ids(stream.listen(), 1) == ["e1"]
        restarted.join()
        stream.close()


def _restart(server: RedisServer, then: Callable[[], None]) -> None:
    server.start()
    then()


def test_key_that_is_no_stream_is_an_error(stream: Stream) -> None:
    """What waiting cannot mend is raised: here a name that something else uses."""
    stream.client.set(stream.name, "x")
    with pytest.raises(EventsError, match="COMPLYQ_EVENTS_URL"):
        next(stream.listen())


def test_wrong_password_is_an_error(stream: Stream) -> None:
    """A password that the server does not take is an error, and is not shown."""
    stream.url = stream.url.replace("redis://", "redis://user:secret@")
    with pytest.raises(EventsError) as caught:
        next(stream.listen())
    assert "secret" not in str(caught.value)


def test_settings_name_the_queue(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments the environment says which queue and whose events."""
    monkeypatch.setenv("COMPLYQ_EVENTS_URL", stream.url)
    monkeypatch.setenv("COMPLYQ_NAMESPACE", "mine")
    stream.add("e1", namespace="mine")
    listener = listen(block_seconds=0.05)
    assert next(listener).id == "e1"
    listener.close()


def test_address_is_split() -> None:
    """The stream's name is our part of the URL; the rest is the server's."""
    address = StreamAddress.parse("rediss://u:p@host:1/2?stream=a.b&ssl_cert_reqs=none")
    assert (address.url, address.stream) == ("rediss://u:p@host:1/2?ssl_cert_reqs=none", "a.b")
    assert StreamAddress.parse("redis://host/0") == StreamAddress("redis://host/0", "complyq.events")
    for wrong in ("amqp://u:secret@host", "redis://u:secret@host/0?stream="):
        with pytest.raises(ConfigurationError, match="COMPLYQ_EVENTS_URL") as caught:
            StreamAddress.parse(wrong)
        assert "secret" not in str(caught.value)
