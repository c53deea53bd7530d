"""The events that other services build on: CloudEvents 1.0 in JSON.

Pure: an event is made from stored facts alone, so the same id always has the same bytes, whoever publishes it and
however often. Within v1 fields are only added.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from complyq_config.errors import ComplyqError
from complyq_producer.listening.event import MAX_EVENT_BYTES

EndState = Literal["completed", "failed", "cancelled"]


class EventContentError(ComplyqError):
    """What an event should say is contradictory, or longer than an event may be."""


class BuiltEvent(msgspec.Struct, frozen=True):
    """An event ready to be published.

    Attributes:
        id: deterministic; copies of an event have the same one.
        batch_id: the batch it is about.
        body: the JSON, at most 200,000 bytes.
    """

    id: str
    batch_id: str
    body: bytes


class BatchInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What every event says about its batch."""

    batch_id: str
    type: str
    name: str | None = None
    key: str | None = None
    labels: dict[str, str] = {}


class ResultsRef(msgspec.Struct, frozen=True, kw_only=True):
    """Where the results of a part are, if they are too many to stand in events; `bytes` and `sha256` of the object."""

    url: str
    format: str
    count: int
    bytes: int
    sha256: str


class ParkedInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Work on a batch that crashed its process every time: a job, or the publishing of the batch (`plan` is None)."""

    parked: str
    plan: int | None
    step: str
    reason: str
    parked_at: datetime
    fails_at: datetime | None
    retried_at: datetime | None


class StoredObjectInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One stored object of a batch's results."""

    url: str
    format: str
    part: int
    count: int
    bytes: int
    sha256: str


class BatchTally(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch ended, in IDs; for one that failed or was cancelled, of what was finished.

    `submitted = invalid + duplicates + unique` and `unique = flagged + compliant + rejected + unchecked`.
    """

    submitted: int
    invalid: int
    duplicates: int
    unique: int
    flagged: int
    compliant: int
    rejected: int
    unchecked: int = 0
    by_action: dict[str, int] = {}
    by_reason: dict[str, int] = {}
    results_messages: int
    objects: list[StoredObjectInfo] = []
    remote_ids: list[str] = []
    accepted_at: datetime
    started_at: datetime | None
    ended_at: datetime
    error: str | None = None


def results_event(  # noqa: PLR0913 - one keyword for each field that the event's contract names
    namespace: str,
    batch: BatchInfo,
    *,
    part: int,
    sequence: int,
    checked_at: datetime,
    remote_id: str,
    results: Sequence[bytes] | ResultsRef,
    time: datetime,
    traceparent: str | None = None,
) -> BuiltEvent:
    """Say what X flagged in a part of a batch.

    Args:
        namespace: whose event it is.
        batch: the batch.
        part: number of the part.
        sequence: number of the message within the part, from 0.
        checked_at: when the upload of the part's job finished.
        remote_id: X's id of that job.
        results: stored lines (with or without newline), or where the part's object is.
        time: when it happened, from a fact.
        traceparent: the trace the batch belongs to, if known.

    Raises:
        EventContentError: the event would be longer than 200,000 bytes.
    """
    content: dict[str, Any] = msgspec.to_builtins(batch) | {
        "part": part,
        "sequence": sequence,
        "checked_at": _timestamp(checked_at),
        "remote_id": remote_id,
    }
    if isinstance(results, ResultsRef):
        content["ref"] = results
    else:
        content["results"] = [msgspec.Raw(line.rstrip(b"\n")) for line in results]
    event_id = f"{batch.batch_id}/{part}/{sequence}"
    return _build(namespace, "results", event_id, batch.batch_id, _timestamp(time), content, traceparent)


def parked_event(namespace: str, batch: BatchInfo, parked: ParkedInfo, *, traceparent: str | None = None) -> BuiltEvent:
    """Say that somebody should look at a batch, because work on it crashed every time; raises EventContentError."""
    told = msgspec.to_builtins(parked, builtin_types=(datetime,))
    times = {name: told[name] and _timestamp(told[name]) for name in ("parked_at", "fails_at", "retried_at")}
    event_id = f"{batch.batch_id}/parked/{told.pop('parked')}"
    content: dict[str, Any] = msgspec.to_builtins(batch) | told | times
    return _build(namespace, "parked", event_id, batch.batch_id, times["parked_at"], content, traceparent)


def completed_event(namespace: str, batch: BatchInfo, tally: BatchTally) -> BuiltEvent:
    """Say that every ID of a batch was checked; raises EventContentError."""
    return end_event(namespace, "completed", end_data("completed", batch, tally))


def failed_event(namespace: str, batch: BatchInfo, tally: BatchTally) -> BuiltEvent:
    """Say that a batch failed, and what was finished of it; raises EventContentError."""
    return end_event(namespace, "failed", end_data("failed", batch, tally))


def cancelled_event(namespace: str, batch: BatchInfo, tally: BatchTally) -> BuiltEvent:
    """Say that a batch was cancelled, and what was finished of it; raises EventContentError."""
    return end_event(namespace, "cancelled", end_data("cancelled", batch, tally))


def end_data(state: EndState, batch: BatchInfo, tally: BatchTally) -> dict[str, Any]:
    """Decide the `data` of a batch's last event: JSON values, fit to be stored in the batch's outcome.

    Raises:
        EventContentError: the numbers do not add up.
    """
    _check(state, tally)
    numbers = msgspec.to_builtins(tally, builtin_types=(datetime,))
    times = {name: numbers[name] and _timestamp(numbers[name]) for name in ("accepted_at", "started_at", "ended_at")}
    data: dict[str, Any] = msgspec.to_builtins(batch) | numbers | times
    if state == "completed":
        del data["unchecked"], data["error"]
    return data


def end_event(
    namespace: str, state: EndState, data: Mapping[str, Any], *, traceparent: str | None = None
) -> BuiltEvent:
    """Make a batch's last event from its stored `data`, as `end_data` gave it.

    Raises:
        EventContentError: the event would be longer than 200,000 bytes.
    """
    batch_id = str(data["batch_id"])
    return _build(namespace, state, f"{batch_id}/{state}", batch_id, str(data["ended_at"]), data, traceparent)


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """CloudEvents 1.0, JSON format, with the distributed tracing extension."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    dataschema: str
    traceparent: str | None = None
    data: Any


def _build(
    namespace: str, kind: str, event_id: str, batch_id: str, time: str, data: object, traceparent: str | None
) -> BuiltEvent:
    envelope = _Envelope(
        specversion="1.0",
        id=event_id,
        source=f"/complyq/{namespace}",
        type=f"complyq.batch.{kind}.v1",
        subject=batch_id,
        time=time,
        datacontenttype="application/json",
        dataschema=f"urn:complyq:batch-{kind}:v1",
        traceparent=traceparent,
        data=data,
    )
    body = msgspec.json.encode(envelope)
    if len(body) > MAX_EVENT_BYTES:
        raise EventContentError(f"Event {event_id} has {len(body)} bytes, {MAX_EVENT_BYTES} are allowed.")
    return BuiltEvent(event_id, batch_id, body)


def _check(state: EndState, tally: BatchTally) -> None:
    """A sum that does not add up would tell a service that an ID was checked when it was not."""
    submitted = tally.invalid + tally.duplicates + tally.unique
    unique = tally.flagged + tally.compliant + tally.rejected + tally.unchecked
    counts = (tally.invalid, tally.duplicates, tally.flagged, tally.compliant, tally.rejected, tally.unchecked)
    if tally.submitted != submitted or tally.unique != unique or min(counts) < 0:
        raise EventContentError(f"The numbers of a {state} batch do not add up: {tally}.")
    if state == "completed" and tally.unchecked:
        raise EventContentError(f"A completed batch cannot have {tally.unchecked} unchecked IDs.")


def _timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and Z; raises EventContentError for a time without an offset."""
    if moment.tzinfo is None:
        raise EventContentError(f"The time {moment} has no offset.")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
