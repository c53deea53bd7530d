"""The objects of each part: plain lines while they are gathered, then gzip with bytes that only they decide."""

import gzip
import shutil
from collections.abc import Iterable
from pathlib import Path

# Level 1 of zlib makes results about six times smaller; higher levels cost twice the time for a tenth less.
_LEVEL = 1
_BLOCK_BYTES = 1 << 20


def append_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Append lines, each with its newline. Files are opened for each call, so that a job may have many parts."""
    with path.open("ab", buffering=_BLOCK_BYTES) as file:
        file.writelines(lines)


def compress(plain: Path, packed: Path) -> None:
    """Write the content of `plain` (nothing, if there is no such file) to `packed`, and remove `plain`.

    The header carries neither time nor name: the same lines give the same bytes.
    """
    with (
        packed.open("wb") as file,
        gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as stream,
    ):
        if plain.exists():
            with plain.open("rb") as lines:
                shutil.copyfileobj(lines, stream, _BLOCK_BYTES)
    plain.unlink(missing_ok=True)
