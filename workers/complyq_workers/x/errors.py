"""What a request to X or to its storage can end with, when it does not end well.

ComplyqError
└── XError                          each may carry `status`, and X's `date` and `rate_limit`
    ├── AmbiguousAnswerError        no answer, a 5xx or an unreadable one: it may have happened, or not
    │   └── UnreachableError        no connection was made, so certainly nothing happened
    ├── RateLimitedError            429; `retry_at` in epoch seconds, where X said it
    ├── UnauthorizedError           401 or 403: the credentials are not accepted
    ├── JobNotFoundError            404 for a job
    ├── CancelUnsupportedError      this X cannot cancel jobs
    ├── RefusedError                any other 4xx, which repeating will not change
    │   ├── SlotBusyError           409 on create: a job of the type is active
    │   ├── ResumableRefusedError   400 on a create that asked for a resumable upload
    │   └── RedirectRefusedError    a 3xx: redirects are never followed
    └── ForbiddenOriginError        the URL points where requests must not go; nothing was sent
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from complyq_config.errors import ComplyqError

if TYPE_CHECKING:
    from datetime import datetime

    from complyq_workers.x.answers import RateLimit


class XError(ComplyqError):
    """A request did not succeed.

    Attributes:
        status: The HTTP status, None where there was no answer.
        date: X's clock when it answered, None where unknown.
        rate_limit: What X said about the request budget, None where it said nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        date: datetime | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.date = date
        self.rate_limit = rate_limit


class AmbiguousAnswerError(XError):
    """No usable answer came: what was asked for may have happened or not. Look before repeating it."""


class UnreachableError(AmbiguousAnswerError):
    """No connection could be made, so nothing was sent."""


class RateLimitedError(XError):
    """X refused for now because the request budget is used up.

    Attributes:
        retry_at: When the budget is renewed, in epoch seconds; None where X did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_at: float | None = None,
        status: int | None = None,
        date: datetime | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        super().__init__(message, status=status, date=date, rate_limit=rate_limit)
        self.retry_at = retry_at


class UnauthorizedError(XError):
    """X does not accept the credentials, or not for this App."""


class JobNotFoundError(XError):
    """X knows no compliance job of this id."""


class CancelUnsupportedError(XError):
    """X does not offer to cancel jobs; the job ends by itself when its upload window closes."""


class RefusedError(XError):
    """X refused the request, and will refuse it again."""


class SlotBusyError(RefusedError):
    """A job of the type is still active, so X creates no other."""


class ResumableRefusedError(RefusedError):
    """X refused a job with a resumable upload; create it again without."""


class RedirectRefusedError(RefusedError):
    """The server sent a redirect, which is never followed: it could lead a credential elsewhere."""


class ForbiddenOriginError(XError):
    """A URL points to an origin that is not allowed. Nothing was sent."""
