"""Producers with the same key at once, or dying in the middle: one batch, and nothing is left over for ever."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from complyq_producer import Batch, Producer, task_names
from complyq_producer.errors import KeyConflictError
from complyq_producer.facts import utc_now
from complyq_producer.model import BatchState
from complyq_producer.store import ObjectStore, open_store
from complyq_workers.clock import SystemClock
from complyq_workers.pipeline import Hint
from support.inline_workers import NoLiveView, inline_workers
from support.simulator_process import Simulator, running_simulator
from support.verdicts import assert_events_agree, assert_nothing_is_open, objects
from support.world import World

IDS = range(10**18, 10**18 + 30)
OTHERS = range(10**18, 10**18 + 31)
KEY = "nightly"
CALLS_THAT_CHANGE = ("create", "create_from", "delete")


class KilledError(BaseException):
    """The producer's process is gone: not even its cleaning up runs."""


class MortalStore:
    """A store that kills its process at the n-th change, before or after it is done."""

    def __init__(self, store: ObjectStore, changes: int, *, done: bool) -> None:
        self._store = store
        self._left = changes
        self._done = done

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._counted(method) if name in CALLS_THAT_CHANGE else method

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._left <= 0:
                raise KilledError
            self._left -= 1
            if self._left == 0 and not self._done:
                raise KilledError
            result = method(*args, **kwargs)
            if self._left == 0:
                raise KilledError
            return result

        return call


class HoldingStore:
    """A store that holds up who creates an object."""

    def __init__(self, store: ObjectStore, key_part: str, hold: Callable[[], object]) -> None:
        self._store = store
        self._key_part = key_part
        self._hold = hold

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def create(self, key: str, body: bytes) -> bool:
        """Create as the store does, once that may go on."""
        if self._key_part in key:
            self._hold()
        return self._store.create(key, body)


class DaysLater(SystemClock):
    """A clock eight days ahead."""

    def now(self) -> datetime:
        """Return the time in eight days."""
        return utc_now() + timedelta(days=8)


@pytest.fixture(scope="module")
def x() -> Iterator[Simulator]:
    """Run one X for all tests here: none leaves an active job behind."""
    with running_simulator(processing_seconds=0.05, rate_limit=100_000) as running:
        yield running


@pytest.fixture
def world(x: Simulator, tmp_path: Path) -> Iterator[World]:
    """A world with a store of its own."""
    with inline_workers(open_store(f"file://{tmp_path}/store"), x, tmp_path) as workers:
        yield World(workers)


def producer(world: World, store: object = None) -> Producer:
    """Make another producer, as another process has."""
    ports = world.workers.ports
    return Producer(
        store=cast("ObjectStore", store or ports.store),
        poke=world.workers,
        live=NoLiveView(),
        spool_dir=ports.limits.spool_dir,
    )


def sweep_a_week_later(world: World) -> None:
    """Have the workers look for what was abandoned."""
    ports = world.workers.ports
    world.workers.pipeline.ports = replace(ports, clock=DaysLater())
    world.workers.pipeline.run(Hint(task_names.SWEEP))
    world.workers.pipeline.ports = ports


def assert_only(world: World, *batches: str) -> None:
    """Require that the store holds markers and parts of these batches, and of no other."""
    assert {key.rsplit("/", 1)[1] for key in objects(world, "open/batches/")} == set(batches)
    assert {key.split("/")[1] for key in objects(world, "batches/")} == set(batches)
    assert len(objects(world, "keys/")) == len(batches)


def at_once(calls: Sequence[Callable[[], Batch]]) -> list[Batch | Exception]:
    """Make calls in threads of their own; return what they returned or raised."""
    results: list[Batch | Exception] = []

    def run(call: Callable[[], Batch]) -> None:
        try:
            results.append(call())
        except KeyConflictError as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_eight_producers_with_one_key_make_one_batch(world: World) -> None:
    """All have staged their parts when they claim the key: all get the same batch, and the rest is removed."""
    together = threading.Barrier(8)
    store = HoldingStore(world.workers.ports.store, "keys/", together.wait)
    calls = [partial(producer(world, store).enqueue, IDS, "tweets", key=KEY) for _ in range(8)]
    batches = at_once(calls)
    (batch_id,) = {batch.id for batch in batches if isinstance(batch, Batch)}
    assert sum(batch.created for batch in batches if isinstance(batch, Batch)) == 1
    assert_only(world, batch_id)
    world.finish(batch_id)
    assert_events_agree(world, batch_id)
    assert_nothing_is_open(world)
    assert world.producer.enqueue(IDS, "tweets", key=KEY).id == batch_id


def test_of_two_producers_with_other_ids_one_is_refused(world: World) -> None:
    """Exactly one gets the key, and of the other nothing is left."""
    together = threading.Barrier(2)
    store = HoldingStore(world.workers.ports.store, "keys/", together.wait)
    calls = [partial(producer(world, store).enqueue, ids, "tweets", key=KEY) for ids in (IDS, OTHERS)]
    results = at_once(calls)
    (batch,) = (result for result in results if isinstance(result, Batch))
    assert len([result for result in results if isinstance(result, KeyConflictError)]) == 1
    assert_only(world, batch.id)
    world.finish(batch.id)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("change", [1, 2, 3, 4], ids=["marker", "part", "key", "record"])
def test_a_producer_that_dies_is_followed_by_another(world: World, change: int, *, done: bool) -> None:
    """Whatever it had written: the next call with the key gets a batch that runs, and a week later nothing is left."""
    mortal = MortalStore(world.workers.ports.store, change, done=done)
    with pytest.raises(KilledError):
        producer(world, mortal).enqueue(IDS, "tweets", key=KEY)
    batch = world.producer.enqueue(IDS, "tweets", key=KEY)
    assert batch.created == (change < 3 or (change == 3 and not done))
    sweep_a_week_later(world)
    assert_only(world, batch.id)
    world.finish(batch.id)
    assert_events_agree(world, batch.id)
    assert_nothing_is_open(world)


@pytest.mark.parametrize("change", [4, 5], ids=["part", "marker"])
def test_a_producer_that_dies_while_it_makes_room_leaves_nothing_for_ever(world: World, change: int) -> None:
    """It lost the key to another and was removing its own parts: the sweep removes the rest a week later."""
    winner: list[Batch] = []

    def lose() -> None:
        if not winner:
            winner.append(world.producer.enqueue(IDS, "tweets", key=KEY))

    late = HoldingStore(world.workers.ports.store, "keys/", lose)
    with pytest.raises(KilledError):
        producer(world, MortalStore(cast("ObjectStore", late), change, done=False)).enqueue(IDS, "tweets", key=KEY)
    sweep_a_week_later(world)
    assert_only(world, winner[0].id)
    world.finish(winner[0].id)


def test_a_key_whose_producer_died_belongs_to_its_ids(world: World) -> None:
    """It was claimed and never accepted: other IDs are refused, and the same ones complete it, even a week later."""
    with pytest.raises(KilledError):
        producer(world, MortalStore(world.workers.ports.store, 3, done=True)).enqueue(IDS, "tweets", key=KEY)
    sweep_a_week_later(world)
    assert objects(world, "batches/") == objects(world, "open/") == {}
    with pytest.raises(KeyConflictError):
        world.producer.enqueue(OTHERS, "tweets", key=KEY)
    assert objects(world, "batches/") == objects(world, "open/") == {}
    batch = world.producer.enqueue(IDS, "tweets", key=KEY)
    world.finish(batch.id)
    assert_nothing_is_open(world)


def test_a_batch_that_is_taken_over_while_its_staging_is_swept_ends_all_the_same(world: World) -> None:
    """Its parts are taken for abandoned at the moment of its acceptance: it fails with its event, never silently."""
    with pytest.raises(KilledError):
        producer(world, MortalStore(world.workers.ports.store, 3, done=True)).enqueue(IDS, "tweets", key=KEY)
    store = HoldingStore(world.workers.ports.store, "batch.json", lambda: sweep_a_week_later(world))
    batch = producer(world, store).enqueue(IDS, "tweets", key=KEY)
    world.finish(batch.id, BatchState.FAILED)
    assert_events_agree(world, batch.id)
    assert_nothing_is_open(world)


def test_parts_of_another_size_are_not_mixed_in(world: World) -> None:
    """The size of parts was changed before the call was repeated: the batch keeps the parts that it was cut into."""
    with pytest.raises(KilledError):
        producer(world, MortalStore(world.workers.ports.store, 3, done=True)).enqueue(IDS, "tweets", key=KEY)
    ports = world.workers.ports
    smaller = Producer(
        store=ports.store, poke=world.workers, live=NoLiveView(), spool_dir=ports.limits.spool_dir, part_bytes=200
    )
    batch = smaller.enqueue(IDS, "tweets", key=KEY)
    assert batch.parts == 1
    assert len(objects(world, f"batches/{batch.id}/ids/")) == 1
    world.finish(batch.id)
