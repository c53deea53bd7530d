"""What X answers, as typed values.

Absent, unknown and oddly typed fields are tolerated: X's specifications require none, and the set of statuses is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from complyq_config.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")
_ERROR_CHARACTERS = 500


class JobStatus(StrEnum):
    """The statuses of a compliance job that we know of; X may have others."""

    CREATED = "created"
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    FAILED = "failed"
    EXPIRED = "expired"


def is_final(status: str) -> bool:
    """Tell whether a job of this status will never change again; an unknown status is not final."""
    return status in {JobStatus.COMPLETE, JobStatus.FAILED, JobStatus.EXPIRED}


def is_active(status: str) -> bool:
    """Tell whether a job of this status surely holds its type's slot."""
    return status in {JobStatus.CREATED, JobStatus.IN_PROGRESS}


class ComplianceJob(msgspec.Struct, frozen=True, kw_only=True):
    """A remote compliance job. Times are aware and in UTC; None where X said nothing, or nothing readable.

    `upload_url` and `download_url` are credentials: they go into no log, message or unsealed object. So `repr`
    leaves them out.
    """

    id: str
    type: str | None = None
    name: str | None = None
    status: str = ""
    created_at: datetime | None = None
    upload_url: str | None = None
    upload_expires_at: datetime | None = None
    download_url: str | None = None
    download_expires_at: datetime | None = None
    resumable: bool | None = None
    error: str | None = None

    def __repr__(self) -> str:
        return f"ComplianceJob(id={self.id!r}, type={self.type!r}, name={self.name!r}, status={self.status!r})"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """X's request budget for one endpoint, as its headers tell it."""

    limit: int
    remaining: int
    reset: int
    """When the window starts anew, in epoch seconds."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A value from X, with X's clock and request budget where the answer showed them."""

    value: T
    date: datetime | None = None
    rate_limit: RateLimit | None = None


def job_from(raw: object) -> ComplianceJob | None:
    """Read one job from decoded JSON; None if it is no object with an id."""
    if not isinstance(raw, dict):
        return None
    job_id = _text(raw.get("id"))
    if not job_id:
        return None
    resumable = raw.get("resumable")
    return ComplianceJob(
        id=job_id,
        type=_text(raw.get("type")),
        name=_text(raw.get("name")),
        status=_text(raw.get("status")) or "",
        created_at=time_from(raw.get("created_at")),
        upload_url=_text(raw.get("upload_url")),
        upload_expires_at=time_from(raw.get("upload_expires_at")),
        download_url=_text(raw.get("download_url")),
        download_expires_at=time_from(raw.get("download_expires_at")),
        resumable=resumable if isinstance(resumable, bool) else None,
        error=_error_text(raw.get("error")),
    )


def time_from(raw: object) -> datetime | None:
    """Read X's `2019-08-10T12:22:39.022Z` and `2019-03-02T03:37:59+00:00`; None if it is neither."""
    if not isinstance(raw, str):
        return None
    try:
        return _in_utc(datetime.fromisoformat(raw))
    except (ValueError, OverflowError):
        return None


def date_from(headers: Mapping[str, str]) -> datetime | None:
    """Read the Date header: the clock by which X's windows open and close."""
    try:
        return _in_utc(parsedate_to_datetime(headers["date"]))
    except (KeyError, ValueError, OverflowError):
        return None


def rate_limit_from(headers: Mapping[str, str]) -> RateLimit | None:
    """Read X's rate-limit headers; None unless all three are numbers."""
    try:
        limit, remaining, reset = (int(headers[f"x-rate-limit-{part}"]) for part in ("limit", "remaining", "reset"))
    except (KeyError, ValueError):
        return None
    return RateLimit(limit, remaining, reset)


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _text(raw: object) -> str | None:
    """Text as it is, numbers as text (ids are 19 digits, which msgspec reads exactly), anything else as absent."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)
    return raw if isinstance(raw, str) else None


def _error_text(raw: Any) -> str | None:
    """What X says of a failed job. It goes into facts and events, so a URL in it loses its query."""
    if raw is None or raw == "":
        return None
    text = raw if isinstance(raw, str) else msgspec.json.encode(raw).decode()
    return redact(text)[:_ERROR_CHARACTERS]
