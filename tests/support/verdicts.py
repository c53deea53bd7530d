"""What must be true of a history, read off the simulator's journal, the events and the facts."""

import json
from collections import Counter
from collections.abc import Container
from typing import Any

from complyq_producer.facts import Outcome, Plan
from complyq_producer.layout import JobKeys
from complyq_producer.model import BatchId, ComplianceType
from support.simulator_process import Simulator
from support.world import World

ACTIVE = {"created", "in_progress"}
_UPLOADS = {"session", "upload", "query"}


def most_active(simulator: Simulator, *, ignoring: Container[str] = ()) -> int:
    """Return how many jobs of one type were active at once, at most; jobs to ignore by their remote id."""
    active: dict[str, str] = {}
    most = 0
    for line in simulator.journal():
        if line["kind"] == "job" and line["remote_id"] not in ignoring:
            active.pop(line["remote_id"], None)
            if line["to"] in ACTIVE:
                active[line["remote_id"]] = line["type"]
            most = max([most, *Counter(active.values()).values()])
    return most


def uploaded_to(simulator: Simulator) -> set[str]:
    """Return the remote ids of the jobs that anybody tried to upload to."""
    lines = [line for line in simulator.journal() if line.get("op") in _UPLOADS]
    return {job["remote_id"] for job in simulator.jobs() for line in lines if f"/{job['remote_id']}/" in line["path"]}


def refused_creates(simulator: Simulator) -> int:
    """Count the creates that X refused because a job was active."""
    return sum(line.get("op") == "create" and line["status"] == 409 for line in simulator.journal())


def objects(world: World, prefix: str = "") -> dict[str, bytes]:
    """Return everything in the store under a prefix."""
    store = world.workers.ports.store
    return {info.key: store.read(info.key).body for info in store.list(prefix)}


def assert_events_agree(world: World, batch_id: BatchId) -> list[str]:
    """Require one content for each event, and an end that says what the outcome does; return the ids in order."""
    events = [event for event in world.events() if event["subject"] == batch_id]
    contents: dict[str, dict[str, Any]] = {}
    for event in events:
        assert contents.setdefault(event["id"], event) == event
    outcome = world.workers.ports.facts.read(f"batches/{batch_id}/outcome.json", Outcome)
    assert outcome
    end = contents[f"{batch_id}/{outcome.state}"]
    assert [name for name in contents if name.endswith(("completed", "failed", "cancelled"))] == [end["id"]]
    assert list(contents)[-1] == end["id"]
    assert end["data"] == json.loads(json.dumps(outcome.data))
    assert world.producer.status(batch_id).state == outcome.state
    assert len(contents) - 1 == end["data"]["results_messages"]
    return [event["id"] for event in events]


def plans(world: World, type_: ComplianceType = ComplianceType.TWEETS) -> list[Plan]:
    """Return the plans of a type, from 1 up to the first number that was not used."""
    found: list[Plan] = []
    while plan := world.workers.ports.facts.read(JobKeys(type_, len(found) + 1).plan, Plan):
        found.append(plan)
    return found


def assert_nothing_is_open(world: World) -> None:
    """Require that no batch has a marker, and once a sweep has looked no plan but the highest."""
    assert not objects(world, "open/batches/")
    world.workers.sweep()
    for type_ in ComplianceType:
        markers = [JobKeys(type_, plan.number).marker for plan in plans(world, type_)]
        assert list(objects(world, f"open/jobs/{type_}/")) == markers[-1:]
