"""Listening on every kind of results queue: one suite for all, from a worker's publisher to the body of a loop."""

import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from complyq_producer.errors import EventsError, EventsRefusedError
from complyq_producer.listening import Listener, listen, rabbitmq_reader, sqs_reader
from complyq_producer.listening import rabbitmq_connection as rabbitmq
from support.event_queues import EventQueuePlace, event_body, opened
from support.lost_answers import until_answered
from support.rabbitmq_server import RabbitServer
from support.tcp_proxy import TcpProxy, running_tcp_proxy

_PATIENCE_SECONDS = 30
DIES_WITH_AN_EVENT_IN_HAND = """
import os, signal
from complyq_producer import listen
for event in listen(consumer="dies", claim_seconds=2, block_seconds=0.2):
    print(event.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def publish(place: EventQueuePlace, *ids: str, namespace: str | None = None, replay: str = "") -> None:
    """Publish events, as a worker of the place's installation or of another does."""
    whose = namespace or place.namespace
    with place.publisher(namespace=whose) as publisher:
        for event_id in ids:
            batch_id = event_id.partition("/")[0] + replay
            assert publisher.publish(batch_id, event_id, event_body(event_id, namespace=whose))


def listener(place: EventQueuePlace, **options: Any) -> Listener:
    """Listen with short times; the group exists on RabbitMQ, where it must before there are events for it."""
    url = options.pop("url", place.url)
    place.announce()
    return listen(settings=place.settings(events_url=url), **{"block_seconds": 0.2, "claim_seconds": 2, **options})


def ids(events: Listener, count: int) -> list[str]:
    """The ids of the next events; a test fails where they do not come."""
    found: list[str] = []
    taking = threading.Thread(target=lambda: found.extend(next(events).id for _ in range(count)), daemon=True)
    taking.start()
    taking.join(_PATIENCE_SECONDS)
    assert not taking.is_alive(), f"of {count} events there came only {found}"
    return found


def until_nothing_waits(place: EventQueuePlace) -> None:
    """Return when the queue's listeners have handled all."""
    with place.publisher() as publisher:
        while publisher.backlog():
            time.sleep(0.05)


def test_events_arrive_whole(place: EventQueuePlace) -> None:
    """A listener gets the envelope typed and the data as it is; handled events do not wait any more."""
    place.announce()
    publish(place, "b1/completed")
    with listener(place) as events:
        event = next(events)
        assert (event.id, event.subject, event.type) == ("b1/completed", "b1", "complyq.batch.completed.v1")
        assert (event.data, event.time.isoformat()) == (
            {"batch_id": "b1", "type": "tweets"},
            "2026-11-22T12:00:00+00:00",
        )
        events.acknowledge()
        until_nothing_waits(place)


def test_events_arrive_in_the_order_that_is_promised(place: EventQueuePlace) -> None:
    """One listener gets all events, or those of a batch, in the order in which they were published; or in any."""
    place.announce()
    wanted = [f"b{batch}/0/{number}" for number in range(6) for batch in (1, 2)] + ["b1/completed", "b2/completed"]
    publish(place, *wanted)
    with listener(place) as events:
        found = ids(events, len(wanted))
    assert sorted(found) == sorted(wanted)
    for batch in ("b1", "b2"):
        if place.order in {"all", "batch"}:
            assert [i for i in found if i.startswith(batch)] == [i for i in wanted if i.startswith(batch)]
    if place.order == "all":
        assert found == wanted


def test_leaving_the_loop_leaves_the_event(place: EventQueuePlace) -> None:
    """A listener of the same name that comes back gets its unfinished event again, and goes on."""
    place.announce()
    publish(place, "b1/0/0", "b2/0/0")
    with listener(place, consumer="one", claim_seconds=300) as events:
        left = next(events).id
    with listener(place, consumer="one", claim_seconds=300) as events:
        found = ids(events, 2)
    assert sorted(found) == ["b1/0/0", "b2/0/0"]
    if place.order == "all":
        assert found[0] == left


def test_an_event_in_the_hands_of_a_process_that_was_killed_comes_again(
    place: EventQueuePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To another listener of the group, whatever the first one had done with it."""
    place.announce()
    publish(place, "b1/0/0")
    for name, value in place.settings().environment().items():
        monkeypatch.setenv(name, value)
    died = subprocess.run([sys.executable, "-c", DIES_WITH_AN_EVENT_IN_HAND], stdout=subprocess.PIPE, check=False)
    assert (died.returncode, died.stdout) == (-9, b"b1/0/0\n")
    with listener(place, consumer="alive") as events:
        assert ids(events, 1) == ["b1/0/0"]


def test_copies_are_left_out(place: EventQueuePlace) -> None:
    """Copies of an event that was handled are taken off without being handled again."""
    place.announce()
    publish(place, "b1/0/0")
    for replay in ("@r1", "@r2"):
        publish(place, "b1/0/0", replay=replay)
    publish(place, "b2/0/0")
    with listener(place) as events:
        assert sorted(ids(events, 2)) == ["b1/0/0", "b2/0/0"]
        events.acknowledge()
        publish(place, "b3/0/0")
        assert ids(events, 1) == ["b3/0/0"]
        events.acknowledge()
        until_nothing_waits(place)


def test_listeners_of_a_group_share_the_events(place: EventQueuePlace) -> None:
    """Each event is handled by one of them."""
    place.announce()
    wanted = [f"b{number}/0/0" for number in range(6)]
    with listener(place, claim_seconds=300) as one, listener(place, claim_seconds=300) as other:
        publish(place, *wanted)
        found = []
        for _ in range(3):
            found += [next(one).id, next(other).id]
    assert sorted(found) == wanted


def test_events_of_other_installations_are_left_to_them(
    place: EventQueuePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listeners of two installations on one queue, in groups of one name, each get their own events and all of them."""
    monkeypatch.setattr(sqs_reader, "_ASIDE_SECONDS", 1)
    place.announce()
    other = place.namespace[::-1]
    place.announce(other)
    publish(place, "b1/0/0", namespace=other)
    publish(place, "b2/0/0")
    publish(place, "b3/0/0", namespace=other)
    with listener(place) as ours:
        assert ids(ours, 1) == ["b2/0/0"]
        ours.acknowledge()
        with listener(place, namespace=other) as theirs:
            assert sorted(ids(theirs, 2)) == ["b1/0/0", "b3/0/0"]
            theirs.acknowledge()


def test_what_is_no_event_does_not_stop_what_follows(place: EventQueuePlace) -> None:
    """It is told in the log, and passed over."""
    place.announce()
    with place.publisher() as publisher:
        publisher.publish("b1", "b1/0/0", event_body("b1/0/0").replace(b'"specversion"', b'"version"'))
    publish(place, "b2/0/0")
    with listener(place) as events:
        assert ids(events, 1) == ["b2/0/0"]


def test_a_listener_lives_through_an_outage(place: EventQueuePlace) -> None:
    """The connection breaks while it has an event in hand, and later it is refused for a while."""
    place.announce()
    publish(place, "b1/0/0")
    with running_tcp_proxy(place.server) as proxy:
        place.reach(proxy.url(place.server))
        with listener(place, url=behind(proxy, place), consumer="one") as events:
            assert ids(events, 1) == ["b1/0/0"]
            place.reach(place.server)
            proxy.reset_connections()
            publish(place, "b2/0/0")
            assert ids(events, 1) == ["b2/0/0"]
            proxy.refuse(True)
            publish(place, "b3/0/0")
            back = threading.Timer(0.5, proxy.refuse, [False])
            back.start()
            assert ids(events, 1) == ["b3/0/0"]
            back.join()


def behind(proxy: TcpProxy, place: EventQueuePlace) -> str:
    """Return the queue's URL with a proxy before its server; SQS is reached by the environment."""
    return proxy.url(place.url) if place.server.startswith(("redis", "amqp")) else place.url


def test_a_listener_may_start_before_its_server(place: EventQueuePlace) -> None:
    """A server that does not answer yet is waited for."""
    place.announce()
    publish(place, "b1/0/0")
    with running_tcp_proxy(place.server) as proxy:
        proxy.refuse(True)
        place.reach(proxy.url(place.server))
        with listener(place, url=behind(proxy, place)) as events:
            back = threading.Timer(0.5, proxy.refuse, [False])
            back.start()
            assert ids(events, 1) == ["b1/0/0"]
            back.join()


def test_after_it_was_closed_a_listener_is_at_its_end(place: EventQueuePlace) -> None:
    """As every iterator; closing it again does no harm."""
    events = listener(place)
    events.close()
    events.close()
    events.acknowledge()
    assert list(events) == []


def test_rabbitmq_hears_from_a_listener_whose_body_takes_long(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection lives on, whatever the body does: its event is acknowledged, and goes to nobody else."""
    for module in (rabbitmq, rabbitmq_reader):
        monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 1)
    with opened("rabbitmq", request) as place:
        place.announce()
        publish(place, "b1/0/0", "b2/0/0")
        with listener(place) as events, listener(place, consumer="other") as other:
            assert ids(events, 1) == ["b1/0/0"]
            time.sleep(4)  # RabbitMQ gives up a connection after two heartbeats
            assert ids(other, 1) == ["b2/0/0"]
            events.acknowledge()
            other.acknowledge()
            until_nothing_waits(place)


def test_a_receipt_of_a_lost_channel_takes_nothing_off(request: pytest.FixtureRequest) -> None:
    """RabbitMQ numbers messages by channel: an acknowledgement that comes late does not hit another event of its number."""
    with opened("rabbitmq", request) as place, running_tcp_proxy(place.server) as proxy:
        place.announce()
        publish(place, "b1/0/0", "b2/0/0")
        with listener(place, url=behind(proxy, place)) as events:
            assert ids(events, 1) == ["b1/0/0"]
            reader, in_hand = events._reader, events._in_hand
            assert reader is not None
            assert in_hand is not None
            proxy.refuse(True)
            with listener(place, consumer="other") as other:
                assert ids(other, 1) == ["b1/0/0"]
                other.acknowledge()
            proxy.refuse(False)
            assert b"b2/0/0" in reader.next().body  # by the number that b1 had
            reader.acknowledge(in_hand[0])
        with listener(place) as events:
            assert ids(events, 1) == ["b2/0/0"]


def test_a_queue_that_was_deleted_is_made_again(request: pytest.FixtureRequest, rabbitmq_server: RabbitServer) -> None:
    """RabbitMQ tells its listeners that the queue is gone."""
    with opened("rabbitmq", request) as place:
        place.announce()
        publish(place, "b1/0/0")
        with listener(place) as events:
            assert ids(events, 1) == ["b1/0/0"]
            place.delete_group()
            later = threading.Timer(1, lambda: until_answered(lambda: publish_once_bound(place), EventsError))
            later.start()
            assert ids(events, 1) == ["b2/0/0"]
            later.join()


def publish_once_bound(place: EventQueuePlace) -> None:
    """Publish, if there is a queue for the group."""
    time.sleep(0.3)
    publish(place, "b2/0/0")


def test_a_queue_of_the_operators_own_making_is_taken(request: pytest.FixtureRequest) -> None:
    """Whatever its kind: here one with a limit to its length."""
    with opened("rabbitmq", request) as place:
        place.delete_group()
        place.announce(arguments={"x-max-length": 1_000})
        publish(place, "b1/0/0")
        with listener(place) as events:
            assert ids(events, 1) == ["b1/0/0"]


@pytest.mark.parametrize("kind", ["sqs-ministack", "sqs-moto", "rabbitmq"])
def test_refusals_end_the_loop(kind: str, request: pytest.FixtureRequest) -> None:
    """What waiting cannot mend is raised, without a password: a queue that does not exist, a wrong password."""
    with opened(kind, request) as place:
        wrong = place.url.replace("guest:guest", "guest:wrong-secret").replace("sqs://", "sqs://missing-")
        with (
            listener(place, url=wrong) as events,
            pytest.raises(EventsRefusedError, match="COMPLYQ_EVENTS_URL") as caught,
        ):
            next(events)
        assert "wrong-secret" not in str(caught.value)
