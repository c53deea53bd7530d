"""The bytes of a job, from the objects that hold them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from complyq_producer.errors import ObjectNotFoundError
from complyq_producer.facts import Plan, PlannedPart
from complyq_producer.model import BatchId, ComplianceType, JobId
from complyq_producer.store.memory import MemoryStore
from complyq_workers.payload import Payload

PARTS = [b"1\n22\n", b"333\n", b"4444\n55555\n"]
WHOLE = b"".join(PARTS)
KEYS = [f"ids/{number}" for number in range(len(PARTS))]


class CountingStore(MemoryStore):
    """Knows how many of its objects are open."""

    now_open = 0

    @contextmanager
    def open(self, key: str, offset: int = 0) -> Iterator[BinaryIO]:
        """Count, and open as ever."""
        with super().open(key, offset) as stream:
            self.now_open += 1
            yield stream
            self.now_open -= 1


@pytest.fixture
def store() -> CountingStore:
    """A store with all parts."""
    store = CountingStore()
    for key, part in zip(KEYS, PARTS, strict=True):
        store.create(key, part)
    return store


def payload_of(store: MemoryStore) -> Payload:
    """Describe the payload of a plan that carries all parts."""
    parts = [
        PlannedPart(batch_id=BatchId("b"), part=number, attempt=1, count=1, bytes=len(part))
        for number, part in enumerate(PARTS)
    ]
    plan = Plan(
        type=ComplianceType.TWEETS,
        number=1,
        job_id=JobId("j"),
        parts=parts,
        payload=KEYS,
        count=len(parts),
        bytes=len(WHOLE),
    )
    return Payload(store, plan, len(WHOLE))


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("offset", range(len(WHOLE) + 2))
def test_a_payload_is_read_from_any_byte_on(store: CountingStore, offset: int, size: int) -> None:
    """In order, over the ends of the objects, in steps of any size; never more than one of them is open."""
    read = b""
    with payload_of(store).open(offset) as stream:
        while block := stream.read(size):
            read += block
            assert store.now_open == 1
    assert read == WHOLE[offset:]
    assert store.now_open == 0


def test_a_payload_that_is_not_read_to_its_end_stays_open_nowhere(store: CountingStore) -> None:
    """An upload that is cut off leaves no connection to the store behind."""
    with payload_of(store).open() as stream:
        stream.read(1)
    assert store.now_open == 0


def test_an_object_that_is_gone_is_missed_when_its_turn_comes(store: CountingStore) -> None:
    """What stands before it has been read by then."""
    store.delete(KEYS[1])
    with payload_of(store).open() as stream:
        assert stream.read(1000) == PARTS[0]
        with pytest.raises(ObjectNotFoundError):
            stream.read(1000)
