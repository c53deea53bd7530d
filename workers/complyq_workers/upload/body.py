"""A payload on its way: read as it is sent, counted and hashed as it leaves."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO

import google_crc32c

from complyq_workers.upload.errors import CorruptUploadError, PayloadMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from complyq_workers.upload.protocol import Hashes

BLOCK_BYTES = 1 << 20
BLOCKS_BEHIND = 16
"""How many blocks may have been sent and still wait, in memory, for being hashed."""


class RunningDigest:
    """CRC-32C and MD5 of the bytes seen so far, without a gap from the payload's first byte on."""

    def __init__(self) -> None:
        self.position = 0
        self._crc32c = 0
        self._md5 = _Md5Aside()

    def seek(self, offset: int) -> None:
        """Announce where the next bytes come from: the start begins anew, a jump elsewhere ends the digest."""
        if offset == 0:
            self.position, self._crc32c, self._md5 = 0, 0, _Md5Aside()
        elif offset != self.position:
            self.position = -1

    def update(self, block: bytes) -> None:
        """Take in the next bytes."""
        if self.position < 0:
            return
        self.position += len(block)
        self._crc32c = google_crc32c.extend(self._crc32c, block)
        self._md5.update(block)

    def verify(self, hashes: Hashes, total: int) -> bool:
        """Compare with what the server stored.

        Returns:
            False where there is nothing to compare: not all `total` bytes went through here, or the server
            gave no hash.

        Raises:
            CorruptUploadError: The server stored other bytes.
        """
        if self.position != total:
            return False
        pairs = [(hashes.crc32c, self._crc32c.to_bytes(4, "big")), (hashes.md5, self._md5.digest())]
        given = [(theirs, ours) for theirs, ours in pairs if theirs is not None]
        if any(theirs != ours for theirs, ours in given):
            raise CorruptUploadError("The server stored other bytes than the payload's: the checksums differ.")
        return bool(given)


class _Md5Aside:
    """MD5 in a thread, which ends with this object: MD5 is slower than a fast network, and lets others run meanwhile."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._thread = ThreadPoolExecutor(1, "md5")
        self._waiting: deque[Future[None]] = deque()

    def update(self, block: bytes) -> None:
        """Take in the next bytes, as soon as memory has room for them."""
        if len(self._waiting) >= BLOCKS_BEHIND:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._md5.update, block))

    def digest(self) -> bytes:
        """Return the MD5 of all that was taken in."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._md5.digest()


class PayloadBody:
    """The body of one request: exactly `length` bytes of an open stream, read block by block as they are sent.

    `failure` keeps what reading raised, so that it is not taken for a failure of the network.
    """

    def __init__(self, stream: BinaryIO, length: int, digest: RunningDigest, on_bytes: Callable[[int], None]) -> None:
        """Wrap a stream.

        Args:
            stream: Open where the body begins.
            length: How many bytes to send.
            digest: Takes in each block.
            on_bytes: Called before each block with the number of bytes handed over so far; may raise to stop.
        """
        self.failure: BaseException | None = None
        self._stream = stream
        self._length = length
        self._sent = 0
        self._digest = digest
        self._on_bytes = on_bytes

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        """Give the blocks; requests takes only iterables for streams, urllib3 then calls `read`."""
        return iter(lambda: self.read(BLOCK_BYTES), b"")

    def read(self, size: int = -1, /) -> bytes:
        """Give at most `size` bytes; empty once `length` bytes were given."""
        try:
            self._on_bytes(self._sent)
            return self._next(self._length - self._sent if size < 0 else min(size, self._length - self._sent))
        except BaseException as error:
            self.failure = error
            raise

    def _next(self, size: int) -> bytes:
        block = self._stream.read(size) if size else b""
        if size and not block:
            missing = self._length - self._sent
            raise PayloadMismatchError(f"The stored payload ends {missing} bytes early.", offset=self._sent)
        self._sent += len(block)
        self._digest.update(block)
        return block
