"""An object store in memory: for tests of what is built on stores, and for work that nobody needs to keep."""

import io
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from complyq_producer.errors import ObjectNotFoundError
from complyq_producer.store.port import ObjectInfo, StoredObject, check_key, check_prefix
from complyq_producer.store.verification import verify_create_once

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BEHIND_ALL = "~"  # sorts behind every character that a key may have


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """Keeps objects in this process; `clock` is the store's clock and must tell time in UTC."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._objects: dict[str, StoredObject] = {}
        self._keys: list[str] = []  # of all objects, ascending
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._objects)} objects)"

    def create(self, key: str, body: bytes) -> bool:
        """Create the object unless the key exists."""
        check_key(key)
        with self._lock:
            if key in self._objects:
                return False
            self._objects[key] = StoredObject(bytes(body), self._clock())
            insort(self._keys, key)
            return True

    def create_from(self, key: str, source: BinaryIO) -> bool:
        """Create the object from the file's position to its end unless the key exists."""
        return self.create(key, source.read())

    def replace(self, key: str, body: bytes) -> None:
        """Put other content in the place of an object, or create it."""
        check_key(key)
        with self._lock:
            if key not in self._objects:
                insort(self._keys, key)
            self._objects[key] = StoredObject(bytes(body), self._clock())

    def read(self, key: str) -> StoredObject:
        """Return the whole object, or raise ObjectNotFoundError."""
        stored = self._objects.get(check_key(key))
        if stored is None:
            raise ObjectNotFoundError(f"no object {self.url(key)}")
        return stored

    @contextmanager
    def open(self, key: str, offset: int = 0) -> Iterator[BinaryIO]:
        """Stream the object from `offset` bytes to its end, or raise ObjectNotFoundError."""
        if offset < 0:
            raise ValueError(f"offset {offset} is negative")
        with io.BufferedReader(_ForwardStream(self.read(key).body, offset)) as stream:
            yield stream

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None if there is none."""
        stored = self._objects.get(check_key(key))
        return None if stored is None else ObjectInfo(key, len(stored.body), stored.modified_at)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects under `prefix` behind `after`, ascending by key."""
        check_prefix(prefix)
        with self._lock:
            first = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
            keys = self._keys[first : bisect_left(self._keys, prefix + _BEHIND_ALL)]
        found = ((key, self._objects.get(key)) for key in keys)
        return (ObjectInfo(key, len(stored.body), stored.modified_at) for key, stored in found if stored)

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        check_key(key)
        with self._lock:
            if self._objects.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    def url(self, key: str) -> str:
        """Return `memory:///<key>`, which only tells objects apart."""
        return f"memory:///{check_key(key)}"

    def verify(self) -> None:
        """Prove that objects are created once."""
        verify_create_once(self)


class _ForwardStream(io.RawIOBase):
    """Bytes that can be read once, from front to back, as they come from S3."""

    def __init__(self, body: bytes, offset: int) -> None:
        self._rest = memoryview(body)[offset:]

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Move the next bytes into the buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")
        block, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(block)] = block
        return len(block)
