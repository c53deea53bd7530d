"""Files without names for what does not fit into memory: the system removes them, however the process ends."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from complyq_config.errors import ConfigurationError
from complyq_producer.ids.values import IdArray

_ID_BYTES = 8


class Spool:
    """Holds IDs as raw numbers, appended and read at any place."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self._folder = folder
        self._files = files
        self._numbers = self._new_file()
        self._length = 0

    def append(self, values: IdArray) -> int:
        """Write the values behind all others; return the place of the first."""
        place = self._length
        with self._translated():
            self._numbers.seek(place * _ID_BYTES)
            self._numbers.write(values.data)
        self._length += len(values)
        return place

    def read(self, place: int, into: IdArray) -> None:
        """Fill the array with the values from a place on."""
        with self._translated():
            self._numbers.seek(place * _ID_BYTES)
            if self._numbers.readinto(into.data) < into.nbytes:
                raise OSError(f"it does not hold {len(into)} IDs behind the first {place}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the disk refuses into ConfigurationError."""
        try:
            yield
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def _new_file(self) -> io.BufferedRandom:
        with self._translated():
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
        "room for 8 bytes per ID"
    )
