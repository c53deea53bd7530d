"""Files that are there in full, or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from complyq_producer.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replaced_file(path: Path, through: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name, and the place of an older one, when the block ends well.

    Args:
        path: its name.
        through: a folder on the same file system that holds it until then; by default that of `path`.

    Raises:
        InvalidArgumentError: it cannot be created there.
    """
    temporary, handle = _open_temporary(path, through or path.parent)
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def make_folder(path: Path) -> Path:
    """Create a folder and those above it where they are missing, and return its absolute path.

    Raises:
        InvalidArgumentError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgumentError(f"the folder {path} cannot be created: {error.strerror}") from error
    return path.resolve()


def _open_temporary(path: Path, folder: Path) -> tuple[Path, BinaryIO]:
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=folder)
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be written: {error.strerror}") from error
    os.fchmod(number, 0o666 & ~_umask())
    return Path(name), cast("BinaryIO", os.fdopen(number, "wb"))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
