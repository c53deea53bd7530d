"""Folders whose own entry this process has brought to the disk, so that not every object has to do it again.

A folder is known by its inode, and kept open for as long as it is known: so nobody else gets that inode, and what has it
under the same path is the same folder, whose entry was never taken away since. Nor was that of any folder above it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REMEMBERED = 32
"""The folders of all objects but those of single batches and jobs are about a dozen."""


class LastingFolders:
    """Remembers the folders that were used last. Safe for threads, and across a fork."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, _Folder] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, folder: Path) -> bool:
        """Whether the entries of a folder and of all above it are on the disk."""
        try:
            found = folder.stat()
        except OSError:
            return False
        with self._lock:
            known = self._known.get(folder)
            if known is None or known.identity != (found.st_dev, found.st_ino):
                return False
            self._known.move_to_end(folder)
            return True

    @contextmanager
    def remembering(self, folder: Path) -> Iterator[None]:
        """Remember a folder if its entry, and those above it, are brought to the disk in the block."""
        opened = None
        with suppress(FileNotFoundError):  # deleted meanwhile
            opened = _Folder(folder)  # before the block: who takes its place meanwhile is another one
        yield
        if opened:
            self._remember(folder, opened)

    def _remember(self, folder: Path, opened: _Folder) -> None:
        with self._lock:
            self._known[folder] = opened
            self._known.move_to_end(folder)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


class _Folder:
    """An open folder. It is closed when nobody knows it any more."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        weakref.finalize(self, os.close, descriptor)
        found = os.fstat(descriptor)
        self.identity = (found.st_dev, found.st_ino)
