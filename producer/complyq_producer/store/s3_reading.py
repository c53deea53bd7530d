"""A forward stream of one S3 object that survives broken connections and never ends early in silence."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import structlog

from complyq_producer.errors import StoreError, StoreUnavailableError
from complyq_producer.store.s3_errors import VENDOR_ERRORS, PreconditionError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

_log = structlog.get_logger(__name__)

_FAILURES_WITHOUT_PROGRESS = 5
_FIRST_PAUSE_SECONDS = 0.2
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class Body(Protocol):
    """The body of an answer, as botocore gives it."""

    def read(self, amt: int | None = None) -> bytes:
        """Return up to `amt` bytes; none at the end."""
        ...

    def close(self) -> None:
        """Give the connection up."""
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """One answer: the object's bytes from `offset` on, out of `total`."""

    body: Body
    offset: int
    total: int
    etag: str
    modified_at: datetime


def fetched_from(answer: "GetObjectOutputTypeDef", offset: int) -> Fetched:
    """Read the answer to a request for the bytes from `offset` on; StoreError if it holds other bytes."""
    total = answer["ContentLength"]
    if offset:
        ranged = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
        if ranged is None or int(ranged[1]) != offset:
            answer["Body"].close()
            raise StoreError(f"the store was asked for bytes from {offset} on and answered others: it ignores Range")
        total = int(ranged[2])
    return Fetched(answer["Body"], offset, total, answer["ETag"], answer["LastModified"].replace(microsecond=0))


class ResumingReader(io.RawIOBase):
    """Reads what was fetched to the object's end; where the connection breaks, the rest of the same object is fetched.

    Args:
        fetched: the first answer.
        refetch: fetches the bytes from an offset on, provided that the object still has this etag.
        sleep: pauses for so many seconds.
    """

    def __init__(
        self, fetched: Fetched, refetch: Callable[[int, str], Fetched], sleep: Callable[[float], None]
    ) -> None:
        self._fetched = fetched
        self._refetch = refetch
        self._sleep = sleep
        self._position = fetched.offset
        self._failures = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill the buffer as far as one read goes; 0 at the object's end only.

        Raises:
            StoreUnavailableError: no byte came in several attempts.
        """
        view = memoryview(buffer).cast("B")
        while self._position < self._fetched.total:
            if data := self._read(min(len(view), self._fetched.total - self._position)):
                view[: len(data)] = data
                self._position += len(data)
                self._failures = 0
                return len(data)
        return 0

    def close(self) -> None:
        """Give the connection up."""
        if not self.closed:
            self._fetched.body.close()
        super().close()

    def _read(self, size: int) -> bytes:
        """Return some bytes, or none after a failure that was mended or may be mended by trying again."""
        try:
            if data := self._fetched.body.read(size):
                return data
            self._recover("the body was shorter than announced")
        except (*VENDOR_ERRORS, OSError) as error:
            self._recover(f"{type(error).__name__}: {error}")
        return b""

    def _recover(self, reason: str) -> None:
        self._fetched.body.close()
        self._failures += 1
        if self._failures > _FAILURES_WITHOUT_PROGRESS:
            raise StoreUnavailableError(
                f"reading stopped at byte {self._position} of {self._fetched.total}: {reason}; try again later"
            )
        _log.warning("store_read_resumed", offset=self._position, total=self._fetched.total, reason=reason)
        self._sleep(_FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1))
        self._reopen()

    def _reopen(self) -> None:
        try:
            self._fetched = self._refetch(self._position, self._fetched.etag)
        except PreconditionError as error:
            raise StoreError(f"the object changed while it was read: {error}") from error
        except StoreUnavailableError as error:
            _log.warning("store_reopen_failed", offset=self._position, reason=str(error))
