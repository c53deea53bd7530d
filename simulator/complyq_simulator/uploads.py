"""Reading an uploaded file: which lines are IDs, which are not."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from complyq_simulator import crc32c
from complyq_simulator.outcomes import U64

# Small enough that the temporary arrays stay in the processor's cache: twice as fast as blocks of 16 MB.
_BLOCK_BYTES = 1 << 20
_LONGEST_ID = 19  # digits: X's specification gives IDs as ^[0-9]{1,19}$
_LONGEST_ECHO = 200  # bytes of an invalid line that its answer repeats

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Digest:
    """What Cloud Storage tells about a stored object; checksums in base64, and of composed objects no MD5."""

    size: int
    crc32c: str
    md5: str | None


def digest(path: Path, *, with_md5: bool = True) -> Digest:
    """Compute the checksums of a file."""
    md5, checksum, size = hashlib.md5(usedforsecurity=False), 0, 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            if with_md5:
                md5.update(block)
            checksum = crc32c.extend(checksum, block)
            size += len(block)
    return Digest(size, crc32c.encoded(checksum), b64encode(md5.digest()).decode() if with_md5 else None)


def blocks_of_ids(path: Path, invalid: dict[str, None]) -> Iterator[U64]:
    """Yield the IDs of a file, some ten thousand at a time; lines that are none are added to `invalid`."""
    for block in _blocks_of_lines(path):
        yield ids_of(block, invalid)


def ids_of(block: bytes, invalid: dict[str, None]) -> U64:
    """Read whole lines (each ended by a newline); empty ones do not count."""
    text = np.frombuffer(block, dtype=np.uint8)
    starts, lengths = _lines(text)
    groups = np.minimum(lengths, _LONGEST_ID + 1)  # the last one is of those too long
    found: list[U64] = []
    for length in np.flatnonzero(np.bincount(groups)).tolist():
        chosen = groups == length
        values, valid = _decimals(text, starts[chosen], length)
        found.append(values[valid])
        _reject(block, starts[chosen][~valid], lengths[chosen][~valid], invalid)
    return np.concatenate(found) if found else np.empty(0, dtype=np.uint64)


def _reject(block: bytes, starts: Indices, lengths: Indices, invalid: dict[str, None]) -> None:
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        invalid[block[start : start + min(length, _LONGEST_ECHO)].decode("utf-8", "replace")] = None


def _blocks_of_lines(path: Path) -> Iterator[bytes]:
    rest = b""
    with path.open("rb") as file:
        while read := file.read(_BLOCK_BYTES):
            lines, newline, rest = (rest + read).rpartition(b"\n")
            yield lines + newline
    yield rest + b"\n"


def _lines(text: Bytes) -> tuple[Indices, Indices]:
    ends = np.flatnonzero(text == ord("\n"))
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1)) if len(ends) else ends
    lengths = ends - starts
    lengths -= (lengths > 0) & (text[ends - 1] == ord("\r"))
    filled = lengths > 0
    return starts[filled], lengths[filled]


def _decimals(text: Bytes, starts: Indices, length: int) -> tuple[U64, NDArray[np.bool_]]:
    """Read the numbers of `length` digits that begin at `starts`; the second array says which are valid IDs."""
    values = np.zeros(len(starts), dtype=np.uint64)
    if length > _LONGEST_ID:
        return values, np.zeros(len(starts), dtype=np.bool_)
    valid = text[starts] != ord("0")
    for place in range(length):
        digit = text[starts + place] - np.uint8(ord("0"))
        valid &= digit <= 9
        values *= np.uint64(10)
        values += digit
    return values, valid
