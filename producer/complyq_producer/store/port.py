"""What Complyq asks of an object store, and the rules for keys."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import BinaryIO, Protocol

_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
_KEY = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")
_PREFIX = re.compile(r"(?:[A-Za-z0-9._-]+/)*[A-Za-z0-9._-]*")
_MAX_KEY_CHARACTERS = 800  # S3 allows 1,024 bytes, of which the store's own prefix takes some


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object; `size` in bytes, `modified_at` by the store's clock in UTC."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A whole object; `modified_at` by the store's clock in UTC."""

    body: bytes
    modified_at: datetime


class ObjectStore(Protocol):
    """A place for objects that are created once and never changed, but for what is purged.

    Keys are relative paths of segments of `[A-Za-z0-9._-]`; no key is the folder of another. A malformed key raises
    ValueError. Every method may raise StoreUnavailableError. One store may be used by many threads at once.
    """

    def create(self, key: str, body: bytes) -> bool:
        """Create the object unless the key exists.

        Returns:
            Whether this call is known to have created it. False may also mean that this very write went through and
            its answer was lost: callers who must know put a nonce in the body and read it back.
        """
        ...

    def create_from(self, key: str, source: BinaryIO) -> bool:
        """Create the object from a seekable file's position to its end unless the key exists; see `create`.

        The file is never held whole in memory. Its position afterwards is not defined.
        """
        ...

    def replace(self, key: str, body: bytes) -> None:
        """Put other content in the place of an object, whole or not at all, or create it.

        Only for taking out of facts what must be forgotten: nobody may come to another conclusion from the new content.
        """
        ...

    def read(self, key: str) -> StoredObject:
        """Return the whole object, for small ones; ObjectNotFoundError if there is none."""
        ...

    def open(self, key: str, offset: int = 0) -> AbstractContextManager[BinaryIO]:
        """Stream the object from `offset` bytes to its end; an offset at or past the end gives an empty stream.

        The stream only moves forward and ends only where the object ends: a short answer is read on or raised.

        Raises:
            ObjectNotFoundError: there is no object under the key.
        """
        ...

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None if there is none."""
        ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys start with `prefix` and sort behind `after`, ascending by key, page by page.

        The prefix may end within a segment. Objects created or deleted meanwhile may or may not be seen.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        ...

    def url(self, key: str) -> str:
        """Return where others find the object: `file:///…` or `s3://bucket/…`."""
        ...

    def verify(self) -> None:
        """Prove that objects are created once, with a probe object that is removed again.

        Raises:
            UnfitStoreError: the store let a second writer win, or lost what it confirmed.
        """
        ...


@lru_cache(4096)
def check_key(key: str) -> str:
    """Return the key if it is well formed, else raise ValueError."""
    if not _KEY.fullmatch(key) or len(key) > _MAX_KEY_CHARACTERS or _has_dot_segment(key):
        raise ValueError(f"not an object key: {key[:100]!r}; keys are segments of [A-Za-z0-9._-] joined by '/'")
    return key


@lru_cache(4096)
def check_prefix(prefix: str) -> str:
    """Return the prefix if keys can start with it, else raise ValueError; empty is every key's prefix."""
    folder = prefix.rpartition("/")[0]
    if not _PREFIX.fullmatch(prefix) or len(prefix) > _MAX_KEY_CHARACTERS or _has_dot_segment(folder):
        raise ValueError(f"no object key starts with {prefix[:100]!r}")
    return prefix


def is_segment(name: str) -> bool:
    """Return whether a key can have this segment."""
    return _SEGMENT.fullmatch(name) is not None and name not in {".", ".."}


def _has_dot_segment(path: str) -> bool:
    return not {".", ".."}.isdisjoint(path.split("/"))
