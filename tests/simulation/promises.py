"""The promises, looked at from outside: the store, the events and X's own memory at the end of a history."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import timedelta
from typing import Any

from complyq_producer.facts import BatchRecord, Outcome, Replay
from complyq_producer.layout import BatchKeys
from complyq_producer.ledger import Ledger
from complyq_producer.model import BatchId
from simulation.job_promises import check_jobs
from simulation.shape import MAX_ATTEMPTS
from simulation.world import POISON, X_OUTAGE, World
from simulation.x_server import action_of
from support.event_contract import breach

COUNTED = frozenset(
    {"job fails", "job expires", "job stuck", "wrong hash", "wrong length", "no such results", "cut", X_OUTAGE, POISON}
)
"""Faults that may count against a part, or lead to such a fault."""

CLOCKS_DIFFER = timedelta(hours=2)
"""The most by which the clocks of two machines differ in these worlds."""


def check_promises(world: World) -> None:
    """Note every promise that was not kept."""
    ends = _ends(world)
    _check_batches(world, ends)
    _check_contract(world)
    _check_events(world)
    _check_replays(world, ends)
    check_jobs(world)
    _check_leftovers(world)
    _check_secrets(world)


def _ends(world: World) -> dict[str, Outcome]:
    """Read how each accepted batch ended."""
    facts = Ledger(world.store).facts
    ends = {}
    for info in list(world.store.list("batches/")):
        if not info.key.endswith("/batch.json"):
            continue
        batch_id = info.key.split("/")[1]
        keys = BatchKeys(BatchId(batch_id))
        outcome = facts.read(keys.outcome, Outcome)
        if outcome is None or world.store.info(keys.published) is None:
            world.violated(f"batch {batch_id} has not ended")
        else:
            ends[batch_id] = outcome
    world_missing = set(world.accepted) - set(ends)
    if world_missing:
        world.violated(f"accepted and gone: {world_missing}")
    return ends


def _check_batches(world: World, ends: dict[str, Outcome]) -> None:
    facts = Ledger(world.store).facts
    for batch_id, outcome in ends.items():
        record = facts.read(BatchKeys(BatchId(batch_id)).record, BatchRecord)
        assert record is not None
        ids = _ids_of(world, record)
        if outcome.state == "completed":
            _check_results(world, batch_id, ids, outcome.data)
        elif outcome.state == "cancelled" and batch_id not in world.cancelled:
            world.violated(f"batch {batch_id} was cancelled by nobody")
        elif outcome.state == "failed" and (faults := sum(world.faults[name] for name in COUNTED)) < MAX_ATTEMPTS:
            world.violated(f"batch {batch_id} failed after {faults} faults: {outcome.error}")


def _ids_of(world: World, record: BatchRecord) -> set[int]:
    keys = BatchKeys(record.batch_id)
    return {int(line) for part in record.parts for line in world.store.read(keys.ids(part.index)).body.split()}


def _check_results(world: World, batch_id: str, ids: set[int], data: dict[str, Any]) -> None:
    """Compare what was published, and what is stored, with what X finds about these very IDs."""
    expected = {str(number): action_of(number) for number in ids if action_of(number)}
    published: dict[str, Any] = {}
    for _, body in _told(world):
        event = json.loads(body)
        if event["subject"] == batch_id and event["type"] == "complyq.batch.results.v1":
            published |= _results_in(world, event["data"])
    stored: dict[str, Any] = {}
    for item in data["objects"]:
        body = world.store.read(item["url"].removeprefix("memory:///")).body
        stored |= {
            line["id"]: (line["action"], line["reason"])
            for line in map(json.loads, gzip.decompress(body).split(b"\n")[:-1])
        }
    for what, found in (("published", published), ("stored", stored)):
        if found != expected:
            world.violated(f"{what} results of {batch_id} are {found}, not {expected}")
    if (data["flagged"], data["compliant"]) != (len(expected), len(ids) - len(expected)):
        world.violated(f"batch {batch_id} counts {data['flagged']} flagged and {data['compliant']} compliant")


def _results_in(world: World, data: dict[str, Any]) -> dict[str, Any]:
    if "ref" not in data:
        return {line["id"]: (line["action"], line["reason"]) for line in data["results"]}
    body = gzip.decompress(world.store.read(data["ref"]["url"].removeprefix("memory:///")).body)
    return {line["id"]: (line["action"], line["reason"]) for line in map(json.loads, body.split(b"\n")[:-1])}


def _check_events(world: World) -> None:
    """Same id, same content; all results before the end; as many as the end says."""
    bodies: dict[str, bytes] = {}
    results: Counter[str] = Counter()
    ended: dict[str, str] = {}
    for event_id, body in _told(world):
        event = json.loads(body)
        batch_id, kind = event["subject"], event["type"].split(".")[2]
        if event_id in bodies:
            if bodies[event_id] != body:
                world.violated(f"event {event_id} changed")
            continue
        bodies[event_id] = body
        if kind == "results":
            results[batch_id] += 1
            if batch_id in ended:
                world.violated(f"event {event_id} came after the end")
        elif kind in {"completed", "failed", "cancelled"}:
            if ended.setdefault(batch_id, kind) != kind:
                world.violated(f"batch {batch_id} ended {ended[batch_id]} and {kind}")
            if event["data"]["results_messages"] != results[batch_id]:
                world.violated(f"batch {batch_id} ended with {results[batch_id]} results messages")
    missing = set(_ends(world)) - set(ended)
    if missing:
        world.violated(f"no end event for {missing}")


def _told(world: World) -> list[tuple[str, bytes]]:
    """Return all events in the order in which they were published, those too that the queue has lost since."""
    return [*world.lost, *world.events.events]


def _check_replays(world: World, ends: dict[str, Outcome]) -> None:
    """Whoever begins to listen after a loss gets all events of the batches that had not ended long before."""
    facts, there = Ledger(world.store).facts, {event_id for event_id, _ in world.events.events}
    wanted = [facts.read(info.key, Replay) for info in list(world.store.list("replays/")) if "/replay." in info.key]
    begins = [replay.since + CLOCKS_DIFFER for replay in wanted if replay and replay.since]
    for event_id in {event_id for event_id, _ in world.lost} - there:
        if not begins or ends[event_id.split("/")[0]].recorded_at >= max(begins):
            world.violated(f"event {event_id} was lost with the queue and not published again")


def _check_contract(world: World) -> None:
    """Listeners may rely on the schemas."""
    for event_id, body in world.events.events:
        if said := breach(json.loads(body)):
            world.violated(f"event {event_id} is not as its schema says: {said}")


def _check_leftovers(world: World) -> None:
    for prefix, most in (("open/batches/", 0), ("open/replays/", 0), ("open/jobs/tweets/", 1), ("open/jobs/users/", 1)):
        left = [info.key for info in world.store.list(prefix)]
        if len(left) > most:
            world.violated(f"left open: {left}")


def _check_secrets(world: World) -> None:
    """No credential in the store, the events, Redis or a message; sealed ones cannot be told from noise."""
    held = b"".join(world.store.read(info.key).body for info in list(world.store.list("")))
    texts = [str(vars(world.coordination)), str(world.messages), str(world.events.events)]
    if b"SECRET-" in held or any("SECRET-" in text for text in texts):
        world.violated("a credential lies about")
