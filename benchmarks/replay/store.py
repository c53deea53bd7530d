"""The object store of a replay: in memory, in virtual time, without what nobody will read again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from complyq_producer.errors import ObjectNotFoundError
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_producer.model import BatchId, ComplianceType
from complyq_producer.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from complyq_producer.store import ObjectInfo, StoredObject
    from replay.virtual_time import VirtualClock


class ReplayStore(MemoryStore):
    """A `MemoryStore` that is as large as the unfinished work.

    Steps run one after another but overlap in virtual time: what a long one stores near its end is hidden from
    one that runs later and began earlier.

    Attributes:
        calls: how often the store was asked for what, where S3 would take money for it.
    """

    def __init__(self, clock: VirtualClock, request_seconds: float = 0.0) -> None:
        super().__init__(clock.now)
        self._request_seconds = request_seconds
        self.calls: Counter[str] = Counter()
        self._time = clock
        self._bodies: dict[bytes, bytes] = {}

    def create(self, key: str, body: bytes) -> bool:
        """Create the object unless the key exists; who is second by the order of the replay is so in virtual time."""
        self._ask("write")
        created = super().create(key, self._shared(body) if "/ids/" in key else body)
        if not created:
            ahead = super().read(key).modified_at - self._time.now()
            self._time.sleep(max(0.0, ahead.total_seconds()))
        return created

    def read(self, key: str) -> StoredObject:
        """Return the whole object, or raise ObjectNotFoundError."""
        self._ask("read")
        stored = super().read(key)
        if stored.modified_at > self._time.now():
            raise ObjectNotFoundError(f"no object {key} yet")
        return stored

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None if there is none."""
        self._ask("head")
        info = super().info(key)
        return None if info is None or info.modified_at > self._time.now() else info

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects under `prefix` behind `after`, ascending by key."""
        self._ask("list")
        now = self._time.now()
        return (info for info in super().list(prefix, after=after) if info.modified_at <= now)

    def delete(self, key: str) -> None:
        """Remove the object; with the marker of a batch or of a job what only they needed goes too."""
        self._ask("delete")
        super().delete(key)
        with self._time.stopped():
            for obsolete in _obsolete_without(key, super().list):
                super().delete(obsolete)

    def _ask(self, what: str) -> None:
        self.calls[what] += 1
        self._time.sleep(self._request_seconds)

    def _shared(self, body: bytes) -> bytes:
        """Return the same bytes, from the batch that brought them first."""
        return self._bodies.setdefault(body, body)


def _obsolete_without(marker: str, listed: Callable[[str], Iterator[ObjectInfo]]) -> Iterator[str]:
    """Name the objects that nobody reads once a marker is gone."""
    name = marker.rpartition("/")[2]
    if marker.startswith("open/batches/"):
        keys = BatchKeys(BatchId(name))
        yield from [info.key for folder in (keys.folder, keys.results) for info in listed(folder)]
    if marker.startswith("open/jobs/"):
        yield JobKeys(ComplianceType(marker.split("/")[2]), int(name)).payload
