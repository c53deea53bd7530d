"""A new version finds the facts of the old one, and refuses those of a newer one clearly, without holding up the rest."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from complyq_producer import task_names
from complyq_producer.errors import UnknownSchemaError
from complyq_producer.facts import SCHEMA
from complyq_producer.model import BatchId, BatchState, ComplianceType
from complyq_workers.pipeline import Hint
from support.simulator_process import Simulator
from support.world import POSTS, World, has_job_fact, world_of

FIXTURES = Path(__file__).parents[1] / "fixtures"
VERSIONS = [f"facts-v{version}" for version in range(1, SCHEMA + 1)]
IDS_A_BATCH = 300


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, BatchId]:
    """Lay out the stored facts of a version; return its batches by the stage that they had reached."""
    folder = FIXTURES / request.param
    shutil.copytree(folder / "store", tmp_path / "store")
    stages: dict[str, BatchId] = json.loads((folder / "batches.json").read_text())
    return stages


@pytest.fixture
def old_world(old: dict[str, BatchId], cloud: Simulator, tmp_path: Path) -> Iterator[World]:
    """A world in which those facts were found, after a while: X knows none of the old jobs any more."""
    cloud.advance_clock(20 * 60)
    yield from world_of(cloud, tmp_path)


def rewrite(world: World, key: str, **changes: Any) -> None:
    """Change a fact, as a version that writes other ones would have written it."""
    store = world.workers.ports.store
    fact = {**json.loads(store.read(key).body), **changes}
    store.delete(key)
    store.create(key, json.dumps(fact).encode())


def test_finished_batches_are_read(old_world: World, old: dict[str, BatchId]) -> None:
    """State, counts and results, and by their key."""
    producer = old_world.producer
    status = producer.status(old["finished"])
    assert (status.state, status.unique, status.name) == (BatchState.COMPLETED, IDS_A_BATCH, "archive")
    assert len(list(producer.results(old["finished"]))) == status.flagged == 39
    assert producer.find("finished") == old["finished"]
    assert producer.status(old["cancelled"]).state is BatchState.CANCELLED


def test_a_key_of_an_old_version_still_names_its_batch(old_world: World, old: dict[str, BatchId]) -> None:
    """A service that submits again after the upgrade starts nothing twice."""
    again = old_world.producer.enqueue(range(10**15, 10**15 + IDS_A_BATCH), "tweets", key="finished")
    assert (again.id, again.created) == (old["finished"], False)


@pytest.mark.parametrize("stage", ["accepted", "planned", "uploaded", "collected"])
def test_open_batches_are_finished_from_where_they_are(old_world: World, old: dict[str, BatchId], stage: str) -> None:
    """At every stage of their life."""
    old_world.finish(old[stage])
    status = old_world.producer.status(old[stage])
    results = list(old_world.producer.results(old[stage]))
    assert len(results) == status.flagged > 0
    (end,) = [event for event in old_world.events() if event["id"] == f"{old[stage]}/completed"]
    assert end["data"]["flagged"] == status.flagged


def test_what_is_collected_is_not_asked_for_again(old_world: World, old: dict[str, BatchId]) -> None:
    """The results of the old version count."""
    old_world.finish(old["collected"])
    status = old_world.producer.status(old["collected"])
    assert status.flagged == 44
    assert len(status.jobs) == 1


def test_fields_that_a_newer_version_adds_are_ignored(cloud_world: World) -> None:
    """As long as the version of the schema stays."""
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    rewrite(cloud_world, f"batches/{batch.id}/batch.json", colour="blue")
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "plan"))
    rewrite(cloud_world, "jobs/tweets/00000001/plan.json", tenants={"a": 1})
    cloud_world.finish(batch.id)


def test_a_fact_of_a_newer_schema_is_refused_clearly(cloud_world: World) -> None:
    """The message names the object and both versions."""
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    rewrite(cloud_world, f"batches/{batch.id}/batch.json", schema=SCHEMA + 1)
    said = rf"batches/{batch.id}/batch.json has schema {SCHEMA + 1}, this version reads up to {SCHEMA}"
    with pytest.raises(UnknownSchemaError, match=said):
        cloud_world.producer.status(batch.id)


def test_a_batch_of_a_newer_version_holds_up_no_other(
    cloud_world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is left to the newer workers, loudly; others of its type go on."""
    newer = cloud_world.producer.enqueue(POSTS, "tweets")
    rewrite(cloud_world, f"batches/{newer.id}/batch.json", schema=SCHEMA + 1)
    other = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(other.id)
    rewrite(cloud_world, f"batches/{newer.id}/batch.json", schema=SCHEMA)
    assert cloud_world.producer.status(newer.id).jobs == []
    assert "batch_not_readable" in capsys.readouterr().out + caplog.text  # whichever way this process logs
    cloud_world.finish(newer.id)


def test_a_plan_of_a_newer_version_makes_its_type_wait(cloud_world: World) -> None:
    """Its job may be the active one. The other type goes on, and nothing fails."""
    newer = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "plan"))
    rewrite(cloud_world, "jobs/tweets/00000001/plan.json", schema=SCHEMA + 1)
    waiting = cloud_world.producer.enqueue(POSTS[:100], "tweets")
    users = cloud_world.producer.enqueue(range(1, 500), "users")
    cloud_world.workers.lose_messages()  # the sweep finds what it can
    cloud_world.workers.run_until(lambda: cloud_world.producer.status(users.id).ended_at is not None)
    store = cloud_world.workers.ports.store
    assert not list(store.list("jobs/tweets/00000002/"))
    assert not list(store.list(f"batches/{waiting.id}/outcome"))
    rewrite(cloud_world, "jobs/tweets/00000001/plan.json", schema=SCHEMA)
    for batch in (newer, waiting):
        cloud_world.finish(batch.id)


def test_a_step_that_meets_a_newer_fact_waits(cloud_world: World) -> None:
    """The upload ended, says a fact that this version cannot read: it asks again later, and does nothing meanwhile."""
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "uploaded"))
    rewrite(cloud_world, "jobs/tweets/00000001/uploaded.json", schema=SCHEMA + 1)
    cloud_world.workers.lose_messages()
    outcome = cloud_world.workers.pipeline.run(Hint(task_names.POLL_JOB, (str(ComplianceType.TWEETS), 1)))
    assert outcome.hints == ()
    assert outcome.again_in is not None
    assert not has_job_fact(cloud_world, "finished")
    rewrite(cloud_world, "jobs/tweets/00000001/uploaded.json", schema=SCHEMA)
    cloud_world.finish(batch.id)
