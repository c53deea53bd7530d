"""The folder in which large sorts spill: a disk, never memory."""

import os
import re
import stat
import sys
from pathlib import Path

from complyq_config.errors import ConfigurationError

MEMORY_FILESYSTEMS = frozenset({"ramfs", "tmpfs"})
_MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")


def default_spool_dir() -> Path:
    """Name the folder used unless one is set: under /var/tmp, which is a disk where /tmp may be memory."""
    return Path(f"/var/tmp/complyq-{os.getuid()}")  # noqa: S108 - ready_spool_dir proves that it is ours


def ready_spool_dir(path: Path) -> Path:
    """Create ``path`` for this user alone where it is missing, and return it resolved.

    Raises:
        ConfigurationError: It cannot be created or written, belongs to somebody else, or lies in memory.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unfit(path, f"cannot be created ({error.strerror})") from error
    if path == default_spool_dir():
        _require_own(path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise _unfit(path, "is not writable")
    return _require_disk(path.resolve())


def filesystem_of(path: Path, mounts: str) -> str:
    """Name the type of the filesystem that holds ``path``, an absolute path, given the text of /proc/self/mounts."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        _, point, line_kind, *_ = [*line.split(" "), "", "", ""]
        where = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), point))
        # A later mount on the same point hides the earlier one.
        if path.is_relative_to(where) and len(where.parts) >= best:
            best, kind = len(where.parts), line_kind
    return kind


def _require_own(path: Path) -> None:
    """Refuse a folder that somebody else put under the guessable default name."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise _unfit(path, "is a link, or belongs to or is writable by another user")


def _require_disk(path: Path) -> Path:
    if sys.platform != "linux":
        return path
    kind = filesystem_of(path, _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))
    if kind in MEMORY_FILESYSTEMS:
        raise _unfit(path, f"is on a {kind} filesystem, which is memory")
    return path


def _unfit(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"COMPLYQ_SPOOL_DIR: {path} {why}. Set COMPLYQ_SPOOL_DIR to a writable folder on a disk with room for "
        "about 30 bytes an ID of the largest batch.",
    )
