"""When X's URLs end: by X's own clock where an answer carried it, and by X's usual windows where it named no instant."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from complyq_producer.ledger import JobView
    from complyq_workers.x import ComplianceJob

UPLOAD_WINDOW = timedelta(minutes=15)
DOWNLOAD_WINDOW = timedelta(days=7)


def upload_window_is_over(job: JobView, now: datetime, remote: ComplianceJob | None = None) -> bool:
    """Whether the job's upload URL has ended; `now` is X's clock where it is known."""
    named = (remote.upload_expires_at if remote else None) or (job.created.upload_expires_at if job.created else None)
    return now >= (named or _created_at(job, now, remote) + UPLOAD_WINDOW)


def results_are_gone(job: JobView, now: datetime, remote: ComplianceJob | None = None) -> bool:
    """Whether the job's results have expired; `now` is X's clock where it is known."""
    named = (remote.download_expires_at if remote else None) or (
        job.created.download_expires_at if job.created else None
    )
    return now >= (named or _created_at(job, now, remote) + DOWNLOAD_WINDOW)


def _created_at(job: JobView, now: datetime, remote: ComplianceJob | None) -> datetime:
    if remote and remote.created_at:
        return remote.created_at
    return job.created.recorded_at if job.created else now
