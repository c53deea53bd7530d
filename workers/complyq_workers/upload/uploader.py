"""Sends a payload: the thin shell around the protocol. What the server has it tells itself, so any worker can go on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import structlog

from complyq_workers.upload.body import PayloadBody, RunningDigest, require_same
from complyq_workers.upload.errors import (
    CorruptUploadError,
    PayloadMismatchError,
    TransientUploadError,
    UploadInterruptedError,
    UploadPausedError,
)
from complyq_workers.upload.protocol import (
    Finished,
    Hashes,
    Persisted,
    chunk_length,
    confirm,
    is_doubtful,
    prepare_chunk,
    prepare_query,
    prepare_start,
    prepare_whole,
    read_progress,
    read_start,
    read_whole,
)
from complyq_workers.x.connection import BLOCK_BYTES
from complyq_workers.x.errors import AmbiguousAnswerError, UnauthorizedError
from complyq_workers.x.patience import Patience, backoff

if TYPE_CHECKING:
    from complyq_workers.x.transport import Transport

Source = Callable[[int], AbstractContextManager[BinaryIO]]
"""Opens the payload at an offset in bytes."""

Progress = Callable[[int, int], None]
"""Is told the offset and the total, in bytes."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The server has the whole payload. `verified`: its checksums were compared with what was sent."""

    hashes: Hashes
    verified: bool


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one run may take, who is told how far it is, and how it bears failures.

    Attributes:
        on_progress: Called with (offset, total) in bytes as they flow; whatever it raises ends the run, as it is.
        on_persisted: Called with the offset that the server has told: what it has will not have to be sent again.
        deadline: The instant of `now` at which the run pauses; None: never.
        patience: How failures are borne.
        now: Seconds that only grow.
    """

    on_progress: Progress | None = None
    on_persisted: Callable[[int], None] | None = None
    deadline: float | None = None
    patience: Patience = field(default_factory=Patience)
    now: Callable[[], float] = time.monotonic

    def step(self, offset: int, total: int) -> None:
        """Tell how far the run is.

        Raises:
            UploadPausedError: The deadline has come.
        """
        if self.on_progress is not None:
            self.on_progress(offset, total)
        if self.deadline is not None and self.now() >= self.deadline:
            raise UploadPausedError(f"Paused after about {offset} of {total} bytes.", offset=offset)


def start_session(transport: Transport, upload_url: str) -> str:
    """Start a resumable session and give its URI, a credential.

    Raises:
        StartRefusedError: This URL allows no resumable upload: use `put_whole`.
        WindowExpiredError, UploadRefusedError: As the server said.
        UploadInterruptedError: No answer, or a passing failure; try again.
        ForbiddenOriginError: The URL, or the session's, points where requests must not go.
    """
    try:
        reply = transport.send(prepare_start(upload_url))
    except AmbiguousAnswerError as error:
        raise UploadInterruptedError(str(error), status=error.status) from None
    session_uri = read_start(reply, upload_url)
    transport.origins.require(session_uri)
    return session_uri


def resume(
    transport: Transport,
    session_uri: str,
    source: Source,
    total: int,
    *,
    chunk_bytes: int = 0,
    is_new: bool = False,
    pace: Pace | None = None,
) -> Delivered:
    """Send what the server does not have yet, in one stream or in chunks, until it has everything.

    Args:
        transport: Sends the requests; never with the bearer.
        session_uri: From `start_session`, of this or an earlier run on any worker.
        source: Opens the payload at an offset.
        total: The payload's size in bytes.
        chunk_bytes: 0 for one stream, else about how many bytes a request may carry.
        is_new: This run has just started the session, so that the server need not be asked what it has.
        pace: How long, and how patiently.

    Returns:
        What the server stored. Where `verified` is false, parts were sent by earlier runs, or only an MD5 was given: use `verify_hashes`.

    Raises:
        SessionGoneError, WindowExpiredError, TooLargeError, UploadRefusedError, CorruptUploadError: It cannot go on.
        UploadInterruptedError, UploadPausedError: A later run can go on.
        PayloadMismatchError: The source ends early.
    """
    payload = _Payload(source, total, pace or Pace())
    return _Resumption(transport, session_uri, payload, chunk_bytes).run(is_new=is_new)


def put_whole(
    transport: Transport, url: str, source: Source, total: int, *, direct: bool, pace: Pace | None = None
) -> Delivered:
    """Send everything in one PUT. One attempt is made, and another only where the bearer had to be renewed.

    Args:
        transport: Sends the request.
        url: The job's upload URL.
        source: Opens the payload at an offset.
        total: The payload's size in bytes.
        direct: The URL is one of the API itself, which wants the bearer.
        pace: How long; a plain PUT is not repeated after a failure.

    Raises:
        TooLargeError, WindowExpiredError, UploadRefusedError, UnauthorizedError, CorruptUploadError: It cannot go on.
        UploadInterruptedError, UploadPausedError: It may or may not have arrived. Ask the job, then send it again.
        PayloadMismatchError: The source ends early.
    """
    payload = _Payload(source, total, pace or Pace())
    try:
        return _put(transport, url, payload, direct=direct)
    except UnauthorizedError:
        if not (direct and transport.renew_bearer()):
            raise
    return _put(transport, url, payload, direct=direct)


def verify_hashes(source: Source, total: int, hashes: Hashes, *, pace: Pace | None = None) -> bool:
    """Read the payload again and compare it with what the server stored.

    Returns:
        False where the server gave no checksum.

    Raises:
        CorruptUploadError: The server stored other bytes.
        PayloadMismatchError: The source holds another number of bytes.
    """
    digest, md5, payload = RunningDigest(), hashlib.md5(usedforsecurity=False), _Payload(source, total, pace or Pace())
    if hashes.length is not None and hashes.length != total:
        raise CorruptUploadError(f"The server stored {hashes.length} bytes of a payload of {total}.")
    if hashes.crc32c is None and hashes.md5 is None:
        return False
    with source(0) as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
            md5.update(block)
            payload.step(digest.position)
    if digest.position != total:
        raise PayloadMismatchError(f"The stored payload has {digest.position} bytes instead of {total}.")
    if hashes.md5 is not None:
        require_same(hashes.md5, md5.digest())
    return digest.verify(hashes, total) or hashes.md5 is not None


@dataclass(frozen=True, slots=True)
class _Payload:
    """What is sent in one run, and how."""

    source: Source
    total: int
    pace: Pace

    def step(self, offset: int) -> None:
        self.pace.step(offset, self.total)


@dataclass(slots=True)
class _Resumption:
    """One run on one session."""

    transport: Transport
    session_uri: str = field(repr=False)
    payload: _Payload
    chunk_bytes: int
    digest: RunningDigest = field(default_factory=RunningDigest)
    known: int = 0
    failures: int = 0

    def run(self, *, is_new: bool) -> Delivered:
        told = Persisted(0) if is_new else self._patiently(self._ask)
        while isinstance(told, Persisted):
            self._know(told.offset)
            told = self._judged(self.failures, self._patiently(self._send_or_ask))
        return Delivered(told.hashes, self.digest.verify(told.hashes, self.payload.total))

    def _know(self, offset: int) -> None:
        self.known = offset
        if offset and self.payload.pace.on_persisted is not None:
            self.payload.pace.on_persisted(offset)

    def _judged(self, failures: int, told: Persisted | Finished) -> Persisted | Finished:
        """Let progress make up for failures, and count an answer without any as one (unless one was counted)."""
        if isinstance(told, Finished) or told.offset > self.known:
            self.failures = 0
        elif self.failures == failures:
            self._count_failure("the server persisted nothing more")
        return told

    def _patiently(self, act: Callable[[], Persisted | Finished]) -> Persisted | Finished:
        """Act; after a passing failure wait and ask for the offset, until the server answers."""
        while True:
            try:
                return act()
            except (AmbiguousAnswerError, TransientUploadError) as error:
                reason = str(error)
            self._count_failure(reason)
            act = self._ask

    def _ask(self) -> Persisted | Finished:
        """Ask for the offset. Where all bytes are persisted already, this also finishes the upload."""
        self.payload.step(self.known)
        told = self._believed(self._query(), self.payload.total)
        offset = told.offset if isinstance(told, Persisted) else self.payload.total
        _log.info("upload_offset_told", offset=offset, total=self.payload.total)
        return told

    def _send_or_ask(self) -> Persisted | Finished:
        first, total = self.known, self.payload.total
        if first == total:
            return self._ask()
        length = chunk_length(first, total, self.chunk_bytes)
        self.digest.seek(first)
        with self.payload.source(first) as stream:
            body = PayloadBody(stream, length, self.digest, lambda sent: self.payload.step(first + sent))
            reply = self.transport.send(prepare_chunk(self.session_uri, first, body, total))
        return self._believed(read_progress(reply, total, self.session_uri), first + length)

    def _query(self) -> Persisted | Finished:
        reply = self.transport.send(prepare_query(self.session_uri, self.payload.total))
        return read_progress(reply, self.payload.total, self.session_uri)

    def _believed(self, told: Persisted | Finished, sent_to: int) -> Persisted | Finished:
        if isinstance(told, Finished) or not is_doubtful(told, self.known, sent_to):
            return told
        _log.warning("upload_offset_doubtful", told=told.offset, known=self.known, sent_to=sent_to)
        return confirm(self._query(), self.known)

    def _count_failure(self, reason: str) -> None:
        self.failures += 1
        total = self.payload.total
        _log.warning("upload_attempt_failed", offset=self.known, total=total, failures=self.failures, reason=reason)
        if self.failures >= self.payload.pace.patience.failures:
            message = f"The upload stopped at {self.known} of {total} bytes: {reason}"
            raise UploadInterruptedError(message, offset=self.known)
        self.payload.step(self.known)
        self.payload.pace.patience.wait(backoff(self.failures))


def _put(transport: Transport, url: str, payload: _Payload, *, direct: bool) -> Delivered:
    digest, total = RunningDigest(), payload.total
    with payload.source(0) as stream:
        body = PayloadBody(stream, total, digest, payload.step)
        try:
            reply = transport.send(prepare_whole(url, body if total else b"", direct=direct))
        except AmbiguousAnswerError as error:
            raise UploadInterruptedError(str(error), status=error.status) from None
    hashes = read_whole(reply, total, url)
    return Delivered(hashes, digest.verify(hashes, total))
