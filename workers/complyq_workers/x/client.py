"""X's batch compliance endpoints. Each call is one request that is never repeated by itself (but once after a 401).

https://docs.x.com/x-api/compliance/batch-compliance/introduction
"""

from __future__ import annotations

import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
import structlog

from complyq_workers.x.answers import Answer, ComplianceJob, date_from, job_from, rate_limit_from
from complyq_workers.x.error_bodies import describe
from complyq_workers.x.errors import (
    AmbiguousAnswerError,
    CancelUnsupportedError,
    JobNotFoundError,
    RateLimitedError,
    RefusedError,
    ResumableRefusedError,
    SlotBusyError,
    UnauthorizedError,
    XError,
)
from complyq_workers.x.messages import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from complyq_workers.x.credentials import Credentials
    from complyq_workers.x.messages import Reply
    from complyq_workers.x.transport import Transport

_ANSWER_BYTES = 16 * 1024 * 1024
_log = structlog.get_logger(__name__)


class XClient:
    """Creates, reads, lists and cancels compliance jobs.

    Every method raises XError: UnauthorizedError, RateLimitedError, AmbiguousAnswerError (no answer, a 5xx, or one that
    cannot be read), RefusedError (other 4xx) or ForbiddenOriginError, beside what it names itself.
    """

    def __init__(self, api_url: str, transport: Transport, credentials: Credentials) -> None:
        transport.use(credentials)
        self.transport = transport
        """The one to upload and download with: it sends the same credentials, where they are wanted."""
        self._jobs = f"{api_url.rstrip('/')}/2/compliance/jobs"

    def create_job(self, type_: str, name: str | None, *, resumable: bool = True) -> Answer[ComplianceJob]:
        """Create a job.

        Args:
            type_: "tweets" or "users".
            name: At most 64 characters; it comes back in lists.
            resumable: Ask for an upload URL that can be resumed.

        Raises:
            SlotBusyError: A job of the type is active.
            ResumableRefusedError: X refuses `resumable`, or another part of the request; create again without.
            AmbiguousAnswerError: The job may exist; look for its name in the list.
        """
        wanted = {"type": type_, "name": name, "resumable": resumable or None}
        body = msgspec.json.encode({field: value for field, value in wanted.items() if value is not None})
        return _job_answer(self._ask("create", "POST", self._jobs, body), f"POST {self._jobs}", resumable=resumable)

    def get_job(self, job_id: str) -> Answer[ComplianceJob]:
        """Read one job.

        Raises:
            JobNotFoundError: X does not know it.
        """
        url = self._job_url(job_id)
        reply = self._ask("get", "GET", url)
        if reply.status in {404, 410}:
            raise _error(JobNotFoundError, reply, f"GET {url}")
        return _job_answer(reply, f"GET {url}")

    def list_jobs(self, type_: str) -> Answer[list[ComplianceJob]]:
        """List the recent jobs of a type, whatever their status; empty where there is none."""
        url = f"{self._jobs}?{urlencode({'type': type_})}"
        reply = self._ask("list", "GET", url)
        name = f"GET {self._jobs}"
        _raise_for(reply, name)
        return _answer(reply, _jobs_in(_decoded(reply, name), reply, name))

    def cancel_job(self, job_id: str) -> Answer[ComplianceJob | None]:
        """Cancel a job, so that its slot is free. The value is the job where X shows it, else None.

        Raises:
            CancelUnsupportedError: X answered 404, 405 or 501: it offers no cancelling, or does not know the job.
        """
        url = self._job_url(job_id)
        reply = self._ask("cancel", "DELETE", url)
        if reply.status in {404, 405, 501}:
            raise _error(CancelUnsupportedError, reply, f"DELETE {url}")
        _raise_for(reply, f"DELETE {url}")
        raw = _json(reply.body)
        return _answer(reply, job_from(raw.get("data")) if isinstance(raw, dict) else None)

    def __repr__(self) -> str:
        return f"XClient({self._jobs})"

    def _job_url(self, job_id: str) -> str:
        return f"{self._jobs}/{quote(job_id, safe='')}"

    def _ask(self, endpoint: str, method: str, url: str, body: bytes | None = None) -> Reply:
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        request = Request(method, url, headers, body, bearer=True, endpoint=endpoint)
        return self.transport.send(request, limit=_ANSWER_BYTES)


def retry_at_from(headers: Mapping[str, str]) -> float | None:
    """Tell from a 429's headers when to come back, in epoch seconds; None where they do not say."""
    limit = rate_limit_from(headers)
    if limit is not None:
        return float(limit.reset)
    if "x-rate-limit-reset" in headers and headers["x-rate-limit-reset"].isdigit():
        return float(headers["x-rate-limit-reset"])
    return _after(headers.get("retry-after", ""), headers)


def _after(retry_after: str, headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds from the answer's own clock, or a date."""
    if retry_after.isdigit():
        date = date_from(headers)
        return (date.timestamp() if date else time.time()) + int(retry_after)
    try:
        return parsedate_to_datetime(retry_after).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _job_answer(reply: Reply, name: str, *, resumable: bool = False) -> Answer[ComplianceJob]:
    if name.startswith("POST"):
        _raise_for_create(reply, name, resumable=resumable)
    _raise_for(reply, name)
    raw = _decoded(reply, name)
    job = job_from(raw.get("data"))
    if job is None:
        raise _error(AmbiguousAnswerError, reply, name)
    return _answer(reply, job)


def _raise_for_create(reply: Reply, name: str, *, resumable: bool) -> None:
    if reply.status == 409:  # the problem's `type` URI has changed over time, the status has not
        raise _error(SlotBusyError, reply, name)
    if reply.status == 400 and resumable:
        raise _error(ResumableRefusedError, reply, name)


def _raise_for(reply: Reply, name: str) -> None:
    if 200 <= reply.status < 300:
        return
    if reply.status == 429:
        raise _rate_limited(reply, name)
    if reply.status in {401, 403}:
        raise _error(UnauthorizedError, reply, name)
    if reply.status == 408 or reply.status >= 500:
        raise _error(AmbiguousAnswerError, reply, name)
    raise _error(RefusedError, reply, name)


def _rate_limited(reply: Reply, name: str) -> RateLimitedError:
    return RateLimitedError(
        _message(reply, name),
        retry_at=retry_at_from(reply.headers),
        status=reply.status,
        date=date_from(reply.headers),
        rate_limit=rate_limit_from(reply.headers),
    )


def _error(kind: type[XError], reply: Reply, name: str) -> XError:
    return kind(
        _message(reply, name),
        status=reply.status,
        date=date_from(reply.headers),
        rate_limit=rate_limit_from(reply.headers),
    )


def _message(reply: Reply, name: str) -> str:
    said = "an answer that cannot be read" if 200 <= reply.status < 300 else describe(reply.body) or "no reason given"
    return f"{name} answered {reply.status}: {said}"


def _answer(reply: Reply, value: Any) -> Answer[Any]:
    return Answer(value, date_from(reply.headers), rate_limit_from(reply.headers))


def _decoded(reply: Reply, name: str) -> dict[str, Any]:
    raw = _json(reply.body)
    if not isinstance(raw, dict):
        raise _error(AmbiguousAnswerError, reply, name)
    return raw


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return None


def _jobs_in(raw: dict[str, Any], reply: Reply, name: str) -> list[ComplianceJob]:
    """Read a list; an empty one has no `data` at all, which must not be mistaken for an answer that lost it."""
    data, meta = raw.get("data"), raw.get("meta")
    announced = meta.get("result_count") if isinstance(meta, dict) else None
    if data is None and not announced and "errors" not in raw:
        return []
    if not isinstance(data, list):
        raise _error(AmbiguousAnswerError, reply, name)
    jobs = [job for entry in data if (job := job_from(entry)) is not None]
    if len(jobs) < len(data):
        _log.warning("x_job_without_id_skipped", skipped=len(data) - len(jobs))
    return jobs
