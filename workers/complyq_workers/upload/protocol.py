"""The resumable protocol of Cloud Storage and the plain PUTs, as pure functions: what to send, what answers mean.

https://cloud.google.com/storage/docs/performing-resumable-uploads#xml-api, and the status checks on that page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from complyq_workers.upload.errors import (
    CorruptUploadError,
    SessionGoneError,
    StartRefusedError,
    TooLargeError,
    TransientUploadError,
    UploadError,
    UploadRefusedError,
    WindowExpiredError,
)
from complyq_workers.x.answers import date_from
from complyq_workers.x.error_bodies import describe, xml_code
from complyq_workers.x.errors import UnauthorizedError
from complyq_workers.x.hashes import goog_hashes, number_in
from complyq_workers.x.messages import Reply, Request, StreamedBody
from complyq_workers.x.origins import resolve

CHUNK_UNIT = 256 * 1024
"""Every request but the last carries a multiple of this many bytes."""

CONTENT_TYPE = "text/plain"
"""It is signed: any other value is answered with 403 SignatureDoesNotMatch."""

_RANGE = re.compile(r"(?:bytes[= ])?\s*0-(\d{1,19})")
_TRANSIENT = frozenset({408, 429})
_GONE = frozenset({404, 410})
_NOT_THIS_WAY = frozenset({400, 405, 411, 501})
_EXPIRED_CODES = frozenset({"ExpiredToken", "RequestTimeTooSkewed"})


@dataclass(frozen=True, slots=True)
class Hashes:
    """What the server says of the bytes it stored; None where it says nothing."""

    crc32c: bytes | None = None
    """The CRC-32C, 4 bytes, big-endian."""

    md5: bytes | None = None
    length: int | None = None
    date: datetime | None = None
    """The server's clock when it said so."""


@dataclass(frozen=True, slots=True)
class Persisted:
    """The server has this many bytes and wants more."""

    offset: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The server has everything."""

    hashes: Hashes


def prepare_start(upload_url: str) -> Request:
    """Ask for a resumable session. All three headers are signed, so none may be missing or different."""
    headers = {"Content-Type": CONTENT_TYPE, "Content-Length": "0", "x-goog-resumable": "start"}
    return Request("POST", upload_url, headers, endpoint="session")


def read_start(reply: Reply, upload_url: str) -> str:
    """Read the session URI, which is a credential itself.

    Raises:
        StartRefusedError: This URL allows no resumable upload.
        WindowExpiredError, UploadRefusedError, TransientUploadError: As in `read_progress`.
        ForbiddenOriginError: The session URI is malformed.
    """
    if reply.status in {200, 201}:
        return _session_uri(reply, upload_url)
    unsigned = reply.status == 403 and xml_code(reply.body) == "SignatureDoesNotMatch"
    if unsigned or (reply.status in _NOT_THIS_WAY and not _expired(reply)):
        raise StartRefusedError(_message("start of a session", reply, upload_url), status=reply.status)
    raise _error_of(reply, "start of a session", upload_url)


def prepare_query(session_uri: str, total: int) -> Request:
    """Ask how many bytes the server has."""
    headers = {"Content-Range": f"bytes */{total}", "Content-Length": "0"}
    return Request("PUT", session_uri, headers, resumable=True, endpoint="offset")


def prepare_chunk(session_uri: str, first: int, body: StreamedBody, total: int) -> Request:
    """Send the bytes from `first` on, as many as the body holds (at least one)."""
    headers = {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{total}"}
    return Request("PUT", session_uri, headers, body, resumable=True, endpoint="upload")


def chunk_length(offset: int, total: int, chunk_bytes: int) -> int:
    """Tell how many bytes the next request carries: all that is left, or one chunk.

    Args:
        offset: Where it starts, in bytes.
        total: The payload's size in bytes.
        chunk_bytes: 0 for all that is left, else rounded down to a multiple of 256 KiB (at least one).
    """
    left = total - offset
    whole_units = max(chunk_bytes // CHUNK_UNIT, 1) * CHUNK_UNIT
    return min(whole_units, left) if chunk_bytes > 0 else left


def read_progress(reply: Reply, total: int, session_uri: str = "") -> Persisted | Finished:
    """Read the answer to a query or to sent bytes.

    308 with a Range tells what was persisted, which may be less than was sent; 308 without one: nothing yet.

    Args:
        reply: The server's answer.
        total: The payload's size in bytes.
        session_uri: Only to keep it out of messages.

    Raises:
        SessionGoneError: 404 or 410.
        TransientUploadError: 408, 429 or 5xx: ask again later.
        WindowExpiredError: 403, or 400 for an expired signature.
        TooLargeError: 413.
        UploadRefusedError: Any other refusal.
        UnauthorizedError: 401.
        CorruptUploadError: More was persisted than there is, or the answer makes no sense.
    """
    if reply.status in {200, 201}:
        return Finished(read_stored(reply, total))
    if reply.status == 308:
        return Persisted(_persisted(reply.headers.get("range"), total))
    if reply.status in _GONE:
        raise SessionGoneError(_message("the session", reply, session_uri), status=reply.status)
    raise _error_of(reply, "the upload", session_uri)


def is_doubtful(told: Persisted, known: int, sent_to: int) -> bool:
    """Tell whether an offset is to be asked for once more before it is believed.

    Beyond what was sent, another worker may be writing to the same session. Below what was known, the server may have
    answered from an old replica. If the second answer is below again, bytes were lost.
    """
    return not known <= told.offset <= sent_to


def confirm(told: Persisted | Finished, known: int) -> Persisted | Finished:
    """Believe the second answer, unless it goes backwards too.

    Raises:
        CorruptUploadError: The server lost bytes that it had said to have.
    """
    if isinstance(told, Persisted) and told.offset < known:
        message = f"The server had {known} bytes of the upload and now has {told.offset}: stopped."
        raise CorruptUploadError(message, offset=told.offset)
    return told


def prepare_whole(url: str, body: StreamedBody | bytes, *, direct: bool) -> Request:
    """Send everything in one PUT; with the bearer only to the API itself."""
    length = {"Content-Length": str(len(body))}
    return Request("PUT", url, {"Content-Type": CONTENT_TYPE, **length}, body, bearer=direct, endpoint="upload")


def read_whole(reply: Reply, total: int, url: str) -> Hashes:
    """Read the answer to one whole PUT.

    Raises:
        TooLargeError, WindowExpiredError, UploadRefusedError, UnauthorizedError, TransientUploadError: As in
            `read_progress`.
        CorruptUploadError: The server stored another number of bytes.
    """
    if reply.status == 410:
        raise WindowExpiredError(_message("the upload", reply, url), status=reply.status)
    if not 200 <= reply.status < 300:
        raise _error_of(reply, "the upload", url)
    return read_stored(reply, total)


def read_stored(reply: Reply, total: int) -> Hashes:
    """Read what the server says it stored.

    Raises:
        CorruptUploadError: Another number of bytes than the payload has.
    """
    length = number_in(reply.headers, "x-goog-stored-content-length")
    if length is not None and length != total:
        raise CorruptUploadError(f"The server stored {length} bytes of a payload of {total}.", offset=length)
    found = goog_hashes(reply.headers)
    return Hashes(found.get("crc32c"), found.get("md5"), length, date_from(reply.headers))


def _session_uri(reply: Reply, upload_url: str) -> str:
    location = reply.headers.get("location", "")
    if not location:
        message = f"The server answered {reply.status} to the start of a session, without saying where it is."
        raise UploadRefusedError(message, status=reply.status)
    return resolve(upload_url, location)


def _persisted(range_header: str | None, total: int) -> int:
    if range_header is None:
        return 0
    found = _RANGE.fullmatch(range_header.strip())
    if found is None:
        raise CorruptUploadError("The server answered with a range that does not begin at 0.")
    offset = int(found.group(1)) + 1
    if offset > total:
        raise CorruptUploadError(f"The server says it has {offset} bytes of a payload of {total}.", offset=total)
    return offset


def _error_of(reply: Reply, what: str, url: str) -> UploadError | UnauthorizedError:
    """Choose the error for a refusal that means the same everywhere."""
    message = _message(what, reply, url)
    if reply.status in _TRANSIENT or reply.status >= 500:
        return TransientUploadError(message, status=reply.status)
    if reply.status == 401:
        return UnauthorizedError(message, status=reply.status)
    if reply.status == 413:
        return TooLargeError(message, status=reply.status)
    return _refusal(reply)(message, status=reply.status)


def _refusal(reply: Reply) -> type[UploadError]:
    """Tell an expired window from a refusal: a wrong signature is our mistake, not the end of the window."""
    wrong_signature = xml_code(reply.body) == "SignatureDoesNotMatch"
    if (reply.status == 403 and not wrong_signature) or (reply.status == 400 and _expired(reply)):
        return WindowExpiredError
    return UploadRefusedError


def _expired(reply: Reply) -> bool:
    return xml_code(reply.body) in _EXPIRED_CODES or "expired" in describe(reply.body).lower()


def _message(what: str, reply: Reply, url: str) -> str:
    return f"The server answered {reply.status} to {what}: {describe(reply.body, url) or 'no reason given'}"
