"""X's side of the wire: where requests may go, what they carry, and what the answers say. No Celery, no Redis."""

from complyq_workers.x.answers import Answer, ComplianceJob, JobStatus, RateLimit, is_active, is_final
from complyq_workers.x.client import XClient
from complyq_workers.x.credentials import Credentials, ExchangedBearer, StaticBearer, credentials_of
from complyq_workers.x.errors import (
    AmbiguousAnswerError,
    CancelUnsupportedError,
    ForbiddenOriginError,
    JobNotFoundError,
    RateLimitedError,
    RedirectRefusedError,
    RefusedError,
    ResumableRefusedError,
    SlotBusyError,
    UnauthorizedError,
    UnreachableError,
    XError,
)
from complyq_workers.x.messages import Exchange, Reply, Request
from complyq_workers.x.origins import is_direct
from complyq_workers.x.patience import Patience
from complyq_workers.x.transport import Timeouts, Transport

__all__ = [
    "AmbiguousAnswerError",
    "Answer",
    "CancelUnsupportedError",
    "ComplianceJob",
    "Credentials",
    "Exchange",
    "ExchangedBearer",
    "ForbiddenOriginError",
    "JobNotFoundError",
    "JobStatus",
    "Patience",
    "RateLimit",
    "RateLimitedError",
    "RedirectRefusedError",
    "RefusedError",
    "Reply",
    "Request",
    "ResumableRefusedError",
    "SlotBusyError",
    "StaticBearer",
    "Timeouts",
    "Transport",
    "UnauthorizedError",
    "UnreachableError",
    "XClient",
    "XError",
    "credentials_of",
    "is_active",
    "is_direct",
    "is_final",
]
