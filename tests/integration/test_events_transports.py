"""A batch whose events go to each kind of results queue, and a queue that is away: events wait, jobs do not."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from complyq_config.settings import load_settings
from complyq_producer.cli.checks.events import check_events
from complyq_producer.listening import listen
from complyq_workers.events import open_publisher
from support.command_line import CommandLine
from support.event_queues import EventQueuePlace, event_body, opened
from support.tcp_proxy import TcpProxy, running_tcp_proxy
from support.world import POSTS, World

NAMESPACE = "tests"


@pytest.fixture
def proxy(place: EventQueuePlace) -> Iterator[TcpProxy]:
    """What lies before the queue's server."""
    with running_tcp_proxy(place.server) as found:
        yield found


@pytest.fixture
def publishing(place: EventQueuePlace, proxy: TcpProxy, cloud_world: World) -> Iterator[World]:
    """A world that publishes to the queue, through the proxy."""
    place.reach(proxy.url(place.server))
    with place.publisher(events_url=_behind(proxy, place), namespace=NAMESPACE) as publisher:
        workers = cloud_world.workers
        workers.pipeline.ports = replace(workers.ports, events=publisher)
        yield cloud_world


def test_a_batch_is_published_whole(publishing: World, place: EventQueuePlace) -> None:
    """Its results and its end are on the queue once, in the order that the queue keeps."""
    batch = publishing.producer.enqueue(POSTS, "tweets")
    publishing.finish(batch.id)
    events = [json.loads(body) for body in place.bodies()]
    counts = Counter(event["type"].split(".")[2] for event in events)
    [end] = [event["data"] for event in events if event["type"] == "complyq.batch.completed.v1"]
    assert counts == {"results": end["results_messages"], "completed": 1}
    found = [result["id"] for event in events for result in event["data"].get("results", ())]
    assert set(found) == publishing.flagged(batch.id)
    if place.order != "none":
        assert events[-1]["id"] == f"{batch.id}/completed"


def test_a_queue_that_is_away_delays_events_and_no_job(
    publishing: World, place: EventQueuePlace, proxy: TcpProxy
) -> None:
    """While nothing can be published two jobs run to their ends, one after the other; then all events come."""
    proxy.refuse(True)
    batches = [publishing.producer.enqueue(POSTS[:100], "tweets").id]
    publishing.workers.run_until(lambda: _has_outcome(publishing, batches[0]))
    batches.append(publishing.producer.enqueue(POSTS[100:200], "tweets").id)
    publishing.workers.run_until(lambda: _has_outcome(publishing, batches[1]))
    assert place.bodies() == []
    assert not any(publishing.producer.status(batch).published for batch in batches)
    proxy.refuse(False)
    for batch in batches:
        publishing.workers.run_until(lambda batch=batch: publishing.producer.status(batch).published)  # type: ignore[misc]
    ids = [json.loads(body)["id"] for body in place.bodies()]
    assert {f"{batch}/completed" for batch in batches} <= set(ids)
    assert place.copies or len(ids) == len(set(ids))


def _has_outcome(world: World, batch_id: str) -> bool:
    return world.workers.ports.store.info(f"batches/{batch_id}/outcome.json") is not None


def test_listen_prints_events_once(place: EventQueuePlace, tmp_path: Path) -> None:
    """`complyq listen --group` acknowledges what it printed: the next call goes on behind it."""
    settings = {"COMPLYQ_EVENTS_URL": place.url, "COMPLYQ_NAMESPACE": place.namespace}
    cli = CommandLine(tmp_path, settings)
    place.announce()
    with place.publisher() as publisher:
        for batch in ("b1", "b2", "b3"):
            publisher.publish(batch, f"{batch}/0/0", event_body(f"{batch}/0/0", namespace=place.namespace))
    env = _aws_variables()
    first = cli.run("listen", "--group", "complyq", "--count", "2", env=env)
    second = cli.run("listen", "--group", "complyq", "--count", "1", env=env)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert sorted(event["id"] for event in first.lines() + second.lines()) == ["b1/0/0", "b2/0/0", "b3/0/0"]


def _aws_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def test_looking_at_a_queue_without_groups_has_to_be_meant(tmp_path: Path) -> None:
    """On SQS, where what is printed is taken from services, `complyq listen` asks for a group; no server is needed."""
    cli = CommandLine(tmp_path, {"COMPLYQ_EVENTS_URL": "sqs://events"})
    refused = cli.run("listen")
    assert refused.code == 2
    assert "--group complyq" in refused.err


def test_looking_takes_nothing_from_services(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """In RabbitMQ too: people who look have a queue of their own, which ends when nobody looks any more."""
    with opened("rabbitmq", request) as place:
        place.announce()
        settings = {"COMPLYQ_EVENTS_URL": place.url, "COMPLYQ_NAMESPACE": place.namespace}
        looking = CommandLine(tmp_path, settings).start("listen", "--count", "1")
        with looking, place.publisher() as publisher:
            number = 0
            while looking.poll() is None:  # it gets what comes once its queue is there
                number += 1
                event_id = f"b{number}/0/0"
                publisher.publish(f"b{number}", event_id, event_body(event_id, namespace=place.namespace))
                with listen(settings=place.settings(), block_seconds=0.2) as service:
                    assert next(service).id == event_id
                    service.acknowledge()
        assert looking.returncode == 0


def _found(place: EventQueuePlace, **changes: object) -> list[tuple[str, str, str]]:
    """What the doctor says of a queue."""
    return [
        (found.check, found.verdict, found.found + (found.mend or ""))
        for found in check_events(place.settings(**changes))
    ]


def test_doctor_finds_a_fit_queue_fit(place: EventQueuePlace) -> None:
    """It tells how many events wait, and changes nothing."""
    place.announce()
    with place.publisher() as publisher:
        publisher.publish("b1", "b1/0/0", event_body("b1/0/0"))
    check, verdict, found = _found(place)[0]
    assert (check, verdict) == ("Results queue", "ok")
    assert "1 events" in found
    assert len(place.bodies()) == 1


def test_doctor_says_how_to_mend_a_queue_that_is_away(place: EventQueuePlace, proxy: TcpProxy) -> None:
    """It names the variable, and no password."""
    proxy.refuse(True)
    place.reach(proxy.url(place.server))
    [(_, verdict, found)] = _found(place, events_url=_behind(proxy, place))
    assert verdict == "failed"
    assert "COMPLYQ_EVENTS_URL" in found
    assert "guest:guest" not in found


def _behind(proxy: TcpProxy, place: EventQueuePlace) -> str:
    return proxy.url(place.url) if place.server.startswith(("redis", "amqp")) else place.url


@pytest.mark.parametrize(
    ("kind", "harm", "hint"),
    [
        ("rabbitmq", lambda place: place.delete_group(), "bind a queue"),
        ("sqs-ministack", lambda place: place.lose(), "MessageRetentionPeriod"),
    ],
)
def test_doctor_warns_of_what_costs_events(
    kind: str, harm: Callable[[EventQueuePlace], None], hint: str, request: pytest.FixtureRequest
) -> None:
    """An exchange without a queue, and a queue that keeps messages for a shorter time than events are remembered."""
    with opened(kind, request) as place:
        place.announce()
        harm(place)
        findings = _found(place, events_replay_hours=168)
        assert any(verdict == "warning" and hint in found for _, verdict, found in findings), findings


def test_doctor_finds_a_queue_that_does_not_exist(request: pytest.FixtureRequest) -> None:
    """With what to do."""
    with opened("sqs-ministack", request) as place:
        [(_, verdict, found)] = _found(place, events_url="sqs://missing")
        assert verdict == "failed"
        assert "create the queue" in found


def test_a_queue_is_chosen_by_its_url() -> None:
    """Nothing is contacted for it."""
    for url in ("sqs://events.fifo", "amqp://host/?exchange=x", "redis://host/0"):
        with closing(open_publisher(load_settings(events_url=url))):  # type: ignore[type-var] # all can be closed
            pass
