"""An object store in a local directory: the default of everything embedded, on one machine's disk.

An object appears by link(2), whole or not at all; an exclusive open would leave an empty object behind a crash for
ever. Nothing is confirmed before the file and all folders above it are on the disk.
"""

import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from complyq_producer.errors import ObjectNotFoundError, StoreError, StoreUnavailableError
from complyq_producer.store.lasting import LastingFolders
from complyq_producer.store.port import ObjectInfo, StoredObject, check_key, check_prefix, is_segment
from complyq_producer.store.verification import verify_create_once

_STAGING = "~staging"  # no key can have this segment, so nothing in it is ever listed
_LEFTOVER_SECONDS = 24 * 3600
_COPY_BYTES = 1 << 20
_LINK_ATTEMPTS = 1000  # each failure but the first means that a concurrent delete removed an empty folder just then
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class DirectoryStore:
    """Keeps each object in the file `<root>/<key>`; the store's clock is the file system's."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._lasting = LastingFolders()

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self._root)!r})"

    def create(self, key: str, body: bytes) -> bool:
        """Create the object unless the key exists."""
        target = self._path(key)
        with self._translated("write", key), self._staged() as (staged, file):
            file.write(body)
            return self._publish(staged, file, target)

    def create_from(self, key: str, source: BinaryIO) -> bool:
        """Create the object from the file's position to its end unless the key exists."""
        target = self._path(key)
        with self._translated("write", key), self._staged() as (staged, file):
            shutil.copyfileobj(source, file, _COPY_BYTES)
            return self._publish(staged, file, target)

    def replace(self, key: str, body: bytes) -> None:
        """Put other content in the place of an object, or create it."""
        target = self._path(key)
        with self._translated("write", key), self._staged() as (staged, file):
            file.write(body)
            self._publish(staged, file, target, self._exchange)

    def read(self, key: str) -> StoredObject:
        """Return the whole object, or raise ObjectNotFoundError."""
        with self._opened(key) as file, self._translated("read", key):
            return StoredObject(file.read(), _modified_at(os.fstat(file.fileno())))

    @contextmanager
    def open(self, key: str, offset: int = 0) -> Iterator[BinaryIO]:
        """Stream the object from `offset` bytes to its end, or raise ObjectNotFoundError."""
        if offset < 0:
            raise ValueError(f"offset {offset} is negative")
        with self._opened(key) as file:
            file.seek(offset)
            yield file

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None if there is none."""
        with self._translated("read", key):
            return _info(self._path(key), key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects under `prefix` behind `after`, ascending by key, one folder at a time."""
        folder, slash, _ = check_prefix(prefix).rpartition("/")
        return self._walk(folder + slash, prefix, after)

    def delete(self, key: str) -> None:
        """Remove the object and the folders that it leaves empty; no error if there is none."""
        path = self._path(key)
        with self._translated("delete", key):
            with suppress(*_MISSING):
                path.unlink()
            self._prune(path.parent)

    def url(self, key: str) -> str:
        """Return `file:///…`."""
        return self._path(key).as_uri()

    def verify(self) -> None:
        """Prove that objects are created once, and remove what crashed writers left a day ago or earlier."""
        verify_create_once(self)
        with self._translated("clean", _STAGING):
            _remove_leftovers(self._root / _STAGING, time.time() - _LEFTOVER_SECONDS)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    @contextmanager
    def _translated(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failure(verb, key, error) from error

    def _failure(self, verb: str, key: str, error: OSError) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"cannot {verb} {key!r} in the store {self._root}: {error.strerror or error}; check that the folder may be "
            "read and written and that its disk has room, or choose another with COMPLYQ_STORE_URL"
        )

    @contextmanager
    def _staged(self) -> Iterator[tuple[Path, BinaryIO]]:
        staged = self._root / _STAGING / f"{os.getpid()}-{uuid.uuid4().hex}"
        try:
            with _new_file(staged) as file:
                yield staged, file
        finally:
            staged.unlink(missing_ok=True)

    def _publish(
        self, staged: Path, file: BinaryIO, target: Path, place: Callable[[Path, Path], bool] | None = None
    ) -> bool:
        file.flush()
        os.fsync(file.fileno())
        created = (place or self._link)(staged, target)
        self._sync_folders(target.parent)  # also for who came second: he builds on what he found
        return created

    def _link(self, staged: Path, target: Path) -> bool:
        for _ in range(_LINK_ATTEMPTS):
            with suppress(FileNotFoundError):
                return _link_once(staged, target)
            with suppress(FileExistsError, FileNotFoundError):
                target.parent.mkdir(parents=True)
        raise StoreUnavailableError(f"{target.parent} vanishes as often as it is made; does another program clear it?")

    def _exchange(self, staged: Path, target: Path) -> bool:
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
        return True

    def _sync_folders(self, folder: Path) -> None:
        """Bring the entries of all folders to the disk: who made one meanwhile may not have done so yet."""
        with suppress(FileNotFoundError):  # deleted meanwhile
            _sync_folder(folder)
        if folder != self._root and folder not in self._lasting:
            with self._lasting.remembering(folder):
                self._sync_folders(folder.parent)

    def _opened(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except _MISSING:
            raise ObjectNotFoundError(f"no object {self.url(key)}") from None
        except OSError as error:
            raise self._failure("read", key, error) from error

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
        with self._translated("list", folder):
            names = _names(self._root / folder)
        for name in names:
            key = folder + name
            if not _may_hold(key, prefix, after):
                continue
            if name.endswith("/"):
                yield from self._walk(key, prefix, after)
            elif (info := self._listed(key)) is not None:
                yield info

    def _listed(self, key: str) -> ObjectInfo | None:
        with self._translated("list", key):
            return _info(f"{self._root}/{key}", key)

    def _prune(self, folder: Path) -> None:
        while folder != self._root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                return  # not empty
            folder = folder.parent


def _new_file(path: Path) -> BinaryIO:
    with suppress(FileNotFoundError):
        return path.open("xb")
    _make_lasting(path.parent)
    return path.open("xb")


def _make_lasting(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for parent in folder.parents:
        with suppress(OSError):  # folders far above may not be ours to open
            _sync_folder(parent)


def _link_once(staged: Path, target: Path) -> bool:
    try:
        os.link(staged, target)
    except FileExistsError:
        if target.is_dir():
            raise StoreError(f"{target} is the folder of other objects, so it cannot be an object") from None
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _info(path: Path | str, key: str) -> ObjectInfo | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a listing asks for each of its objects, and a Path takes longer than the disk
    except _MISSING:
        return None
    return ObjectInfo(key, found.st_size, _modified_at(found)) if stat.S_ISREG(found.st_mode) else None


def _modified_at(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _names(folder: Path) -> list[str]:
    """Return a folder's entries in the order of the keys under them: a folder's name ends with its slash."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return sorted(entry.name + "/" if entry.is_dir() else entry.name for entry in entries if is_segment(entry.name))
    return []


def _may_hold(key: str, prefix: str, after: str) -> bool:
    """Return whether a file's key is wanted, or whether a folder (`…/`) may hold keys that are."""
    if not key.endswith("/"):
        return key.startswith(prefix) and key > after
    return (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key))


def _remove_leftovers(staging: Path, before: float) -> None:
    for leftover in staging.iterdir():
        with suppress(FileNotFoundError):
            if leftover.stat().st_mtime < before:
                leftover.unlink()
