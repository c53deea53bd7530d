"""IDs and results of batches that ended long ago are removed; what was counted stays, and nobody is led astray."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from complyq_producer import task_names
from complyq_producer.errors import BatchPurgedError, KeyConflictError
from complyq_producer.layout import BatchKeys, key_record
from complyq_producer.model import BatchId
from complyq_producer.purging import Purge, PurgeReport
from complyq_producer.replays import Replays
from complyq_producer.store import DirectoryStore, MemoryStore, ObjectStore
from complyq_workers.pipeline import purging
from complyq_workers.pipeline.ports import Ports
from complyq_workers.together import one_by_one
from support.quiet_world import IDS, DiedError, QuietWorld

DAY = 86_400.0
OTHERS = range(10**8 + 8, 10**8 + 14)
"""Some of them are in IDS too."""


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


def purge(
    world: QuietWorld, days: float = 0, store: ObjectStore | None = None, *, dry_run: bool = False
) -> PurgeReport:
    """Purge what ended so many days ago."""
    now = world.ports.clock.now()
    one = Purge(
        store or world.store, now - timedelta(days=days), one_by_one, dry_run=dry_run, now=world.ports.clock.now
    )
    return list(one.run())[-1]


def ended(world: QuietWorld, ids: range = IDS, **options: str) -> str:
    """Run a batch to its end."""
    batch = world.enqueue(ids, **options)
    world.finish(batch.id)
    return batch.id


def merged(world: QuietWorld) -> tuple[str, str]:
    """Run two batches to their end in one job."""
    first, second = world.enqueue(IDS, key="first").id, world.enqueue(OTHERS).id
    for batch_id in (first, second):
        world.finish(batch_id)
    assert world.store.info("jobs/tweets/00000001/payload.txt")
    return first, second


def held(store: ObjectStore) -> bytes:
    """All that a store holds, keys too."""
    return b"".join(info.key.encode() + store.read(info.key).body for info in list(store.list("")))


def ids_in(world: QuietWorld, ids: range) -> list[int]:
    """Return which of these IDs stand anywhere in the store, as text."""
    text = held(world.store)
    return [id_ for id_ in ids if str(id_).encode() in text]


def everything(store: MemoryStore) -> dict[str, bytes]:
    """What a store holds, by key."""
    return {info.key: store.read(info.key).body for info in list(store.list(""))}


def test_no_id_stays_in_the_store(world: QuietWorld) -> None:
    """Parts, results, shared payloads, and the first and last IDs that records name."""
    first, second = merged(world)
    assert ids_in(world, IDS)
    report = purge(world)
    assert (report.batches, report.payloads, report.kept) == (2, 1, 0)
    assert ids_in(world, IDS) == ids_in(world, OTHERS) == []
    for prefix in (f"batches/{first}/ids/", f"results/{first}/", f"results/{second}/", "done/"):
        assert not list(world.store.list(prefix))


def test_what_was_counted_stays(world: QuietWorld) -> None:
    """Status says the same as before, and when the rest was removed."""
    batch_id = ended(world, name="archive")
    before = world.producer.status(batch_id)
    world.world.pass_time(DAY)
    purge(world)
    after = world.producer.status(batch_id)
    assert after.purged_at == world.ports.clock.now()
    assert before.flagged
    assert replace_status(after, purged_at=None) == before


def replace_status(status: object, **changes: object) -> object:
    """Return a status with other fields."""
    return type(status)(**{**{name: getattr(status, name) for name in status.__struct_fields__}, **changes})  # type: ignore[attr-defined]


def test_results_of_a_purged_batch_are_refused_with_the_reason(world: QuietWorld) -> None:
    """Nobody takes "no results" for "compliant"."""
    batch_id = ended(world)
    purge(world)
    with pytest.raises(BatchPurgedError, match=rf"{batch_id} was purged on 2026-11-01 .* UTC"):
        world.producer.results(batch_id)


def test_a_key_keeps_its_meaning(world: QuietWorld) -> None:
    """The same call returns the same batch and runs nothing; other IDs are refused as before."""
    batch_id = ended(world, key="archive")
    purge(world)
    again = world.enqueue(key="archive")
    assert (again.id, again.created) == (batch_id, False)
    assert world.producer.find("archive") == batch_id
    with pytest.raises(KeyConflictError):
        world.enqueue(OTHERS, key="archive")
    assert not list(world.store.list("open/batches/"))
    assert ids_in(world, IDS) == []


def test_only_what_ended_long_ago_is_purged(world: QuietWorld) -> None:
    """A batch that ended today, and one that is open, keep all they have."""
    old = ended(world)
    world.world.pass_time(3 * DAY)
    young = ended(world, range(10**8 + 100, 10**8 + 110))
    open_ = world.enqueue(range(10**8 + 200, 10**8 + 210)).id
    assert purge(world, days=1).batches == 1
    assert world.batch(old).purged
    for batch_id in (young, open_):
        assert not world.batch(batch_id).purged
        assert list(world.store.list(f"batches/{batch_id}/ids/"))
    assert [result.id for result in world.producer.results(young)]
    assert world.finish(open_) == "completed"


def test_a_batch_that_ended_on_the_same_day_but_later_is_kept(world: QuietWorld) -> None:
    """Not the day counts but the time."""
    old = ended(world)
    world.world.pass_time(3600)
    young = ended(world, range(10**8 + 100, 10**8 + 110))
    age = world.ports.clock.now() - timedelta(minutes=30)
    list(Purge(world.store, age, one_by_one, now=world.ports.clock.now).run())
    assert world.batch(old).purged
    assert not world.batch(young).purged


def test_a_payload_is_kept_while_the_end_of_a_batch_waits(world: QuietWorld) -> None:
    """The job has ended and so have its batches, but what they found is not told yet."""
    batches = [world.enqueue(ids).id for ids in (IDS, OTHERS)]
    world.world.events.available = False
    world.run_until(lambda: all(world.batch(batch_id).outcome for batch_id in batches))
    assert purge(world).payloads == 0
    world.world.events.available = True
    for batch_id in batches:
        world.finish(batch_id)
    assert purge(world).payloads == 1


def test_a_batch_that_is_not_published_to_its_end_is_open(world: QuietWorld) -> None:
    """Its events still need its results, however long ago it was decided."""
    batch = world.enqueue()
    world.world.events.available = False
    world.run_until(lambda: world.batch(batch.id).outcome)
    world.world.pass_time(9 * DAY)
    assert purge(world, days=1).batches == 0
    world.world.events.available = True
    assert world.finish(batch.id) == "completed"
    assert [event["type"].split(".")[2] for event in world.events()] == ["results", "completed"]


def test_a_batch_whose_events_are_published_again_is_kept(world: QuietWorld) -> None:
    """Until the replay is done: by name, by time, or with all others."""
    batch_id, other = ended(world), ended(world, range(10**8 + 100, 10**8 + 110))
    replays = Replays(world.store, world.world, world.ports.clock.now)
    replay_id = replays.ask([batch_id])
    report = purge(world)
    assert (report.batches, report.kept) == (1, 1)
    assert not world.batch(batch_id).purged
    assert world.batch(other).purged
    world.run(task_names.REPLAY, replay_id)
    assert replays.progress(replay_id).batches == 1
    assert purge(world).batches == 1


def test_a_payload_is_kept_while_one_of_its_batches_is_open(world: QuietWorld) -> None:
    """Two batches shared the job; one has a part that another job is to check."""
    first = world.enqueue(IDS).id
    second = world.enqueue(range(10**8 + 50, 10**8 + 53)).id
    world.run_to("collected")
    world.run_until(lambda: world.batch(first).published)
    assert not world.batch(second).published
    assert purge(world).payloads == 0
    world.finish(second)
    assert purge(world).payloads == 1
    assert purge(world).payloads == 0


def test_a_payload_of_a_job_that_nobody_needed_is_removed_too(world: QuietWorld) -> None:
    """Its batches were cancelled before anything was created at X: no result and no attempt names the job."""
    batches = [world.enqueue(ids).id for ids in (IDS, OTHERS)]
    world.run_to("merged")
    for batch_id in batches:
        world.producer.cancel(batch_id)
    for batch_id in batches:
        assert world.finish(batch_id) == "cancelled"
    world.run_until(lambda: world.has_fact("finished"))
    assert purge(world).payloads == 1
    assert ids_in(world, IDS) == []


def test_a_dry_run_counts_the_same_and_changes_nothing(world: QuietWorld) -> None:
    """What it tells is what a purge then does."""
    merged(world)
    ended(world, range(10**8 + 100, 10**8 + 110))
    before = everything(world.store)
    told = purge(world, dry_run=True)
    assert everything(world.store) == before
    assert purge(world) == told
    assert told.bytes == sum(
        len(body) for key, body in before.items() if "/ids/" in key or key.startswith("results/") or "payload" in key
    )


@pytest.mark.parametrize("change", range(1, 20))
def test_a_purge_may_die_at_each_thing_it_does(world: QuietWorld, change: int) -> None:
    """The next one removes what is left; meanwhile the batch says what is becoming of it."""
    first, second = merged(world)
    mortal = world.mortal(change).store
    try:
        purge(world, store=mortal)
    except DiedError:
        for batch_id in (first, second):
            purged = world.batch(batch_id).purged
            assert purged or list(world.producer.results(batch_id))
            assert world.producer.status(batch_id).flagged
    purge(world)
    assert ids_in(world, IDS) == ids_in(world, OTHERS) == []
    assert world.producer.find("first") == first
    assert purge(world) == PurgeReport()


def test_a_batch_that_was_purged_is_not_marked_as_done_again(world: QuietWorld) -> None:
    """A late message about publishing it would have each purge look at it for ever."""
    batch_id = ended(world)
    purge(world)
    world.run(task_names.PUBLISH_BATCH, batch_id)
    assert not list(world.store.list("done/"))


def retaining(world: QuietWorld, days: float = 30) -> Ports:
    """Return the ports of a worker that keeps batches for so many days."""
    return replace(world.ports, limits=replace(world.ports.limits, retention_days=days))


def sweep(world: QuietWorld, ports: Ports) -> list[str]:
    """Sweep, when a sweep is due again; return what is hinted at."""
    world.world.pass_time(60)
    return [hint.task for hint in world.run(task_names.SWEEP, ports=ports).hints]


def test_workers_purge_by_themselves_where_they_are_to(world: QuietWorld) -> None:
    """Once in six hours, whoever of them sweeps; never without COMPLYQ_RETENTION_DAYS."""
    batch_id = ended(world)
    ports = retaining(world)
    world.world.pass_time(31 * DAY)
    assert task_names.PURGE not in sweep(world, world.ports)
    assert task_names.PURGE in sweep(world, ports)
    assert world.run(task_names.PURGE, ports=ports).again_in is None
    assert world.batch(batch_id).purged
    assert task_names.PURGE not in sweep(world, ports)
    world.world.pass_time(6 * 3600)
    assert task_names.PURGE in sweep(world, ports)


def test_a_message_alone_purges_nothing(world: QuietWorld) -> None:
    """A worker whose settings keep batches for ever does not go by what another one's asked for."""
    batch_id = ended(world)
    world.world.pass_time(400 * DAY)
    world.run(task_names.PURGE)
    assert not world.batch(batch_id).purged


def test_a_worker_purges_a_little_at_a_time(world: QuietWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have their turn in between; in the end all is done."""
    monkeypatch.setattr(purging, "STEP_SECONDS", 0.0)
    monkeypatch.setattr("complyq_producer.purging.AT_ONCE", 1)
    batches = [ended(world, range(10**8 + n * 100, 10**8 + n * 100 + 10)) for n in range(3)]
    world.world.pass_time(31 * DAY)
    turns = 0
    while world.run(task_names.PURGE, ports=retaining(world)).again_in is not None:
        turns += 1
    assert turns == len(batches)
    assert all(world.batch(batch_id).purged for batch_id in batches)


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Stores that have all that a purge needs without a server."""
    return MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "store")


def test_an_empty_store_is_purged_of_nothing(store: ObjectStore, world: QuietWorld) -> None:
    """Nothing is there, and nothing comes of it."""
    assert purge(world, store=store) == PurgeReport()
    assert not list(store.list(""))


def test_what_a_newer_version_wrote_into_a_record_stays(world: QuietWorld) -> None:
    """Fields that this one does not know are not its own to remove."""
    batch_id = ended(world, key="archive")
    keys = BatchKeys(BatchId(batch_id))
    for key in (keys.record, key_record("archive")):
        known = json.loads(world.store.read(key).body)
        world.store.replace(key, json.dumps({**known, "color": "blue"}).encode())
    purge(world)
    for key in (keys.record, key_record("archive")):
        assert json.loads(world.store.read(key).body)["color"] == "blue"
    assert ids_in(world, IDS) == []


def test_a_record_of_a_newer_version_is_left_to_it(world: QuietWorld) -> None:
    """Who cannot read what a batch is does not remove what it has."""
    batch_id = ended(world)
    keys = BatchKeys(BatchId(batch_id))
    world.store.replace(keys.record, b'{"schema": 99}')
    report = purge(world)
    assert (report.batches, report.kept) == (0, 1)
    assert list(world.store.list(keys.results))
