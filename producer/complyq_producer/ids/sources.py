"""The bytes of a file, plain or gzip, whatever way it was given."""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from complyq_producer.errors import TruncatedInputError, UnreadableInputError

_BLOCK_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_GZIP_WINDOW = 31  # zlib's word for: expect gzip's header and check its trailer


def path_blocks(path: Path) -> Iterator[bytes]:
    """Yield the text of the file at this path in blocks of up to a MiB.

    Raises:
        UnreadableInputError: there is none, or it cannot be read.
    """
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise _unreadable(str(path), error) from error
    with file:
        yield from file_blocks(file)


def file_blocks(file: IO[str] | IO[bytes]) -> Iterator[bytes]:
    """Yield the text of an open file from its position on, without the byte order mark, in blocks of up to a MiB.

    Raises:
        UnreadableInputError: it cannot be read or is not text; TruncatedInputError if its gzip ends early.
    """
    name = str(getattr(file, "name", "the input"))
    blocks = _with_head(_read(file, name), len(_GZIP))
    head = next(blocks, b"")
    if head.startswith(_UTF16_MARKS):
        raise UnreadableInputError(f"{name} is UTF-16: save it as UTF-8")
    whole = _chained(head, blocks)
    yield from _without_mark(_unpacked(whole, name) if head.startswith(_GZIP) else whole)


def _read(file: IO[str] | IO[bytes], name: str) -> Iterator[bytes]:
    while True:
        try:
            block = file.read(_BLOCK_BYTES)
            encoded = block.encode(errors="surrogateescape") if isinstance(block, str) else block
        except (OSError, ValueError) as error:  # UnicodeError is a ValueError, and so is reading a closed file
            raise _unreadable(name, error) from error
        if not isinstance(encoded, bytes):
            raise UnreadableInputError(f"{name} gives {type(block).__name__} instead of bytes or text when it is read")
        if not encoded:
            return
        yield encoded


def _unpacked(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Unpack gzip of one or more members, each to its end and checked against its checksum.

    Zeros behind a member are padding, as for gzip itself.
    """
    member: zlib._Decompress | None = None
    for block in blocks:
        packed = block
        while packed := packed if member else packed.lstrip(b"\0"):
            member = member or zlib.decompressobj(_GZIP_WINDOW)
            yield _unpack(member, packed, name)
            packed = member.unused_data if member.eof else member.unconsumed_tail
            member = None if member.eof else member
    if member:
        raise TruncatedInputError(f"{name} ends in the middle of its gzip data: IDs are missing; fetch it again")


def _unpack(member: "zlib._Decompress", packed: bytes, name: str) -> bytes:
    try:
        return member.decompress(packed, _BLOCK_BYTES)
    except zlib.error as error:
        raise TruncatedInputError(f"{name} holds damaged gzip data ({error}): fetch or pack it again") from error


def _without_mark(blocks: Iterable[bytes]) -> Iterator[bytes]:
    whole = _with_head((block for block in blocks if block), len(_BYTE_ORDER_MARK))
    yield next(whole, b"").removeprefix(_BYTE_ORDER_MARK)
    yield from whole


def _with_head(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Join the first blocks until they hold `size` bytes: pipes may give one byte at a time."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= size:
            break
    yield head
    yield from blocks


def _chained(head: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
    yield head
    yield from blocks


def _unreadable(name: str, error: Exception) -> UnreadableInputError:
    reason = getattr(error, "strerror", None) or str(error)
    return UnreadableInputError(f"cannot read {name}: {reason}")
