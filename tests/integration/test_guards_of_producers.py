"""What keeps a batch right from its first byte on: each test takes one way to lose it, or to accept too much."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from complyq_producer import task_names
from complyq_producer.errors import (
    BatchFailedError,
    BatchNotFoundError,
    KeyConflictError,
    QueueUnavailableError,
    StagingExpiredError,
    StoreUnavailableError,
)
from support.quiet_world import IDS, DiedError, Interrupted, Mortal, QuietWorld

SWEEP, EIGHT_DAYS, A_DAY_AND_AN_HOUR = task_names.SWEEP, 8 * 86_400, 25 * 3600
KEY = "nightly"


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


def at(call: str, part: str) -> Callable[..., bool]:
    """Choose a call by its name and what is in its key."""
    return lambda name, *args: name == call and part in args[0]


def die_after(world: QuietWorld, changes: int) -> Any:
    """Return the store of a producer that dies after so many changes."""
    return Mortal(changes + 1).port(world.store, "create", "create_from", "delete")


def die_with_the_key(world: QuietWorld) -> None:
    """Have a producer die when the key is its own, and nothing accepted."""
    with pytest.raises(DiedError):
        world.producer_with(die_after(world, 3)).enqueue(IDS, "tweets", key=KEY)


def test_a_key_means_one_type(world: QuietWorld) -> None:
    """The same IDs as the other type are another batch."""
    world.enqueue(key=KEY)
    with pytest.raises(KeyConflictError):
        world.enqueue(type_="users", key=KEY)


def test_staging_that_took_too_long_is_not_accepted(world: QuietWorld) -> None:
    """A sweep may be deleting its parts by then."""
    store = Interrupted(world.store, at("create_from", "ids/"), lambda: world.world.pass_time(A_DAY_AND_AN_HOUR))
    with pytest.raises(StagingExpiredError):
        world.producer_with(store).enqueue(IDS, "tweets")
    assert not [info for info in world.store.list("batches/") if info.key.endswith("batch.json")]


def test_a_call_that_fails_leaves_nothing(world: QuietWorld) -> None:
    """The store took the marker and refuses the parts."""

    def refuse() -> None:
        raise StoreUnavailableError("refused")

    store = Interrupted(world.store, at("create_from", "ids/"), refuse)
    with pytest.raises(StoreUnavailableError):
        world.producer_with(store).enqueue(IDS, "tweets")
    assert list(world.store.list("")) == []


def test_a_large_call_that_fails_leaves_nothing(world: QuietWorld) -> None:
    """Its parts are stored in another thread: what was under way when it failed is removed as well."""

    def refuse() -> None:
        raise StoreUnavailableError("refused")

    store = Interrupted(world.store, at("create_from", "ids/00001"), refuse)
    with pytest.raises(StoreUnavailableError):
        world.producer_with(store).enqueue(range(10**18, 10**18 + 1_200_000), "tweets")
    assert list(world.store.list("")) == []


class NoBroker:
    """Implements `Poke` without a broker."""

    def poke(self, task: str, *args: str | int) -> None:
        """Fail."""
        raise QueueUnavailableError("the broker is down")


def test_a_broker_that_is_down_refuses_no_batch(world: QuietWorld) -> None:
    """It is accepted, the caller is told, and a sweep finds it."""
    batch = world.producer_with(world.store, NoBroker()).enqueue(IDS, "tweets")
    assert not batch.notified
    assert world.finish(batch.id) == "completed"


def test_a_batch_that_was_never_accepted_is_not_found(world: QuietWorld) -> None:
    """Its producer died with the key in hand."""
    die_with_the_key(world)
    with pytest.raises(BatchNotFoundError):
        world.producer.find(KEY)
    assert world.enqueue(key=KEY).id == world.producer.find(KEY)


def test_a_cancelled_batch_gives_no_results(world: QuietWorld) -> None:
    """Whoever read none would take all its IDs for compliant."""
    batch = world.enqueue()
    world.producer.cancel(batch.id)
    assert world.finish(batch.id) == "cancelled"
    with pytest.raises(BatchFailedError):
        world.producer.results(batch.id)


def test_a_batch_whose_producer_died_once_it_was_accepted_is_found(world: QuietWorld) -> None:
    """Acceptance is its last write; the marker by which workers find it was its first."""

    class Dying(NoBroker):
        def poke(self, task: str, *args: str | int) -> None:
            raise DiedError

    with pytest.raises(DiedError):
        world.producer_with(world.store, Dying()).enqueue(IDS, "tweets", key=KEY)
    assert world.finish(world.producer.find(KEY)) == "completed"


def test_what_is_being_staged_is_not_swept(world: QuietWorld) -> None:
    """A sweep comes between the parts and the acceptance."""
    store = Interrupted(world.store, at("create", "batch.json"), lambda: world.run(SWEEP))
    batch = world.producer_with(store).enqueue(IDS, "tweets")
    assert world.finish(batch.id) == "completed"


def test_a_batch_whose_producer_stood_still_stays_visible(world: QuietWorld) -> None:
    """After a week a sweep took its staging for abandoned: it ends with its event, as a part is missing."""

    def stand_still() -> None:
        world.world.pass_time(EIGHT_DAYS)
        world.run(SWEEP)

    store = Interrupted(world.store, at("create", "batch.json"), stand_still)
    batch = world.producer_with(store).enqueue(IDS, "tweets")
    assert world.finish(batch.id) == "failed"


def test_a_batch_that_is_accepted_while_it_is_swept_stays_visible(world: QuietWorld) -> None:
    """A call with the same key takes it over at the very moment: it ends with its event, as a part is missing."""
    die_with_the_key(world)
    world.world.pass_time(EIGHT_DAYS)
    taken_over: list[str] = []
    ports = world.interrupted(at("delete", "ids/"), lambda: taken_over.append(world.enqueue(key=KEY).id))
    world.run(SWEEP, ports=ports)
    assert world.finish(taken_over[0]) == "failed"


def test_a_batch_that_is_swept_while_it_is_accepted_stays_visible(world: QuietWorld) -> None:
    """The sweep took its marker away with its parts: it ends with its event all the same."""
    die_with_the_key(world)
    world.world.pass_time(EIGHT_DAYS)
    store = Interrupted(world.store, at("create", "batch.json"), lambda: world.run(SWEEP))
    batch = world.producer_with(store).enqueue(IDS, "tweets", key=KEY)
    assert world.finish(batch.id) == "failed"
