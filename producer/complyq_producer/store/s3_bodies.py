"""Slices of one file as the bodies of requests that are under way at the same time, none of them held in memory."""

import base64
import hashlib
import io
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK_BYTES = 256 << 10


def slices(source: BinaryIO, size: int, length: int) -> Iterator[BinaryIO]:
    """Yield `size` bytes of a seekable file from its position on as files of `length` bytes; the last has what is left.

    They may be read by a thread each. Nobody else may use the file meanwhile.
    """
    start, lock = source.tell(), threading.Lock()
    for offset in range(0, size, length):
        raw = _Slice(source, lock, start + offset, min(length, size - offset))
        yield io.BufferedReader(raw, _BLOCK_BYTES)


def md5_of(body: BinaryIO) -> str:
    """Return the MD5 of a file as S3 wants it, and leave the file at its beginning."""
    md5 = hashlib.md5(usedforsecurity=False)
    while block := body.read(_BLOCK_BYTES):
        md5.update(block)
    body.seek(0)
    return base64.b64encode(md5.digest()).decode()


class _Slice(io.RawIOBase):
    def __init__(self, source: BinaryIO, lock: threading.Lock, start: int, size: int) -> None:
        self._source = source
        self._lock = lock
        self._start = start
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        wanted = min(len(view), self._size - self._place)
        with self._lock:
            self._source.seek(self._start + self._place)
            block = self._source.read(wanted)
        if len(block) < wanted:
            raise OSError("a file became shorter while it was sent")
        view[: len(block)] = block
        self._place += len(block)
        return len(block)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place
