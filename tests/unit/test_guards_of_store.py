"""What a store owes to a power cut, and the proof that it is no other store."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from complyq_producer.errors import StoreUnavailableError, UnfitStoreError
from complyq_producer.store import DirectoryStore, MemoryStore
from complyq_producer.store.lasting import REMEMBERED


def watched(said: list[tuple[str, int]], what: str, act: Callable[..., Any]) -> Callable[..., Any]:
    """Pass a system call on, and note it with the file or folder that it is about, unless it fails."""

    def call(about: Any, *args: Any) -> Any:
        done = act(about, *args)
        said.append((what, (os.fstat(about) if isinstance(about, int) else Path(about).stat()).st_ino))
        return done

    return call


def test_what_was_confirmed_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes before the object appears, and then the entries of all folders above it. Nobody can cut the power here."""
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "fsync", watched(calls, "to disk", os.fsync))
    monkeypatch.setattr(os, "link", watched(calls, "appears", os.link))
    DirectoryStore(tmp_path).create("a/b/c", b"body")
    file, folders = (tmp_path / "a/b/c").stat().st_ino, [tmp_path / "a/b", tmp_path / "a", tmp_path]
    begun = calls.index(("to disk", file))
    assert calls[begun:] == [
        ("to disk", file),
        ("appears", file),
        *(("to disk", each.stat().st_ino) for each in folders),
    ]


def test_who_comes_second_makes_sure_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on from what it found, which the first one may not have brought to the disk yet."""
    DirectoryStore(tmp_path).create("a/c", b"body")
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "fsync", watched(calls, "to disk", os.fsync))
    assert not DirectoryStore(tmp_path).create("a/c", b"other")
    assert ("to disk", (tmp_path / "a").stat().st_ino) in calls


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is brought to the disk."""
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "fsync", watched(calls, "to disk", os.fsync))
    return calls


def folders_of(calls: list[tuple[str, int]], root: Path, *names: str) -> list[str]:
    """Which of these folders were brought to the disk; and forget the calls."""
    found = [name for name in names if ("to disk", (root / name).stat().st_ino) in calls]
    calls.clear()
    return found


def test_a_folder_is_brought_to_the_disk_once(tmp_path: Path, synced: list[tuple[str, int]]) -> None:
    """Its objects each time: the folder above does not change by them."""
    store = DirectoryStore(tmp_path)
    store.create("a/b/c", b"body")
    assert folders_of(synced, tmp_path, "a/b", "a", ".") == ["a/b", "a", "."]
    store.create("a/b/d", b"body")
    assert folders_of(synced, tmp_path, "a/b", "a", ".") == ["a/b"]
    store.create("a/e/f", b"body")
    assert folders_of(synced, tmp_path, "a/e", "a", "a/b", ".") == ["a/e", "a"]
    DirectoryStore(tmp_path).create("a/b/g", b"body")
    assert folders_of(synced, tmp_path, "a/b", "a", ".") == ["a/b", "a", "."]


def test_a_folder_that_came_back_is_brought_to_the_disk_again(tmp_path: Path, synced: list[tuple[str, int]]) -> None:
    """Whoever took it away, and made it anew: its entry is another one."""
    store, other = DirectoryStore(tmp_path), DirectoryStore(tmp_path)
    for _ in range(3):
        store.create("a/b/c", b"body")
        synced.clear()
        other.delete("a/b/c")
        (tmp_path / "a/b").mkdir(parents=True)
        store.create("a/b/d", b"body")
        assert folders_of(synced, tmp_path, "a/b", "a", ".") == ["a/b", "a", "."]
        other.delete("a/b/d")


def test_a_folder_that_could_not_be_brought_to_the_disk_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nothing in it is confirmed."""
    store, root = DirectoryStore(tmp_path), tmp_path.stat().st_ino
    real = os.fsync

    def failing(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == root:
            raise OSError(errno.EIO, "the disk is broken")
        real(descriptor)

    (tmp_path / "~staging").mkdir()
    monkeypatch.setattr(os, "fsync", failing)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="broken"):
            store.create("a/b", b"body")
    monkeypatch.setattr(os, "fsync", real)
    assert not store.create("a/b", b"body")


def open_files() -> int:
    """Count what this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_a_store_keeps_few_folders_open(tmp_path: Path) -> None:
    """However many there are, and none when nobody uses it any more."""
    before = open_files()
    store = DirectoryStore(tmp_path)
    for number in range(3 * REMEMBERED):
        store.create(f"{number}/a", b"body")
    assert open_files() <= before + REMEMBERED
    del store
    assert open_files() <= before


class LyingStore(MemoryStore):
    """A store that lets the last writer win, and tells him that he came second."""

    def create(self, key: str, body: bytes) -> bool:
        """Overwrite what is there."""
        is_new = self.info(key) is None
        self.delete(key)
        super().create(key, body)
        return is_new


def test_a_store_that_lies_is_found_out() -> None:
    """It is believed by what it holds, not by what it says."""
    with pytest.raises(UnfitStoreError):
        LyingStore().verify()
