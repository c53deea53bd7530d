"""Removes what steps that were killed left on the disk: folders full of IDs and results, which nobody will read again."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

LOOK_SECONDS = 3_600.0
"""How often a worker looks."""
LEFT_SECONDS = 2 * 3_600.0
"""No step runs for so long: a folder in which nothing has changed since is nobody's."""
PREFIXES = ("merge-", "collect-")
"""What the folders of steps begin with."""


def remove_leftovers(spool_dir: Path) -> None:
    """Remove the folders of steps in which nothing has changed for two hours. What cannot be removed is left for later."""
    before = time.time() - LEFT_SECONDS
    with suppress(FileNotFoundError):
        for folder in spool_dir.iterdir():
            if folder.name.startswith(PREFIXES) and _changed_at(folder) < before:
                shutil.rmtree(folder, ignore_errors=True)
                log.info("leftovers_removed", folder=str(folder))


def _changed_at(folder: Path) -> float:
    """Return when anything in a folder was written to; what vanishes meanwhile has just been in use."""
    try:
        return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return time.time()
