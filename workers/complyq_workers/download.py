"""Fetches a job's results: streamed, resumed where that is safe, and never taken for whole when they are not.

ComplyqError
└── DownloadError
    ├── DownloadExpiredError        400, 403, 404 or 410: the results cannot be fetched any more
    ├── DownloadRefusedError        another refusal, which repeating will not change
    ├── DownloadInterruptedError    it broke off several times without progress; try again later
    ├── DownloadCorruptError        again and again, what came is not what the server says it stores
    └── DownloadUnverifiableError   nothing in the answer would tell a whole body from a truncated one

Beside these: ForbiddenOriginError, RedirectRefusedError and UnauthorizedError of complyq_workers.x.errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import structlog

from complyq_config.errors import ComplyqError
from complyq_workers.x.error_bodies import describe
from complyq_workers.x.errors import AmbiguousAnswerError, UnauthorizedError
from complyq_workers.x.hashes import goog_hashes
from complyq_workers.x.inflate import Inflater
from complyq_workers.x.messages import Reply, Request
from complyq_workers.x.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Mapping

    from complyq_workers.x.transport import Transport

BLOCK_BYTES = 256 * 1024
"""How much is read at once: also on a slow line, progress is reported well within a lease."""

Progress = Callable[[int, int | None], None]
"""Is told how many bytes came over the wire, and of how many (None: unknown)."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)")
_log = structlog.get_logger(__name__)


class DownloadError(ComplyqError):
    """A download did not finish."""


class DownloadExpiredError(DownloadError):
    """The results cannot be fetched any more, at least not by this URL."""


class DownloadRefusedError(DownloadError):
    """The server refused the download, and will refuse it again."""


class DownloadInterruptedError(DownloadError):
    """The download broke off; trying again later may help."""


class DownloadCorruptError(DownloadError):
    """What came is not what the server says it stores."""


class DownloadUnverifiableError(DownloadError):
    """The answer tells neither its length nor a checksum, so a truncated one could not be told from a whole one."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A whole download."""

    bytes: int
    """How many bytes were written, after decoding."""

    crc32c_verified: bool


@dataclass(frozen=True, slots=True)
class Announced:
    """What the headers of a whole answer say about its body."""

    length: int | None
    """Bytes over the wire."""

    chunked: bool
    crc32c: bytes | None
    encoding: str
    validator: str | None
    """The strong ETag where the server also accepts ranges, else None."""


def download(
    transport: Transport,
    url: str,
    into: BinaryIO,
    *,
    with_bearer: bool,
    on_progress: Progress | None = None,
    patience: Patience | None = None,
) -> Downloaded:
    """Fetch a body into an empty file, and make sure that it is whole.

    Args:
        transport: Sends the requests.
        url: The job's download URL.
        into: A file opened for writing; it is cut back to nothing where the download has to start over.
        with_bearer: The URL is one of the API itself: see `complyq_workers.x.origins.is_direct`.
        on_progress: Told as bytes flow; whatever it raises ends the download, as it is.
        patience: How failures are borne.

    Raises:
        DownloadError: See the tree above.
        UnauthorizedError, ForbiddenOriginError, RedirectRefusedError: As the transport says.
    """
    request = Request("GET", url, bearer=with_bearer)
    return _Download(transport, request, into, on_progress, patience or Patience()).run()


def read_announced(headers: Mapping[str, str]) -> Announced:
    """Read what the headers of a 200 say about the body.

    Raises:
        DownloadUnverifiableError: Neither length nor chunks nor checksum, or an encoding that is not understood.
        DownloadCorruptError: Two lengths that contradict each other.
    """
    encoding = headers.get("content-encoding", "").strip().lower().replace("identity", "")
    if encoding not in {"", "gzip", "x-gzip"}:
        raise DownloadUnverifiableError(f"The server answered in the encoding {encoding[:40]!r}, which was not asked for.")
    as_stored = headers.get("x-goog-stored-content-encoding", "identity").lower() in {encoding, encoding or "identity"}
    found = Announced(
        length=_agreed_length(headers, as_stored=as_stored),
        chunked=headers.get("transfer-encoding", "").lower().endswith("chunked"),
        crc32c=goog_hashes(headers).get("crc32c") if as_stored else None,
        encoding=encoding,
        validator=_validator(headers) if not encoding else None,
    )
    if found.length is None and not found.chunked and found.crc32c is None:
        raise DownloadUnverifiableError("The answer tells neither its length nor a checksum.")
    return found


def continues(headers: Mapping[str, str], at: int, announced: Announced) -> bool:
    """Tell whether a 206 carries on exactly where the last answer broke off, with the same object."""
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None or headers.get("content-encoding"):
        return False
    same = headers.get("etag", announced.validator) == announced.validator
    return same and int(found[1]) == at and found[2] in {"*", str(announced.length)}


def refusal(reply: Reply, url: str) -> DownloadError | UnauthorizedError:
    """Choose the error for an answer that is no download."""
    message = f"The server answered {reply.status} to the download: {describe(reply.body, url) or 'no reason given'}"
    if reply.status == 401:
        return UnauthorizedError(message, status=reply.status)
    if reply.status in {400, 403, 404, 410}:
        return DownloadExpiredError(message)
    if reply.status in {408, 429} or reply.status >= 500 or reply.status < 300:
        return DownloadInterruptedError(message)
    return DownloadRefusedError(message)


@dataclass(slots=True)
class _Download:
    """One download, over one answer or several."""

    transport: Transport
    request: Request
    into: BinaryIO
    on_progress: Progress | None
    patience: Patience
    announced: Announced | None = None
    received: int = 0
    written: int = 0
    best: int = 0
    failures: int = 0
    renewed: bool = False
    crc32c: int = field(default=0, repr=False)
    inflater: Inflater | None = None

    def run(self) -> Downloaded:
        while True:
            try:
                return self._attempt()
            except AmbiguousAnswerError as error:
                failure: DownloadError = DownloadInterruptedError(str(error))
            except (DownloadInterruptedError, DownloadCorruptError) as error:
                failure = error
            self._bear(failure)

    def _attempt(self) -> Downloaded:
        with self.transport.stream(self._next_request()) as answer:
            if self._begins(answer):
                self._copy(answer)
        return self._checked()

    def _next_request(self) -> Request:
        if not self._resumable():
            return self.request
        assert self.announced is not None  # noqa: S101 -- for the type checker: _resumable looked
        headers = {"Range": f"bytes={self.received}-", "If-Match": self.announced.validator or ""}
        return Request("GET", self.request.url, headers, bearer=self.request.bearer)
