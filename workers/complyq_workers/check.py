"""What `complyq doctor` asks X: one list call, to see whether the credentials are accepted.

An entry point of the group `complyq.checks`; the mapping has the fields of the doctor's findings.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from complyq_config.errors import ConfigurationError
from complyq_workers.x import (
    AmbiguousAnswerError,
    RateLimitedError,
    Transport,
    UnauthorizedError,
    XClient,
    XError,
    credentials_of,
)

if TYPE_CHECKING:
    from complyq_config.settings import Settings
    from complyq_workers.x import Answer, ComplianceJob

NAME = "Credentials"


def check_x(settings: Settings) -> dict[str, str | None]:
    """List the compliance jobs for Posts once, and tell what X said."""
    try:
        answer = _client(settings).list_jobs("tweets")
    except ConfigurationError as error:
        return _failed(str(error), "Set COMPLYQ_BEARER_TOKEN to the App's bearer token from X's developer console.")
    except XError as error:
        return _refusal(error, settings)
    return {"check": NAME, "verdict": "ok", "found": _accepted(settings, answer), "mend": None}


def _client(settings: Settings) -> XClient:
    proxy = settings.proxy_url.get_secret_value() if settings.proxy_url else None
    transport = Transport(settings.allowed_origins, settings.api_url, proxy_url=proxy)
    return XClient(settings.api_url, transport, credentials_of(settings, transport))


def _accepted(settings: Settings, answer: Answer[list[ComplianceJob]]) -> str:
    limit = answer.rate_limit
    left = f", {limit.remaining} of {limit.limit} list calls left" if limit else ""
    return f"{settings.api_url} accepts them; {len(answer.value)} recent jobs for Posts{left}"


def _refusal(error: XError, settings: Settings) -> dict[str, str | None]:
    if isinstance(error, RateLimitedError):
        mend = f"Wait until {_moment(error.retry_at)}; the workers do. The credentials themselves were not judged."
        return {"check": NAME, "verdict": "warning", "found": str(error), "mend": mend}
    return _failed(str(error), _mend(error, settings))


def _mend(error: XError, settings: Settings) -> str:
    if error.status == 403:
        return "X knows the App but does not let it use batch compliance: look at the App's project and access level."
    if isinstance(error, UnauthorizedError):
        return "X does not know the credentials: copy the App's bearer token (or API key and secret) again."
    if isinstance(error, AmbiguousAnswerError):
        return f"Look whether this machine reaches {settings.api_url}; behind a proxy set COMPLYQ_PROXY_URL."
    return "Look at COMPLYQ_API_URL."


def _failed(found: str, mend: str) -> dict[str, str | None]:
    return {"check": NAME, "verdict": "failed", "found": found, "mend": mend}


def _moment(epoch: float | None) -> str:
    return (
        f"{datetime.fromtimestamp(epoch, UTC):%H:%M:%S} UTC" if epoch else "X's limit is renewed (15 minutes at most)"
    )
