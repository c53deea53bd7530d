"""A payload on its way: read as it is sent, counted and hashed as it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import google_crc32c

from complyq_workers.upload.errors import CorruptUploadError, PayloadMismatchError
from complyq_workers.x.connection import BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from complyq_workers.upload.protocol import Hashes


class RunningDigest:
    """CRC-32C of the bytes seen so far, without a gap from the payload's first byte on.

    MD5 takes as long as all the rest of an upload, so it is left to `verify_hashes`, for servers that give nothing else.
    """

    def __init__(self) -> None:
        self.position = 0
        self._crc32c = 0

    def seek(self, offset: int) -> None:
        """Announce where the next bytes come from: the start begins anew, a jump elsewhere ends the digest."""
        if offset == 0:
            self.position = self._crc32c = 0
        elif offset != self.position:
            self.position = -1

    def update(self, block: bytes) -> None:
        """Take in the next bytes."""
        if self.position < 0:
            return
        self.position += len(block)
        self._crc32c = google_crc32c.extend(self._crc32c, block)

    def verify(self, hashes: Hashes, total: int) -> bool:
        """Compare with what the server stored.

        Returns:
            False where there is nothing to compare: not all `total` bytes went through here, or the server
            gave no CRC-32C.

        Raises:
            CorruptUploadError: The server stored other bytes.
        """
        if self.position != total or hashes.crc32c is None:
            return False
        require_same(hashes.crc32c, self._crc32c.to_bytes(4, "big"))
        return True


def require_same(theirs: bytes, ours: bytes) -> None:
    """Compare checksums; raises CorruptUploadError if they differ."""
    if theirs != ours:
        raise CorruptUploadError("The server stored other bytes than the payload's: the checksums differ.")


class PayloadBody:
    """The body of one request: exactly `length` bytes of an open stream, read block by block as they are sent.

    `failure` keeps what reading raised, so that it is not taken for a failure of the network. `sent` tells how many
    bytes were handed over.
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
        self.sent = 0
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
            self._on_bytes(self.sent)
            return self._next(self._length - self.sent if size < 0 else min(size, self._length - self.sent))
        except BaseException as error:
            self.failure = error
            raise

    def _next(self, size: int) -> bytes:
        block = self._stream.read(size) if size else b""
        if size and not block:
            missing = self._length - self.sent
            raise PayloadMismatchError(f"The stored payload ends {missing} bytes early.", offset=self.sent)
        self.sent += len(block)
        self._digest.update(block)
        return block
