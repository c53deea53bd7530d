"""Fetches a job's results: streamed, resumed where that is safe, and never taken for whole when they are not.

ComplyqError
└── DownloadError
    ├── DownloadExpiredError        400, 403, 404 or 410: the results cannot be fetched any more
    ├── DownloadRefusedError        another refusal, which repeating will not change
    ├── DownloadInterruptedError    it broke off several times without progress; try again later
    ├── DownloadCorruptError        again and again, what came is not what the server says it stores
    ├── DownloadTooLargeError       more bytes than an answer to what was asked could have
    └── DownloadUnverifiableError   nothing in the answer would tell a whole body from a truncated one

Beside these: ForbiddenOriginError, RedirectRefusedError and UnauthorizedError of complyq_workers.x.errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import google_crc32c
import structlog

from complyq_config.errors import ComplyqError
from complyq_workers.x.error_bodies import describe
from complyq_workers.x.errors import AmbiguousAnswerError, UnauthorizedError
from complyq_workers.x.hashes import goog_hashes, number_in
from complyq_workers.x.inflate import Inflater, MalformedBodyError
from complyq_workers.x.messages import Reply, Request
from complyq_workers.x.origins import is_direct
from complyq_workers.x.patience import Patience, backoff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from complyq_workers.x.transport import StreamedReply, Transport

__all__ = [
    "DownloadCorruptError",
    "DownloadError",
    "DownloadExpiredError",
    "DownloadInterruptedError",
    "DownloadRefusedError",
    "DownloadTooLargeError",
    "DownloadUnverifiableError",
    "Downloaded",
    "Progress",
    "download",
    "is_direct",
    "most_bytes",
]

BLOCK_BYTES = 256 * 1024
"""How much is read at once: also on a slow line, progress is reported well within a lease."""

BYTES_PER_ID = 1024
"""What an answer may have for each ID that was asked for: six times X's longest line."""

SPARE_BYTES = 16 << 20
"""What it may have beside, so that an oddity of X's in a small job ends nothing."""

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


class DownloadTooLargeError(DownloadError):
    """There are more bytes than an answer to what was asked could have; the rest was not read."""


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


def most_bytes(ids: int) -> int:
    """Give the size, decoded, beyond which a download cannot be the results of so many IDs."""
    return ids * BYTES_PER_ID + SPARE_BYTES


def download(
    transport: Transport,
    url: str,
    into: BinaryIO,
    *,
    with_bearer: bool,
    max_bytes: int,
    on_progress: Progress | None = None,
    patience: Patience | None = None,
) -> Downloaded:
    """Fetch a body into an empty file, and make sure that it is whole.

    Args:
        transport: Sends the requests.
        url: The job's download URL.
        into: A file opened for writing; it is cut back to nothing where the download has to start over.
        with_bearer: The URL is one of the API itself: see `is_direct`.
        max_bytes: How large the body may be, on the wire and decoded: see `most_bytes`.
        on_progress: Told as bytes flow; whatever it raises ends the download, as it is.
        patience: How failures are borne.

    Raises:
        DownloadError: See the tree above.
        UnauthorizedError, ForbiddenOriginError, RedirectRefusedError: As the transport says.
    """
    request = Request("GET", url, bearer=with_bearer, endpoint="download")
    return _Download(transport, request, into, max_bytes, on_progress, patience or Patience()).run()


def read_announced(headers: Mapping[str, str]) -> Announced:
    """Read what the headers of a 200 say about the body.

    Raises:
        DownloadUnverifiableError: Neither length nor chunks nor checksum, or an encoding that is not understood.
        DownloadCorruptError: Two lengths that contradict each other.
    """
    encoding = headers.get("content-encoding", "").strip().lower().replace("identity", "")
    if encoding not in {"", "gzip", "x-gzip"}:
        raise DownloadUnverifiableError(
            f"The server answered in the encoding {encoding[:40]!r}, which was not asked for."
        )
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


class _Partial:
    """What has come so far of one body, in the file."""

    def __init__(self, announced: Announced, into: BinaryIO, max_bytes: int) -> None:
        """Begin a body at the file's start; what an earlier attempt left there is cut off.

        Raises:
            DownloadTooLargeError: It is announced to be too large.
        """
        self.announced = announced
        self.received = 0
        self._max_bytes = max_bytes
        self._require_room(announced.length or 0)
        self._written = 0
        self._crc32c = 0
        self._inflater = Inflater() if announced.encoding else None
        self._into = into
        into.seek(0)
        into.truncate()

    def take(self, block: bytes) -> None:
        """Write the next bytes.

        Raises:
            DownloadTooLargeError: There are too many of them, or they expand to too many.
            MalformedBodyError: They are no gzip, although they should be.
        """
        self.received += len(block)
        self._require_room(self.received)
        self._crc32c = google_crc32c.extend(self._crc32c, block)
        for piece in [block] if self._inflater is None else self._inflater.feed(block):
            self._require_room(self._written + len(piece))
            self._written += self._into.write(piece)

    def finish(self) -> Downloaded:
        """Make sure that the body is whole.

        Raises:
            DownloadInterruptedError: It is shorter than announced.
            DownloadCorruptError: It is longer, or another one.
        """
        length, crc32c = self.announced.length, self.announced.crc32c
        if length is not None and self.received < length:
            raise DownloadInterruptedError(f"The download ended after {self.received} of {length} bytes.")
        if length is not None and self.received > length:
            raise DownloadCorruptError(f"The download has {self.received} bytes where {length} were announced.")
        if crc32c is not None and crc32c != self._crc32c.to_bytes(4, "big"):
            raise DownloadCorruptError("The download's checksum is not that of the stored object.")
        if self._inflater is not None and not self._inflater.complete:
            raise DownloadCorruptError("The download's compressed body ends early.")
        self._into.flush()
        return Downloaded(self._written, crc32c is not None)

    def resume_headers(self) -> dict[str, str]:
        """Give the headers that ask for the rest of the same object; none where that is not safe."""
        if self.announced.validator is None or self.announced.length is None or not self.received:
            return {}
        return {"Range": f"bytes={self.received}-", "If-Match": self.announced.validator}

    def _require_room(self, size: int) -> None:
        if size > self._max_bytes:
            raise DownloadTooLargeError(
                f"The download has {size} bytes or more, where an answer to what was asked has {self._max_bytes} at most."
            )


@dataclass(slots=True)
class _Download:
    """One download, over one answer or several."""

    transport: Transport
    request: Request
    into: BinaryIO
    max_bytes: int
    on_progress: Progress | None
    patience: Patience
    partial: _Partial | None = None
    best: int = 0
    failures: int = 0
    renewed: bool = False

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
        wanted = self.partial.resume_headers() if self.partial is not None else {}
        request = replace(self.request, headers=wanted)
        with self.transport.stream(request) as answer:
            partial = self.partial = self._partial_for(answer, wanted)
            self._copy(answer, partial)
        return partial.finish()

    def _partial_for(self, answer: StreamedReply, wanted: Mapping[str, str]) -> _Partial:
        """Choose between carrying on and starting over, or raise what the answer means."""
        partial = self.partial
        if answer.status == 206 and wanted and partial is not None:
            if continues(answer.headers, partial.received, partial.announced):
                _log.info("download_resumed", offset=partial.received, total=partial.announced.length)
                return partial
            raise self._start_over("The server answered with another range than was asked for.")
        if answer.status == 200:
            return _Partial(read_announced(answer.headers), self.into, self.max_bytes)
        if wanted and answer.status in {400, 412, 416}:
            raise self._start_over(f"The server answered {answer.status} to a resumed download.")
        raise self._refused(answer.reply())

    def _copy(self, answer: StreamedReply, partial: _Partial) -> None:
        while block := answer.read(BLOCK_BYTES):
            _take(partial, block)
            if self.on_progress is not None:
                self.on_progress(partial.received, partial.announced.length)

    def _refused(self, reply: Reply) -> DownloadError | UnauthorizedError:
        error = refusal(reply, self.request.url)
        if isinstance(error, UnauthorizedError) and self.request.bearer and not self.renewed:
            self.renewed = True
            return DownloadInterruptedError(str(error)) if self.transport.renew_bearer() else error
        return error

    def _start_over(self, why: str) -> DownloadInterruptedError:
        self.partial = None
        return DownloadInterruptedError(why)

    def _bear(self, failure: DownloadError) -> None:
        """Wait after a failure, or give up after several without progress. Bytes fetched again are no progress."""
        received = self.partial.received if self.partial is not None else 0
        self.failures = 1 if received > self.best else self.failures + 1
        self.best = max(self.best, received)
        _log.warning("download_attempt_failed", received=received, failures=self.failures, reason=str(failure))
        if isinstance(failure, DownloadCorruptError):
            self.partial = None
        if self.failures >= self.patience.failures:
            raise failure
        self.patience.wait(backoff(self.failures))


def _take(partial: _Partial, block: bytes) -> None:
    try:
        partial.take(block)
        return
    except MalformedBodyError as error:
        failure = DownloadCorruptError(str(error))
    raise failure


def _agreed_length(headers: Mapping[str, str], *, as_stored: bool) -> int | None:
    length = number_in(headers, "content-length")
    stored = number_in(headers, "x-goog-stored-content-length") if as_stored else None
    if length is not None and stored is not None and length != stored:
        raise DownloadCorruptError(f"The server announced {length} bytes of an object of {stored}.")
    return stored if length is None else length


def _validator(headers: Mapping[str, str]) -> str | None:
    """Give the ETag by which a resumed download surely gets the same bytes: strong, where ranges are offered.

    The direct download is not documented to know ranges, so it is asked for them only where it says so itself.
    """
    etag = headers.get("etag", "")
    offered = headers.get("accept-ranges", "").strip().lower() == "bytes"
    return etag if offered and etag.startswith('"') and len(etag) > 2 else None
