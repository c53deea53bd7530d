"""Proves that a store creates objects once: facts kept in one that does not could be overwritten."""

import io
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from complyq_producer.errors import ObjectNotFoundError, StoreError, UnfitStoreError
from complyq_producer.store.port import ObjectStore

CreateFrom = Callable[[str, BinaryIO], bool]


def verify_create_once(store: ObjectStore, *also: CreateFrom) -> None:
    """Create a probe object, try to overwrite it in each way the store writes, read it back, remove it.

    Args:
        store: what to examine.
        also: further ways of writing that must refuse as well (S3's multipart uploads).

    Raises:
        UnfitStoreError: a second writer won, or the object is not what was confirmed.
        StoreError: the store refused one of the requests.
    """
    key = f"probes/{uuid.uuid4().hex}"
    try:
        _probe(store, key, also)
    except BaseException:
        with suppress(StoreError):  # what went wrong first is what matters
            store.delete(key)
        raise
    store.delete(key)
    if store.info(key) is not None:
        raise UnfitStoreError(f"{store.url(key)} is still there after it was deleted")


def _probe(store: ObjectStore, key: str, also: tuple[CreateFrom, ...]) -> None:
    body = uuid.uuid4().bytes
    if not store.create(key, body) and _body(store, key) != body:
        raise UnfitStoreError(f"{store.url(key)} is new, and yet the store says that it exists")
    for create in (store.create_from, *also):
        if create(key, io.BytesIO(b"a second writer")) or _body(store, key) != body:
            raise UnfitStoreError(_overwritten(store.url(key)))
    if [found.key for found in store.list(key)] != [key]:
        raise UnfitStoreError(f"{store.url(key)} was created, and the store does not list it")


def _body(store: ObjectStore, key: str) -> bytes | None:
    try:
        return store.read(key).body
    except ObjectNotFoundError:
        return None


def _overwritten(url: str) -> str:
    return (
        f"the store let a second writer overwrite {url}: it ignores 'If-None-Match: *', so facts kept there are not "
        "safe; use Amazon S3 or a server that honours conditional writes, or a file:// store (COMPLYQ_STORE_URL)"
    )
