"""What a store owes to a power cut, and the proof that it is no other store."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from complyq_producer.errors import UnfitStoreError
from complyq_producer.store import DirectoryStore, MemoryStore


def watched(said: list[tuple[str, int]], what: str, act: Callable[..., Any]) -> Callable[..., Any]:
    """Pass a system call on, and note it with the file or folder that it is about."""

    def call(about: Any, *args: Any) -> Any:
        said.append((what, (os.fstat(about) if isinstance(about, int) else Path(about).stat()).st_ino))
        return act(about, *args)

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
