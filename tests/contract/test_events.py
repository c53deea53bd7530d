"""What goes onto the results queue, and how: one suite for every publisher."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import redis

from complyq_config.errors import ConfigurationError
from complyq_config.settings import load_settings
from complyq_producer.errors import EventsError
from complyq_producer.results import Result
from complyq_workers.events import (
    BatchInfo,
    BatchTally,
    BuiltEvent,
    EventContentError,
    RedisStreamPublisher,
    ResultsRef,
    StoredObjectInfo,
    cancelled_event,
    completed_event,
    end_data,
    end_event,
    failed_event,
    open_publisher,
    results_event,
)
from support.redis_server import redis_server, running_redis_server  # noqa: F401 - a fixture is used by its name

NOON = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)
BATCH = BatchInfo(batch_id="b1", type="tweets", name="archive", key="k", labels={"tenant": "a"})
LINE = Result("7", "tweets", "delete", "deleted").to_json() + b"\n"


def tally(**changes: Any) -> BatchTally:
    """How a batch of ten IDs ended."""
    fields: dict[str, Any] = {
        "submitted": 13, "invalid": 1, "duplicates": 2, "unique": 10, "flagged": 3, "compliant": 6, "rejected": 1,
        "by_action": {"delete": 3}, "by_reason": {"deleted": 3}, "results_messages": 1,
        "objects": [StoredObjectInfo(url="file:///x", format="jsonl", part=0, count=3, bytes=99, sha256="ab")],
        "remote_ids": ["99"], "accepted_at": NOON, "started_at": NOON, "ended_at": NOON + timedelta(hours=1),
    }  # fmt: skip
    return BatchTally(**{**fields, **changes})


def built(results: Any, **changes: Any) -> BuiltEvent:
    """A results event."""
    fields: dict[str, Any] = {"part": 2, "sequence": 0, "checked_at": NOON, "remote_id": "99", "time": NOON, **changes}
    return results_event("default", BATCH, results=results, **fields)


def test_results_event_says_what_was_promised() -> None:
    """A results event is a CloudEvent with the batch, the part and the results themselves."""
    event = built([LINE, LINE])
    assert json.loads(event.body) == {
        "specversion": "1.0",
        "id": "b1/2/0",
        "source": "/complyq/default",
        "type": "complyq.batch.results.v1",
        "subject": "b1",
        "time": "2026-11-22T12:00:00.123Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:complyq:batch-results:v1",
        "data": {
            "batch_id": "b1", "type": "tweets", "name": "archive", "key": "k", "labels": {"tenant": "a"},
            "part": 2, "sequence": 0, "checked_at": "2026-11-22T12:00:00.123Z", "remote_id": "99",
            "results": [json.loads(LINE), json.loads(LINE)],
        },
    }  # fmt: skip
    assert (event.id, event.batch_id) == ("b1/2/0", "b1")


def test_results_too_many_for_events_are_referred_to() -> None:
    """With a reference an event names the stored object, and holds no results."""
    data = json.loads(built(ResultsRef(url="s3://b/x", format="jsonl", count=5, bytes=80, sha256="ab")).body)["data"]
    assert data["ref"] == {"url": "s3://b/x", "format": "jsonl", "count": 5, "bytes": 80, "sha256": "ab"}
    assert "results" not in data


def test_same_facts_give_the_same_bytes() -> None:
    """An event made again, in another time zone, has the same bytes."""
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    assert built([LINE], time=elsewhere, checked_at=elsewhere) == built([LINE])


def test_trace_is_passed_on_where_known() -> None:
    """The traceparent stands in the envelope, and is absent where there is none."""
    assert json.loads(built([LINE], traceparent="00-ab-cd-01").body)["traceparent"] == "00-ab-cd-01"
    assert "traceparent" not in json.loads(built([LINE]).body)


def test_completed_event_says_what_was_promised() -> None:
    """The end of a batch has all its numbers, its objects and its times."""
    event = json.loads(completed_event("default", BATCH, tally()).body)
    assert event["id"] == "b1/completed"
    assert event["type"] == "complyq.batch.completed.v1"
    assert event["dataschema"] == "urn:complyq:batch-completed:v1"
    assert event["time"] == event["data"]["ended_at"] == "2026-11-22T13:00:00.123Z"
    assert set(event["data"]) == {
        "batch_id", "type", "name", "key", "labels", "submitted", "invalid", "duplicates", "unique", "flagged",
        "compliant", "rejected", "by_action", "by_reason", "results_messages", "objects", "remote_ids", "accepted_at",
        "started_at", "ended_at",
    }  # fmt: skip
    assert event["data"]["objects"][0]["sha256"] == "ab"


@pytest.mark.parametrize(("build", "state"), [(failed_event, "failed"), (cancelled_event, "cancelled")])
def test_other_ends_say_what_is_missing(build: Callable[[str, BatchInfo, BatchTally], BuiltEvent], state: str) -> None:
    """A batch that failed or was cancelled tells how many IDs were not checked, and why."""
    event = json.loads(build("default", BATCH, tally(compliant=2, unchecked=4, error="why", started_at=None)).body)
    assert (event["id"], event["type"]) == (f"b1/{state}", f"complyq.batch.{state}.v1")
    assert (event["data"]["unchecked"], event["data"]["error"], event["data"]["started_at"]) == (4, "why", None)


def test_end_made_from_the_stored_outcome_is_the_same() -> None:
    """The last event is made from the stored data; storing it as JSON in between changes nothing."""
    stored = json.loads(json.dumps(end_data("completed", BATCH, tally())))
    assert end_event("default", "completed", stored) == completed_event("default", BATCH, tally())


@pytest.mark.parametrize(
    "changes",
    [{"compliant": 7}, {"submitted": 12}, {"unchecked": 1, "compliant": 5}, {"compliant": -1, "flagged": 10}],
)
def test_numbers_that_do_not_add_up_are_refused(changes: dict[str, int]) -> None:
    """No event says that an ID is compliant when it was not checked."""
    with pytest.raises(EventContentError):
        completed_event("default", BATCH, tally(**changes))


def test_no_event_is_longer_than_promised() -> None:
    """An event of more than 200,000 bytes is refused, where it is made."""
    with pytest.raises(EventContentError, match="200000"):
        built([b'"' + b"x" * 199_990 + b'"'])


def test_time_without_offset_is_refused() -> None:
    """A moment that nobody can place is no time of an event."""
    with pytest.raises(EventContentError):
        built([LINE], time=NOON.replace(tzinfo=None))


def test_redis_that_is_gone_is_an_error_of_ours_and_comes_back() -> None:
    """While Redis is down publishing raises EventsError; afterwards the same publisher goes on."""
    with running_redis_server() as server:
        publisher = RedisStreamPublisher(f"{server.url}?stream=s", "default")
        assert publisher.publish("b1", "b1/0/0", b"{}")
        server.kill()
        with pytest.raises(EventsError, match="COMPLYQ_EVENTS_URL"):
            publisher.publish("b1", "b1/0/1", b"{}")
        with pytest.raises(EventsError):
            publisher.verify()
        server.start()
        publisher.verify()
        assert publisher.publish("b1", "b1/0/1", b"{}")
        publisher.close()


def test_name_that_is_no_stream_is_found_at_start(redis_server: str) -> None:  # noqa: F811 - the fixture
    """A stream name that something else uses is refused, with what to change."""
    with redis.Redis.from_url(redis_server) as client:
        client.set("taken", "x")
    publisher = RedisStreamPublisher(f"{redis_server}?stream=taken", "default")
    with pytest.raises(EventsError, match="another name"):
        publisher.verify()
    with pytest.raises(EventsError):
        publisher.publish("b1", "b1/0/0", b"{}")
    publisher.close()


def test_settings_choose_the_queue(redis_server: str) -> None:  # noqa: F811 - the fixture
    """Without EVENTS_URL events go to the stream complyq.events in the Redis of the locks."""
    publisher = open_publisher(load_settings(redis_url=redis_server, namespace="chosen"))
    assert publisher.publish("b1", "b1/0/0", b"chosen")
    with redis.Redis.from_url(redis_server) as client:
        assert b"chosen" in [fields[b"event"] for _, fields in client.xrange("complyq.events")]
    assert isinstance(publisher, RedisStreamPublisher)
    publisher.close()


@pytest.mark.parametrize(
    "url", ["amqp://user:secret@host/?exchnge=x", "sqs://user:secret@queue", "redis://user:secret@host/0?stream="]
)
def test_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    """A wrong address of a results queue is a wrong setting; the message shows no secret."""
    with pytest.raises(ConfigurationError, match="COMPLYQ_EVENTS_URL") as caught:
        open_publisher(load_settings(events_url=url))
    assert "secret" not in str(caught.value)
