"""A job as X shows it."""

from typing import Any

from complyq_simulator.clock import iso
from complyq_simulator.jobs import DOWNLOAD_SECONDS, UPLOAD_SECONDS, Job
from complyq_simulator.settings import Contract
from complyq_simulator.signing import SESSION_HEADERS, UPLOAD_HEADERS, Signable, TokenContent
from complyq_simulator.world import World

BUCKET = "twttr-tweet-compliance"
_APP_ID = "1600000000000000000"


def job_view(world: World, job: Job) -> dict[str, Any]:
    """Return a job's fields; `resumable` is always false, as X's own answers have it."""
    view = {
        "id": job.id,
        "type": job.type,
        "status": job.status,
        "created_at": iso(job.created_at),
        "resumable": False,
        "upload_url": _upload_url(world, job),
        "upload_expires_at": iso(job.upload_expires_at),
        "download_url": _download_url(world, job),
        "download_expires_at": iso(job.download_expires_at),
    }
    optional = {"name": job.name, "error": job.error}
    return view | {name: value for name, value in optional.items() if value is not None}


def submission_path(job_id: str) -> str:
    """Return the path of a job's input on the storage origin."""
    return f"/{BUCKET}/{job_id}/submission/{_APP_ID}_{job_id}"


def delivery_path(job_id: str) -> str:
    """Return the path of a job's results on the storage origin."""
    return f"/{BUCKET}/{job_id}/delivery/{_APP_ID}_{job_id}"


def _upload_url(world: World, job: Job) -> str:
    if world.settings.contract is Contract.DIRECT:
        return _direct_url(world, job, "upload", job.created_at + UPLOAD_SECONDS)
    path = submission_path(job.id)
    target = Signable("POST", path, SESSION_HEADERS) if job.resumable else Signable("PUT", path, UPLOAD_HEADERS)
    return world.signer.url(world.storage_url, target, now=job.created_at, seconds=UPLOAD_SECONDS)


def _download_url(world: World, job: Job) -> str:
    if world.settings.contract is Contract.DIRECT:
        return _direct_url(world, job, "download", job.created_at + DOWNLOAD_SECONDS)
    target = Signable("GET", delivery_path(job.id), {})
    return world.signer.url(world.storage_url, target, now=job.created_at, seconds=DOWNLOAD_SECONDS)


def _direct_url(world: World, job: Job, purpose: str, expires_at: float) -> str:
    token = world.signer.token(TokenContent(job.id, purpose, expires_at))
    return f"{world.api_url}/2/compliance/jobs/{job.id}/{purpose}?token={token}"
