"""What an upload can end with, when it does not end well.

ComplyqError
└── UploadError                     `offset`: bytes the server surely has, as far as is known; `status`: HTTP, or None
    ├── UploadPausedError           the deadline came; a later run goes on from the server's offset
    ├── UploadInterruptedError      failures without progress; a later run goes on from the server's offset
    │   └── TransientUploadError    one such failure: 408, 429 or 5xx (the uploader asks and goes on by itself)
    ├── SessionGoneError            404 or 410: start a new session while the window lasts
    ├── WindowExpiredError          the upload URL is valid no more: the job is lost, its parts are planned again
    ├── StartRefusedError           the URL allows no resumable upload: send the whole in one PUT
    ├── TooLargeError               413: the payload is too large for one upload
    ├── UploadRefusedError          any other 4xx, which repeating will not change: ask the job for its status
    ├── PayloadMismatchError        the stored payload has not the length it should have
    └── CorruptUploadError          the server's offsets or checksums contradict what was sent: stop

Beside these: complyq_workers.x.errors (ForbiddenOriginError, UnauthorizedError, RedirectRefusedError), and whatever the
payload's source or `on_progress` raise.
"""

from complyq_config.errors import ComplyqError


class UploadError(ComplyqError):
    """An upload did not finish.

    Attributes:
        offset: How many bytes the server has, as far as is known.
        status: The HTTP status that ended it, None where there was none.
    """

    def __init__(self, message: str, *, offset: int = 0, status: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset
        self.status = status


class UploadPausedError(UploadError):
    """The deadline of this run came; a later run goes on."""


class UploadInterruptedError(UploadError):
    """The upload failed several times without progress; a later run goes on."""


class TransientUploadError(UploadInterruptedError):
    """The server failed in a way that passes: ask for the offset and go on."""


class SessionGoneError(UploadError):
    """The resumable session exists no more."""


class WindowExpiredError(UploadError):
    """The upload URL is valid no more."""


class StartRefusedError(UploadError):
    """The upload URL does not allow a resumable upload."""


class TooLargeError(UploadError):
    """The server does not take a payload of this size."""


class UploadRefusedError(UploadError):
    """The server refused the upload, and will refuse it again."""


class PayloadMismatchError(UploadError):
    """The stored payload is shorter or longer than it should be."""


class CorruptUploadError(UploadError):
    """What the server says it has cannot be what was sent."""
