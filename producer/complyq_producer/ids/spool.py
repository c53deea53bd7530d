"""Files without names for what does not fit into memory: the system removes them, however the process ends."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from complyq_config.errors import ConfigurationError
from complyq_producer.ids.values import IdArray

_ID_BYTES = 8


class Spool:
    """Holds IDs as raw numbers, appended and read at any place, and text."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self._folder = folder
        self._files = files
        self._numbers = self._new_file()
        self._length = 0

    def append(self, values: IdArray) -> int:
        """Write the values behind all others; return the place of the first."""
        place = self._length
        with self.translated():
            self._numbers.seek(place * _ID_BYTES)
            self._numbers.write(values.data)
        self._length += len(values)
        return place

    def read(self, start: int, end: int) -> IdArray:
        """Return the values of these places."""
        with self.translated():
            self._numbers.seek(start * _ID_BYTES)
            return np.frombuffer(self._numbers.read((end - start) * _ID_BYTES), np.uint64, end - start)

    def text_file(self, *, in_memory: bool) -> IO[bytes]:
        """Return an empty file that ends with the spool."""
        return self._files.enter_context(io.BytesIO()) if in_memory else self._new_file()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the disk refuses into ConfigurationError."""
        try:
            yield
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def _new_file(self) -> IO[bytes]:
        with self.translated():
            return self._files.enter_context(tempfile.TemporaryFile(dir=self._folder))


@contextmanager
def open_spool(folder: Path) -> Iterator[Spool]:
    """Make the folder if it is missing; ConfigurationError if it cannot be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
    with ExitStack() as files:
        yield Spool(folder, files)


def _unusable(folder: Path, error: OSError) -> ConfigurationError:
    reason = error.strerror or str(error)
    return ConfigurationError(
        f"cannot use {folder} for temporary files: {reason}; set COMPLYQ_SPOOL_DIR to a writable folder on a disk with "
        "room for 30 bytes per ID"
    )
