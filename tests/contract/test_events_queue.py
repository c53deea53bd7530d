"""The results queue itself: one suite for every publisher, also for many at once and for answers that are lost."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
import redis

from complyq_producer.errors import EventsError
from complyq_workers.events import EventPublisher, MemoryPublisher, RedisStreamPublisher
from support.coordinations import let_time_pass
from support.crowds import CROWD, all_at_once
from support.lost_answers import LostAnswers, Network, until_answered
from support.tcp_proxy import running_tcp_proxy

HOUR = 3600
BODY = b'{"a":1}'


@dataclass
class Queue:
    """A results queue and what surrounds it.

    Attributes:
        publisher: what is tested; it remembers for two hours.
        other: another worker's, without a network that fails.
        network: what lies before `publisher`.
        network_errors: how much must be lost in a row before `publisher` gives up.
        bodies: what is on the queue.
        sleep: lets so many seconds pass, at once.
        flush: loses everything.
    """

    publisher: EventPublisher
    other: EventPublisher
    network: Network
    network_errors: int
    bodies: Callable[[], list[bytes]]
    sleep: Callable[[float], None]
    flush: Callable[[], None]


@contextmanager
def memory_queue() -> Iterator[Queue]:
    """A queue within this process."""
    clock = [1000.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    memory = MemoryPublisher(lambda: clock[0], replay_hours=2)
    network = LostAnswers(EventsError("the answer was lost"))
    yield Queue(network.before(memory), memory, network, 1, lambda: _bodies(memory), sleep, memory.flush)


@contextmanager
def redis_queue(url: str) -> Iterator[Queue]:
    """A stream in a real server, with a proxy before it."""
    name = uuid4().hex

    def publisher(url: str) -> closing[RedisStreamPublisher]:
        return closing(RedisStreamPublisher(f"{url}?stream=events:{name}", name, replay_hours=2))

    with (
        running_tcp_proxy(url) as proxy,
        redis.Redis.from_url(url) as client,
        publisher(proxy.url(url)) as one,
        publisher(url) as other,
    ):
        one.verify()  # connects, so that the next request is a test's
        yield Queue(
            one,
            other,
            proxy,
            2,
            lambda: [fields[b"event"] for _, fields in client.xrange(f"events:{name}")],
            lambda seconds: let_time_pass(client, f"*{name}*", seconds),
            lambda: let_time_pass(client, f"*{name}*", None),
        )


@pytest.fixture(params=["memory", "redis"])
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    """Every results queue there is, empty."""
    if request.param == "memory":
        with memory_queue() as memory:
            yield memory
        return
    with redis_queue(request.getfixturevalue("redis_server")) as real:
        yield real


def test_event_is_published_once(queue: Queue) -> None:
    """An event published again, also by another worker, is on the queue once."""
    assert queue.publisher.publish("b1", "b1/0/0", BODY)
    assert not queue.publisher.publish("b1", "b1/0/0", BODY)
    assert not queue.other.publish("b1", "b1/0/0", BODY)
    assert queue.bodies() == [BODY]


def test_events_keep_their_order(queue: Queue) -> None:
    """Events of all batches stand on the queue in the order in which they were published."""
    ids = [("b1", "b1/0/0"), ("b1", "b1/0/1"), ("b2", "b2/0/0"), ("b1", "b1/completed")]
    for batch_id, event_id in ids:
        assert queue.publisher.publish(batch_id, event_id, event_id.encode())
    assert queue.bodies() == [event_id.encode() for _, event_id in ids]


def test_the_first_copy_is_the_one_on_the_queue(queue: Queue) -> None:
    """Who publishes under an id that was published changes nothing."""
    queue.publisher.publish("b1", "b1/0/0", b"first")
    queue.other.publish("b1", "b1/0/0", b"second")
    assert queue.bodies() == [b"first"]


def test_an_event_is_any_bytes(queue: Queue) -> None:
    """What was published is on the queue as it was."""
    body = bytes(range(256)) * 700
    queue.publisher.publish("b1", "b1/0/0", body)
    assert queue.bodies() == [body]


def test_of_many_publishers_one_publishes(queue: Queue) -> None:
    """64 publish an event at once: one is told so, and the event is on the queue once."""
    told = all_at_once(lambda _: queue.publisher.publish("b1", "b1/0/0", BODY))
    assert told.count(True) == 1
    assert queue.bodies() == [BODY]


def test_many_events_at_once_are_all_published(queue: Queue) -> None:
    """64 workers that publish events of their own, of one batch, lose none."""
    told = all_at_once(lambda number: queue.publisher.publish("b1", f"b1/0/{number}", b"%d" % number))
    assert all(told)
    assert sorted(map(int, queue.bodies())) == list(range(CROWD))
    assert not any(all_at_once(lambda number: queue.other.publish("b1", f"b1/0/{number}", BODY)))


def test_what_was_published_is_remembered_from_the_last_event_on(queue: Queue) -> None:
    """A batch whose events go on coming is remembered whole; one that ended is forgotten after the replay hours."""
    queue.publisher.publish("b1", "b1/0/0", BODY)
    queue.publisher.publish("b2", "b2/0/0", BODY)
    queue.sleep(1.5 * HOUR)
    queue.publisher.publish("b1", "b1/completed", BODY)
    queue.publisher.publish("b2", "b2/0/0", BODY)
    queue.sleep(1.5 * HOUR)
    assert not queue.publisher.publish("b1", "b1/0/0", BODY)
    assert queue.publisher.publish("b2", "b2/0/0", BODY)
    queue.sleep(HOUR)
    assert queue.publisher.publish("b1", "b1/0/0", BODY)


def test_a_lost_queue_takes_events_again(queue: Queue) -> None:
    """When queue and memory of it are gone, events are published anew."""
    queue.publisher.publish("b1", "b1/0/0", BODY)
    queue.flush()
    assert queue.bodies() == []
    assert queue.publisher.publish("b1", "b1/0/0", BODY)
    assert queue.bodies() == [BODY]


def test_verifying_publishes_nothing(queue: Queue) -> None:
    """A check at start leaves the queue as it was, empty or not."""
    queue.publisher.verify()
    assert queue.bodies() == []
    queue.publisher.publish("b1", "b1/0/0", b"{}")
    queue.publisher.verify()
    assert queue.bodies() == [b"{}"]


def test_memory_queue_can_be_out_of_order() -> None:
    """The queue for tests fails on request, with the class that the real ones raise."""
    memory = MemoryPublisher()
    memory.available = False
    for call in (memory.verify, lambda: memory.publish("b1", "b1/0/0", b"{}")):
        with pytest.raises(EventsError):
            call()
    memory.available = True
    assert memory.publish("b1", "b1/0/0", b"{}")


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("what", ["reply", "request"])
def test_an_event_whose_answer_was_lost_is_on_the_queue_once(queue: Queue, what: str, times: int) -> None:
    """Published again until there is an answer, it is there once, and nobody else publishes it."""
    queue.publisher.publish("b1", "b1/0/0", b"before")
    lose = queue.network.lose_next_reply if what == "reply" else queue.network.lose_next_request
    lose(times=times)
    until_answered(lambda: queue.publisher.publish("b1", "b1/0/1", BODY), EventsError)
    assert queue.network.faults_left() == 0
    assert not queue.other.publish("b1", "b1/0/1", BODY)
    assert queue.bodies() == [b"before", BODY]


def test_whether_an_unanswered_event_was_published_is_unknown(queue: Queue) -> None:
    """The error is ours; asking again tells."""
    for event_id, lose in (("b1/0/0", queue.network.lose_next_reply), ("b1/0/1", queue.network.lose_next_request)):
        lose(times=queue.network_errors)
        with pytest.raises(EventsError):
            queue.publisher.publish("b1", event_id, event_id.encode())
        while queue.network.faults_left():  # a lost request may have been one that connects
            until_answered(queue.publisher.verify, EventsError)
    assert queue.bodies() == [b"b1/0/0"]
    told = [queue.publisher.publish("b1", event_id, event_id.encode()) for event_id in ("b1/0/0", "b1/0/1")]
    assert told == [False, True]


def test_a_script_that_the_server_forgot_is_sent_again(redis_server: str) -> None:
    """A server that was restarted knows none of our scripts; the event is published all the same, and once."""
    with redis_queue(redis_server) as real, redis.Redis.from_url(redis_server) as client:
        client.script_flush()
        real.network.lose_next_reply(times=1)
        until_answered(lambda: real.publisher.publish("b1", "b1/0/0", BODY), EventsError)
        assert real.bodies() == [BODY]


def test_every_way_to_fail_is_an_error_of_ours(redis_server: str) -> None:
    """Refused, reset or lost: publisher and verification say so in our words, and work again when the network does."""
    with running_tcp_proxy(redis_server) as proxy:
        url = proxy.url(redis_server)
        with closing(RedisStreamPublisher(f"{url}?stream={uuid4().hex}", "bad line")) as publisher:
            for call in (publisher.verify, lambda: publisher.publish("b1", uuid4().hex, BODY)):
                call()
                proxy.lose_next_reply(times=2)
                with pytest.raises(EventsError, match="COMPLYQ_EVENTS_URL"):
                    call()
                proxy.refuse(True)
                with pytest.raises(EventsError, match="COMPLYQ_EVENTS_URL"):
                    call()
                proxy.refuse(False)
                call()


def test_nothing_but_the_guard_is_left_in_redis(redis_server: str) -> None:
    """Also a verification that broke off leaves nothing, once another one went well."""
    with (
        running_tcp_proxy(redis_server) as proxy,
        redis.Redis.from_url(redis_server, decode_responses=True) as client,
        closing(
            RedisStreamPublisher(f"{proxy.url(redis_server)}?stream=guarded", "guard", replay_hours=2)
        ) as publisher,
    ):
        publisher.publish("b9", "b9/0/0", BODY)
        proxy.lose_next_reply(times=2)
        with pytest.raises(EventsError):
            publisher.verify()
        publisher.verify()
        assert 7_000 < client.ttl("{complyq:guard}:published:b9") <= 7_200
        assert client.keys("{complyq:guard}:*") == ["{complyq:guard}:published:b9"]


def _bodies(memory: MemoryPublisher) -> list[bytes]:
    return [body for _, body in memory.events]
