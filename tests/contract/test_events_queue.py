"""The results queue itself: one suite for every publisher, also for many at once and for answers that are lost."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
import redis

from complyq_producer.errors import EventsError
from complyq_producer.listening.event import MAX_EVENT_BYTES
from complyq_workers.events import EventPublisher, MemoryPublisher, RedisStreamPublisher
from support.crowds import CROWD, all_at_once
from support.event_queues import KINDS, EventQueuePlace, event_body, opened
from support.lost_answers import LostAnswers, Network, until_answered
from support.tcp_proxy import running_tcp_proxy

HOUR = 3600
BODY = event_body("b1/0/0")


@dataclass
class Queue:
    """A results queue and what surrounds it.

    Attributes:
        publisher: what is tested; it remembers for two hours.
        other: another worker's, without a network that fails.
        network: what lies before `publisher`.
        copies: whether an event whose answer was lost may come to stand on the queue again.
        order: what it keeps the order of: "all" events, those of a "batch", or "none".
        bodies: what is on the queue.
        sleep: lets so many seconds pass, at once.
        flush: loses everything.
    """

    publisher: EventPublisher
    other: EventPublisher
    network: Network
    copies: bool
    order: str
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
    yield Queue(
        publisher=network.before(memory),
        other=memory,
        network=network,
        copies=False,
        order="all",
        bodies=lambda: [body for _, body in memory.events],
        sleep=sleep,
        flush=memory.flush,
    )


@contextmanager
def real_queue(place: EventQueuePlace) -> Iterator[Queue]:
    """A queue in a real server, with a proxy before it."""

    def flush() -> None:
        place.lose()
        place.let_time_pass(None)

    with running_tcp_proxy(place.server) as proxy:
        place.reach(proxy.url(place.server))
        url = proxy.url(place.url) if place.server.startswith(("redis", "amqp")) else place.url
        with place.publisher(events_url=url) as one, place.publisher() as other:
            # They connect, so that the next request is a test's.
            one.verify()
            one.backlog()
            place.reach(place.server)
            other.verify()
            yield Queue(one, other, proxy, place.copies, place.order, place.bodies, place.let_time_pass, flush)


@pytest.fixture(params=["memory", *KINDS])
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    """Every results queue there is, empty."""
    if request.param == "memory":
        with memory_queue() as memory:
            yield memory
        return
    with opened(request.param, request) as place, real_queue(place) as real:
        yield real


def test_event_is_published_once(queue: Queue) -> None:
    """An event published again, also by another worker, is on the queue once."""
    assert queue.publisher.publish("b1", "b1/0/0", BODY)
    assert not queue.publisher.publish("b1", "b1/0/0", BODY)
    assert not queue.other.publish("b1", "b1/0/0", BODY)
    assert queue.bodies() == [BODY]


def test_events_keep_the_order_that_is_promised(queue: Queue) -> None:
    """All events, or those of a batch, stand on the queue in the order in which they were published; or none do."""
    ids = ["b1/0/0", "b1/0/1", "b2/0/0", "b1/1/0", "b2/completed", "b1/completed"]
    for event_id in ids:
        assert queue.publisher.publish(event_id[:2], event_id, event_body(event_id))
    found = [json.loads(body)["id"] for body in queue.bodies()]
    assert sorted(found) == sorted(ids)
    if queue.order == "all":
        assert found == ids
    if queue.order == "batch":
        for batch in ("b1", "b2"):
            assert [i for i in found if i.startswith(batch)] == [i for i in ids if i.startswith(batch)]


def test_the_first_copy_is_the_one_on_the_queue(queue: Queue) -> None:
    """Who publishes under an id that was published changes nothing."""
    first = event_body("b1/0/0", name="first")
    queue.publisher.publish("b1", "b1/0/0", first)
    queue.other.publish("b1", "b1/0/0", event_body("b1/0/0", name="second"))
    assert queue.bodies() == [first]


def test_an_event_may_say_anything(queue: Queue) -> None:
    """Every character that JSON knows arrives; also in an event as long as events may be."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x10000), 0x10000, 0x10FFFF]))
    body = json.dumps(json.loads(event_body("b1/0/0", name=everything)), ensure_ascii=False).encode()
    queue.publisher.publish("b1", "b1/0/0", body)
    queue.publisher.publish("b2", "b2/0/0", event_body("b2/0/0", name="x" * (MAX_EVENT_BYTES - 400)))
    names = {json.loads(found)["data"]["name"] for found in queue.bodies()}
    assert names == {everything, "x" * (MAX_EVENT_BYTES - 400)}


def test_of_many_publishers_one_publishes(queue: Queue) -> None:
    """64 publish an event at once: it is on the queue once, or in copies, and then nobody publishes it any more."""
    told = all_at_once(lambda _: queue.publisher.publish("b1", "b1/0/0", BODY))
    assert told.count(True) >= 1
    assert not queue.other.publish("b1", "b1/0/0", BODY)
    assert set(queue.bodies()) == {BODY}
    assert queue.copies or len(queue.bodies()) == 1


def test_many_events_at_once_are_all_published(queue: Queue) -> None:
    """64 workers that publish events of their own, of one batch, lose none."""
    ids = [f"b1/0/{number}" for number in range(CROWD)]
    told = all_at_once(lambda number: queue.publisher.publish("b1", ids[number], event_body(ids[number])))
    assert all(told)
    assert sorted(json.loads(body)["id"] for body in queue.bodies()) == sorted(ids)
    assert not any(all_at_once(lambda number: queue.other.publish("b1", ids[number], BODY)))


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


def test_a_replay_publishes_once_more(queue: Queue) -> None:
    """What a replay publishes is on the queue beside what was published before, once for each replay."""
    for batch_id in ("b1", "b1@r1", "b1@r1", "b1@r2"):
        queue.publisher.publish(batch_id, "b1/0/0", BODY)
    assert queue.bodies() == [BODY] * 3


def test_a_lost_queue_takes_events_again(queue: Queue) -> None:
    """When queue and memory of it are gone, events are published anew."""
    queue.publisher.publish("b1", "b1/0/0", BODY)
    queue.flush()
    assert queue.bodies() == []
    assert queue.publisher.publish("b1", "b1/0/0", BODY)
    assert queue.bodies() == [BODY]


def test_verifying_publishes_nothing(queue: Queue) -> None:
    """A check leaves the queue as it was, empty or not."""
    queue.publisher.verify()
    assert queue.bodies() == []
    queue.publisher.publish("b1", "b1/0/0", BODY)
    queue.publisher.verify()
    assert queue.bodies() == [BODY]


def test_memory_queue_can_be_out_of_order() -> None:
    """The queue for tests fails on request, with the class that the real ones raise; it tells any backlog."""
    memory = MemoryPublisher()
    memory.available = False
    for call in (memory.verify, memory.backlog, lambda: memory.publish("b1", "b1/0/0", b"{}")):
        with pytest.raises(EventsError):
            call()
    memory.available, memory.waiting = True, 7
    assert memory.publish("b1", "b1/0/0", b"{}")
    assert memory.backlog() == 7


@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize("what", ["reply", "request"])
def test_an_event_whose_answer_was_lost_is_on_the_queue(queue: Queue, what: str, times: int) -> None:
    """Published again until there is an answer, it is there, once or in copies, and nobody else publishes it."""
    before, body = event_body("b1/0/0"), event_body("b1/0/1")
    queue.publisher.publish("b1", "b1/0/0", before)
    lose = queue.network.lose_next_reply if what == "reply" else queue.network.lose_next_request
    lose(times=times)
    until_answered(lambda: queue.publisher.publish("b1", "b1/0/1", body), EventsError)
    while queue.network.faults_left():  # the publisher was content with less: what is left befalls what comes next
        until_answered(queue.publisher.verify, EventsError)
    assert not queue.other.publish("b1", "b1/0/1", body)
    found = queue.bodies()
    assert found == [before, body] or (queue.copies and found[0] == before and set(found[1:]) == {body})


def test_no_event_is_called_published_that_is_not_confirmed(queue: Queue) -> None:
    """While the network loses everything publishing fails with our error; afterwards the event is published."""
    queue.network.lose_next_request(times=1_000)
    for _ in range(2):
        with pytest.raises(EventsError):
            queue.publisher.publish("b1", "b1/0/0", BODY)
    queue.network.forget_faults()
    assert until_answered(lambda: queue.other.publish("b1", "b1/0/0", BODY), EventsError)
    assert queue.bodies() == [BODY]


def test_a_script_that_the_server_forgot_is_sent_again(
    request: pytest.FixtureRequest,
    redis_server: str,
) -> None:
    """A server that was restarted knows none of our scripts; the event is published all the same, and once."""
    with (
        opened("redis", request) as place,
        real_queue(place) as real,
        redis.Redis.from_url(redis_server) as client,
    ):
        client.script_flush()
        real.network.lose_next_reply(times=1)
        until_answered(lambda: real.publisher.publish("b1", "b1/0/0", BODY), EventsError)
        assert real.bodies() == [BODY]


def test_every_way_to_fail_is_an_error_of_ours(queue: Queue) -> None:
    """Refused, reset or lost: publisher, verification and backlog say so in our words, and work when the network does."""
    if isinstance(queue.network, LostAnswers):
        return
    for call in (queue.publisher.verify, queue.publisher.backlog, lambda: _publish_one(queue)):
        until_answered(call, EventsError)  # after a fault, RabbitMQ's connection is one that is gone
        queue.network.lose_next_reply(times=100)
        with pytest.raises(EventsError, match="COMPLYQ_EVENTS_URL"):
            call()
        queue.network.forget_faults()
        queue.network.refuse(True)  # type: ignore[attr-defined] # a proxy
        with pytest.raises(EventsError, match="COMPLYQ_EVENTS_URL"):
            call()
        queue.network.refuse(False)  # type: ignore[attr-defined] # a proxy
        until_answered(call, EventsError)


def _publish_one(queue: Queue) -> None:
    event_id = f"b1/0/{uuid4().int}"
    queue.publisher.publish("b1", event_id, event_body(event_id))


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
        assert sorted(client.keys("{complyq:guard}:*")) == [
            "{complyq:guard}:life:guarded",
            "{complyq:guard}:published:b9",
        ]
