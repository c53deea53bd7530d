"""What a worker's main process shows of itself in a file, and what a probe makes of it. No Celery: a probe starts often."""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import gettempdir

import msgspec
import structlog

log = structlog.get_logger(__name__)

MAX_SILENCE_SECONDS = 90.0
"""A worker that was silent for longer hangs: longer than its broker connection may take to fail."""
MAX_UNREAD_SECONDS = 330.0
"""So long may messages wait although a process is free: whoever postpones a step holds its message for 300 s at most."""


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker knew of itself when it last showed a sign of life."""

    pid: int
    connected: bool
    """Whether it takes messages from its broker."""
    processes: int = 0
    """How many processes it should have."""
    living: int = 0
    short_seconds: float = 0.0
    """For how long fewer of them have lived."""
    unread: int = 0
    """Messages that waited though a process was free."""
    unread_seconds: float = 0.0
    """For how long some have waited without any being taken."""


def worker_name(role: str, namespace: str, host: str) -> str:
    """Name a machine's worker of a role in an installation."""
    return f"{namespace}-{role}@{host}"


def role_of(worker: str) -> str:
    """Tell a worker's role from its name."""
    return worker.partition("@")[0].rpartition("-")[2]


def show(worker: str, signs: Signs) -> None:
    """Show a sign of life. That it cannot be shown must not end a worker."""
    file = _file_of(worker)
    try:
        new = file.with_suffix(f".{os.getpid()}")
        new.write_bytes(msgspec.json.encode(signs))
        new.replace(file)  # a probe never reads half of it
    except OSError as error:
        log.warning("alive_not_shown", error=str(error))


def hide(worker: str) -> None:
    """Show none any more: the worker ends."""
    _file_of(worker).unlink(missing_ok=True)


def read(worker: str) -> tuple[Signs, float] | None:
    """Return the last sign of life of a worker and its age in seconds, or None if there is none."""
    file = _file_of(worker)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Signs), max(0.0, time.time() - file.stat().st_mtime)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def ailment(worker: str, patience: float = MAX_SILENCE_SECONDS) -> str | None:
    """Return why a worker should be started anew, or None if it lives.

    Args:
        worker: its name.
        patience: seconds for which its main process may be silent, or its processes be too few.
    """
    found = read(worker)
    if found is None:
        return "it is not running"
    signs, silence = found
    if not _exists(signs.pid):
        return f"its main process {signs.pid} is gone"
    if silence > patience:
        return f"its main process has shown no life for {silence:.0f} s"
    if signs.short_seconds > patience:
        return f"{signs.living} of its {signs.processes} processes have lived for {signs.short_seconds:.0f} s"
    if signs.unread_seconds > MAX_UNREAD_SECONDS:
        return (
            f"it takes no messages: {signs.unread} have waited for {signs.unread_seconds:.0f} s, and a process is free"
        )
    return None


def _file_of(worker: str) -> Path:
    return Path(gettempdir()) / f"complyq-{os.getuid()}-{worker}.alive"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
