"""The store as the page reads it: it cannot write, and what was read is not asked for again.

Facts never change (but for what is purged, which the page does not show), so each is read once. Which objects there are
is listed again after some seconds, since each listing is a request that costs money on S3.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, Generic, NoReturn, TypeVar

from complyq_producer.errors import UnknownSchemaError
from complyq_producer.ledger import BatchView, JobPhase, JobView, Ledger
from complyq_producer.overview import MOST_COUNTED
from complyq_producer.store import StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from complyq_producer.model import BatchId, ComplianceType
    from complyq_producer.store import ObjectInfo, ObjectStore

K = TypeVar("K")
V = TypeVar("V")

MOST_BYTES = 32_000_000
"""Bytes of facts that are remembered."""
MOST_ENTRIES = 50_000
"""Entries of listings that are remembered, of all listings together."""
MOST_JOBS = 64
"""Jobs that are over and remembered."""


class Memory(Generic[K, V]):
    """Keeps what was used last, up to a total weight. Safe among threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """Return what is kept under a key."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def keep(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value, and forget what was not used for longest where it is too much."""
        with self._lock:
            self._weight -= self._kept.pop(key, (value, 0))[1]
            self._kept[key] = (value, weight)
            self._weight += weight
            while self._weight > self._most and len(self._kept) > 1:
                _, (_, less) = self._kept.popitem(last=False)
                self._weight -= less

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()
            self._weight = 0


class RememberedStore:
    """Implements `ObjectStore` over another one, for reading facts."""

    def __init__(
        self, store: ObjectStore, listing_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Remember what a store holds.

        Args:
            store: the real one.
            listing_seconds: for so long a listing is taken for true.
            monotonic: tells seconds.
        """
        self._store = store
        self._listing_seconds = listing_seconds
        self._monotonic = monotonic
        self._facts: Memory[str, StoredObject] = Memory(MOST_BYTES)
        self._listings: Memory[str, tuple[float, Sequence[ObjectInfo]]] = Memory(MOST_ENTRIES)

    def look_again(self) -> None:
        """List anew whatever is asked for next."""
        self._listings.clear()

    def read(self, key: str) -> StoredObject:
        """Return an object as it was read first, which is as it is."""
        known = self._facts.get(key)
        if known is None:
            known = self._store.read(key)
            self._facts.keep(key, known, len(known.body))
        return known

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects as they were listed lately; beyond 10,000 of a prefix as they are."""
        if after:
            yield from self._store.list(prefix, after=after)
            return
        found = self._listed(prefix)
        yield from found
        if len(found) == MOST_COUNTED:
            yield from self._store.list(prefix, after=found[-1].key)

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object."""
        return self._store.info(key)

    def open(self, key: str, offset: int = 0) -> AbstractContextManager[BinaryIO]:
        """Stream an object."""
        return self._store.open(key, offset)

    def url(self, key: str) -> str:
        """Return where others find an object."""
        return self._store.url(key)

    def create(self, key: str, body: bytes) -> NoReturn:
        """Refuse."""
        del body
        raise _read_only(key)

    def create_from(self, key: str, source: BinaryIO) -> NoReturn:
        """Refuse."""
        del source
        raise _read_only(key)

    def replace(self, key: str, body: bytes) -> NoReturn:
        """Refuse."""
        del body
        raise _read_only(key)

    def delete(self, key: str) -> NoReturn:
        """Refuse."""
        raise _read_only(key)

    def verify(self) -> NoReturn:
        """Refuse: it would write a probe."""
        raise _read_only("a probe")

    def _listed(self, prefix: str) -> Sequence[ObjectInfo]:
        now = self._monotonic()
        known = self._listings.get(prefix)
        if known and now - known[0] < self._listing_seconds:
            return known[1]
        found = tuple(islice(self._store.list(prefix), MOST_COUNTED))
        self._listings.keep(prefix, (now, found), 1 + len(found))
        return found


class PatientLedger(Ledger):
    """A ledger that does not look again at jobs that are over."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        self._over: Memory[tuple[ComplianceType, int], JobView] = Memory(MOST_JOBS)

    def job(self, type_: ComplianceType, number: int) -> JobView:
        """Read a plan and its job."""
        known = self._over.get((type_, number))
        if known:
            return known
        job = super().job(type_, number)
        if job.phase is JobPhase.CLOSED:
            self._over.keep((type_, number), job)
        return job


class FirstBatches(Ledger):
    """A ledger that knows the oldest open batches only, and of them those that this version can read."""

    def __init__(self, ledger: Ledger, most: int) -> None:
        super().__init__(ledger.store)
        self._ledger = ledger
        self._most = most

    def marked_batches(self, type_: ComplianceType) -> Iterator[BatchId]:
        """List the first batches of a type that have a marker."""
        return islice(super().marked_batches(type_), self._most)

    def batch(self, batch_id: BatchId) -> BatchView | None:
        """Read a batch; None also where a newer version wrote it."""
        try:
            return super().batch(batch_id)
        except UnknownSchemaError:
            return None

    def job(self, type_: ComplianceType, number: int) -> JobView:
        """Read a plan and its job."""
        return self._ledger.job(type_, number)


def _read_only(what: str) -> PermissionError:
    return PermissionError(f"the dashboard only reads, it does not change {what}")
