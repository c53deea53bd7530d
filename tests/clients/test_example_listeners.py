"""The listeners that people copy do what a listener must do, with events of real batches."""

import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis

from complyq_producer.model import BatchState
from complyq_producer.store import open_store
from complyq_workers.events import RedisStreamPublisher
from support.example_listeners import ExampleListener, NodeListener, PythonListener, running
from support.inline_workers import inline_workers
from support.real_workers import wait_until
from support.s3_server import S3Server
from support.simulator_process import running_simulator
from support.world import World

pytestmark = pytest.mark.timeout(180)  # npm's packages may have to be fetched

POSTS = [str(10**18 + 7919 * n) for n in range(3_000)]
USERS = [str(1_000 + 17 * n) for n in range(300)]
NAMESPACE = "tests"


@dataclass(frozen=True)
class Told:
    """What was published of some batches, and what X said of their IDs."""

    events: list[dict[str, Any]]
    verdicts: dict[tuple[str, str], str]
    batch_ids: dict[str, str]

    def of(self, name: str) -> list[dict[str, Any]]:
        """The events of one batch."""
        return [event for event in self.events if event["subject"] == self.batch_ids[name]]

    def deleted(self, type_: str) -> set[str]:
        """The IDs whose content has to go."""
        return {id_ for (of_type, id_), action in self.verdicts.items() if of_type == type_ and action == "delete"}


@pytest.fixture(scope="module", params=["file", "s3"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Three batches: posts whose results are too many for events, users whose results stand in them, one cancelled."""
    folder = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        url = f"file://{folder}/store"
        if request.param == "s3":
            server: S3Server = request.getfixturevalue("s3_server")
            for name, value in server.environment.items():
                patch.setenv(name, value)
            url = f"s3://{server.bucket}/listeners-{uuid4()}"
        with running_simulator() as simulator, inline_workers(open_store(url), simulator, folder) as workers:
            workers.change_limits(events_inline_max=100)
            yield _run(World(workers))


def _run(world: World) -> Told:
    batches = {
        "posts": world.producer.enqueue(POSTS, "tweets", key="posts").id,
        "users": world.producer.enqueue(USERS, "users", key="users").id,
    }
    verdicts: dict[tuple[str, str], str] = {}
    for name, batch_id in batches.items():
        world.finish(batch_id)
        verdicts |= {(result.type, result.id): str(result.action) for result in world.producer.results(batch_id)}
        assert any(("ref" if name == "posts" else "results") in event["data"] for event in world.events())
    batches["cancelled"] = world.producer.enqueue(POSTS[:10], "tweets").id
    world.producer.cancel(batches["cancelled"])
    world.finish(batches["cancelled"], BatchState.CANCELLED)
    return Told(world.events(), verdicts, {name: str(batch_id) for name, batch_id in batches.items()})


@dataclass(frozen=True)
class Queue:
    """A results queue of a test's own."""

    url: str
    stream: str
    client: "redis.Redis"

    @property
    def environment(self) -> dict[str, str]:
        """What a listener finds in its environment."""
        return {"COMPLYQ_EVENTS_URL": self.url, "COMPLYQ_NAMESPACE": NAMESPACE, "CLAIM_SECONDS": "1"}

    def publish(self, events: list[dict[str, Any]]) -> None:
        """Publish events as workers do."""
        with closing(RedisStreamPublisher(self.url, f"{NAMESPACE}-{uuid4()}")) as publisher:
            for event in events:
                publisher.publish(event["subject"], event["id"], json.dumps(event).encode())

    def settled(self, group: str) -> bool:
        """Whether a group has handled and acknowledged all there is."""
        last = self.client.xinfo_stream(self.stream)["last-generated-id"]  # type: ignore[index] # not awaited
        groups: Any = self.client.xinfo_groups(self.stream)
        [found] = [one for one in groups if one["name"] == group] or [None]
        return bool(found and found["last-delivered-id"] == last and found["pending"] == 0)


@pytest.fixture
def queue(redis_server: str) -> Iterator[Queue]:
    """An empty results queue."""
    stream = f"events-{uuid4()}"
    with closing(redis.Redis.from_url(redis_server, decode_responses=True)) as client:
        client.xadd(stream, {"event": "no event at all"})
        yield Queue(f"{redis_server}?stream={stream}", stream, client)


@pytest.fixture(params=["python", "node"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> ExampleListener:
    """Each listener in turn, with content of all IDs."""
    made: ExampleListener = (
        PythonListener(tmp_path / "archive.db")
        if request.param == "python"
        else NodeListener.installed(tmp_path / "archive", request.config)
    )
    made.fill({"tweets": POSTS, "users": USERS})
    return made


def _handle_all(listener: ExampleListener, queue: Queue) -> None:
    with running(listener, queue.environment) as process:
        wait_until(lambda: process.poll() is not None or queue.settled(listener.group))
        assert process.poll() is None, process.stderr and process.stderr.read().decode()


def _assert_followed(listener: ExampleListener, told: Told) -> None:
    assert listener.content("tweets") == set(POSTS) - told.deleted("tweets")
    assert listener.content("users") == set(USERS) - told.deleted("users")
    assert {key: action for key, (action, _, _) in listener.verdicts().items()} == told.verdicts
    assert all(done == (action == "delete") for action, _, done in listener.verdicts().values())
    ends = {"posts": ("completed", 0), "users": ("completed", 0), "cancelled": ("cancelled", 10)}
    assert listener.ended() == {told.batch_ids[name]: end for name, end in ends.items()}


def test_what_x_wants_deleted_is_deleted(listener: ExampleListener, queue: Queue, told: Told) -> None:
    """That and nothing else, wherever the results are stored; copies, strange entries and new types do no harm."""
    queue.publish(told.events)
    queue.publish([*told.events, {**told.events[0], "id": "x", "type": "complyq.batch.added.v1"}])
    queue.publish([_foreign(event) for event in told.events])
    _handle_all(listener, queue)
    _assert_followed(listener, told)


def _foreign(event: dict[str, Any]) -> dict[str, Any]:
    """The same of another installation, whose posts all have to go."""
    results = [{"id": id_, "type": "tweets", "action": "delete", "reason": "deleted"} for id_ in POSTS]
    return {**event, "source": "/complyq/another", "data": {**event["data"], "results": results}}


def test_a_listener_that_is_killed_goes_on(listener: ExampleListener, queue: Queue, told: Told) -> None:
    """Whatever it was doing is done when it has been started again."""
    queue.publish(told.events)
    with running(listener, queue.environment) as process:
        wait_until(lambda: bool(listener.verdicts()))
        process.kill()
    _handle_all(listener, queue)
    _assert_followed(listener, told)


def test_what_a_dead_listener_left_is_taken_over(queue: Queue, told: Told, tmp_path: Path, request: Any) -> None:
    """By the listener in Node.js; in Python `listen` does it."""
    listener = NodeListener.installed(tmp_path / "archive", request.config)
    listener.fill({"tweets": POSTS, "users": USERS})
    queue.publish(told.events)
    queue.client.xgroup_create(queue.stream, listener.group, "0")
    queue.client.xreadgroup(listener.group, "dead", {queue.stream: ">"}, count=3)
    _handle_all(listener, queue)
    _assert_followed(listener, told)


def test_the_newest_word_about_an_id_counts(listener: ExampleListener, queue: Queue, told: Told) -> None:
    """Results of an older check that come late undo nothing."""
    [event] = [event for event in told.of("users") if ".results." in event["type"]]
    queue.publish([event, _older(event)])
    _handle_all(listener, queue)
    checked_at = event["data"]["checked_at"]
    assert {(action, at) for action, at, _ in listener.verdicts().values()} == {
        (told.verdicts[key], checked_at) for key in listener.verdicts()
    }


def _older(event: dict[str, Any]) -> dict[str, Any]:
    results = [{**result, "action": "rehydrate"} for result in event["data"]["results"]]
    data = {**event["data"], "checked_at": "2020-01-01T00:00:00.000Z", "results": results}
    return {**event, "id": f"{uuid4()}/0/0", "data": data}


def test_results_that_are_not_what_the_event_says_are_not_used(
    listener: ExampleListener, queue: Queue, told: Told, tmp_path: Path
) -> None:
    """The listener ends, with nothing done and nothing acknowledged; once they are right it goes on."""
    [event] = [event for event in told.of("posts") if ".results." in event["type"]]
    copied = tmp_path / "results.jsonl.gz"
    damaged = {**event, "data": {**event["data"], "ref": {**event["data"]["ref"], "url": copied.as_uri()}}}
    copied.write_bytes(gzip.compress(b""))
    queue.publish([damaged])
    with running(listener, queue.environment) as process:
        wait_until(lambda: process.poll() is not None)
        assert process.returncode
        assert b"is not what the event says" in (process.stderr.read() if process.stderr else b"")
    assert listener.verdicts() == {}
    copied.write_bytes(_stored(event["data"]["ref"]["url"]))
    _handle_all(listener, queue)
    assert listener.content("tweets") == set(POSTS) - told.deleted("tweets")


def _stored(url: str) -> bytes:
    """Read a stored object."""
    parts = urlsplit(url)
    store_url, _, key = url.partition("/results/")
    assert parts.scheme in {"file", "s3"}
    return open_store(store_url).read(f"results/{key}").body
