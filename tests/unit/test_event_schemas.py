"""The contract of the events: what builders make is what the schemas say, and the AsyncAPI document refers to it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import meta

from complyq_producer import event_schemas
from complyq_producer.results import Result
from complyq_producer.schemas import contract_files
from complyq_workers.events import (
    BatchInfo,
    BatchTally,
    BuiltEvent,
    ParkedInfo,
    ResultsRef,
    StoredObjectInfo,
    cancelled_event,
    completed_event,
    failed_event,
    parked_event,
    results_event,
)
from support.command_line import CommandLine
from support.event_contract import breach, undescribed

NAMES = ("results", "completed", "failed", "cancelled", "parked")
TEXT = st.text(max_size=30)
COUNT = st.integers(0, 2**40)
HEX = "0123456789abcdef"
TIMES = st.datetimes(datetime(2006, 3, 21), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - their zone is UTC
COUNTS = st.dictionaries(TEXT, COUNT, max_size=3)
BATCHES = st.builds(
    BatchInfo,
    batch_id=st.uuids().map(str),
    type=st.sampled_from(["tweets", "users"]),
    name=st.none() | TEXT,
    key=st.none() | TEXT,
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
)
STORED: dict[str, Any] = {
    "url": st.sampled_from(["s3://bucket/results/b/part-00000-1.jsonl.gz", "file:///var/lib/complyq/store/results/b"]),
    "format": st.sampled_from(["jsonl.gz", "parquet"]),
    "count": COUNT,
    "bytes": COUNT,
    "sha256": st.text(HEX, min_size=64, max_size=64),
}
REFS = st.builds(ResultsRef, **STORED)
OBJECTS = st.lists(st.builds(StoredObjectInfo, part=st.integers(0, 500), **STORED), max_size=3)
WHEN = st.none() | TIMES.map(lambda moment: moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z")
RESULTS = st.builds(
    Result,
    id=st.integers(1, 2**64 - 1).map(str),
    type=st.sampled_from(["tweets", "users"]),
    action=st.none() | TEXT,
    reason=st.none() | TEXT,
    created_at=WHEN,
    redacted_at=WHEN,
)
EXTRAS = st.dictionaries(TEXT.map("x_".__add__), st.none() | st.booleans() | st.integers() | TEXT, max_size=3)
TRACES = st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@st.composite
def _tallies(draw: st.DrawFn, *, complete: bool) -> BatchTally:
    invalid, duplicates, flagged, compliant, rejected = (draw(COUNT) for _ in range(5))
    unchecked = 0 if complete else draw(COUNT)
    unique = flagged + compliant + rejected + unchecked
    return BatchTally(
        submitted=invalid + duplicates + unique,
        invalid=invalid,
        duplicates=duplicates,
        unique=unique,
        flagged=flagged,
        compliant=compliant,
        rejected=rejected,
        unchecked=unchecked,
        by_action=draw(COUNTS),
        by_reason=draw(COUNTS),
        results_messages=draw(COUNT),
        objects=draw(OBJECTS),
        remote_ids=draw(st.lists(st.text("0123456789", min_size=1), max_size=3)),
        accepted_at=draw(TIMES),
        started_at=draw(st.none() | TIMES),
        ended_at=draw(TIMES),
        error=None if complete else draw(st.none() | TEXT),
    )


@st.composite
def _results_events(draw: st.DrawFn, results: st.SearchStrategy[Any]) -> BuiltEvent:
    return results_event(
        draw(st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)),
        draw(BATCHES),
        part=draw(st.integers(0, 10_000)),
        sequence=draw(st.integers(0, 10_000)),
        checked_at=draw(TIMES),
        remote_id=draw(st.text("0123456789", min_size=1, max_size=19)),
        results=draw(results),
        time=draw(TIMES),
        traceparent=draw(TRACES),
    )


@st.composite
def _parked(draw: st.DrawFn) -> ParkedInfo:
    plan = draw(st.none() | st.integers(1, 10**8))
    at = draw(TIMES)
    return ParkedInfo(
        parked=str(plan) if plan else f"publish-{draw(st.integers(1, 99))}",
        plan=plan,
        step=draw(TEXT),
        reason=draw(TEXT),
        parked_at=at,
        fails_at=at + timedelta(hours=12) if plan else None,
        retried_at=None if plan else at + timedelta(hours=12),
    )


EVENTS = st.one_of(
    _results_events(st.lists(RESULTS.map(Result.to_json), max_size=5)),
    _results_events(REFS),
    st.builds(completed_event, st.just("default"), BATCHES, _tallies(complete=True)),
    st.builds(failed_event, st.just("default"), BATCHES, _tallies(complete=False)),
    st.builds(cancelled_event, st.just("default"), BATCHES, _tallies(complete=False)),
    st.builds(parked_event, st.just("default"), BATCHES, _parked()),
)


@given(EVENTS)
def test_every_event_is_as_its_schema_says(built: BuiltEvent) -> None:
    """It has all that is promised, `dataschema` names the schema, and the schema describes every field."""
    event = json.loads(built.body)
    assert breach(event) is None
    assert undescribed(event) is None
    assert event["dataschema"] == event_schemas()[event["type"]]["$id"]


@given(st.builds(lambda one, extras: Result(**{**_fields(one), "extras": extras}), RESULTS, EXTRAS), REFS)
def test_fields_to_come_break_no_listener(result: Result, ref: ResultsRef) -> None:
    """What X adds to a result, and what later versions add anywhere, the schemas allow."""
    for results in ([result.to_json()], ref):
        event = json.loads(_event_with(results).body)
        event["data"]["added"] = event["added"] = {"any": ["thing"]}
        event["data"].get("ref", {})["added"] = 1
        assert breach(event) is None


def _fields(result: Result) -> dict[str, Any]:
    return {name: getattr(result, name) for name in Result.__struct_fields__}


def _event_with(results: Any) -> BuiltEvent:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    batch = BatchInfo(batch_id="01a20432-ab09-778d-b8c6-8028acd6a6ae", type="tweets")
    return results_event("default", batch, part=0, sequence=0, checked_at=now, remote_id="1", results=results, time=now)


@pytest.mark.parametrize("missing", ["id", "source", "data", "data.batch_id", "data.checked_at", "data.results"])
def test_an_event_that_lacks_a_promised_field_is_noticed(missing: str) -> None:
    """The schemas say what a listener may rely on."""
    event = json.loads(_event_with([]).body)
    *outer, name = missing.split(".")
    del (event[outer[0]] if outer else event)[name]
    assert breach(event) is not None


def test_results_and_their_place_exclude_each_other() -> None:
    """A listener looks at one of the two."""
    event = json.loads(_event_with([]).body)
    event["data"]["ref"] = {"url": "s3://b/k", "format": "jsonl.gz", "count": 1, "bytes": 1, "sha256": "0" * 64}
    assert breach(event) is not None


def test_schemas_are_schemas_and_agree_with_each_other() -> None:
    """Each is valid draft 7; what several of them describe, they describe alike."""
    schemas = event_schemas()
    assert set(schemas) == {f"complyq.batch.{name}.v1" for name in NAMES}
    common: dict[str, Any] = {}
    for schema in schemas.values():
        meta.validate(schema)
        assert schema["$id"] == schema["properties"]["dataschema"]["const"]
        data = schema["properties"]["data"]["properties"]
        for name in ("batch_id", "type", "name", "key", "labels"):
            assert common.setdefault(name, data[name]) == data[name]
        for name in ("source", "subject", "time", "traceparent"):
            assert common.setdefault(f"envelope {name}", schema["properties"][name]) == schema["properties"][name]
        assert common.setdefault("time", schema["definitions"]["time"]) == schema["definitions"]["time"]


def test_the_command_hands_out_the_contract(tmp_path: Path) -> None:
    """`complyq schemas` prints the schemas; with --out it writes them, and the document that refers to them."""
    cli = CommandLine(tmp_path)
    assert {schema["title"]: schema for schema in cli.run("schemas").lines()} == event_schemas()
    assert cli.run("schemas", "--out", "contract/v1").code == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "contract" / "v1").iterdir()}
    assert written == contract_files()
