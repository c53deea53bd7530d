"""Asks X how a job is doing until it is final. Every final status ends it, not only "complete"."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from complyq_producer.estimates import Expectation, expect, likely_seconds
from complyq_producer.ledger import JobPhase, JobView
from complyq_producer.model import RemoteId
from complyq_workers.pipeline.durations import (
    durations_of,
    ends_soon,
    is_awaited,
    note_seen_active,
    ready_at,
    seconds_processed,
)
from complyq_workers.pipeline.finishing import cancel_remote, finish
from complyq_workers.pipeline.hints import job_hints, plan_hint
from complyq_workers.pipeline.pacing import first_look, next_look, wait_since
from complyq_workers.pipeline.parking import see_off
from complyq_workers.pipeline.slot import hold_slot, is_wanted, show
from complyq_workers.pipeline.step import EARLY_SECONDS, Outcome, again, done
from complyq_workers.pipeline.windows import results_are_gone, upload_window_is_over
from complyq_workers.x import Answer, ComplianceJob, JobNotFoundError, JobStatus, is_final

if TYPE_CHECKING:
    from complyq_producer.facts import Uploaded
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)

LATE = timedelta(minutes=1)
ABANDONED = "abandoned"
"""The status of a job that X completed although its upload was given up."""


def poll(ports: Ports, job: JobView, lease: StepLease) -> Outcome:
    """Ask X for the job once; come back later until it is final."""
    if job.phase is JobPhase.PARKED:
        return see_off(ports, job, lease)
    if job.phase is not JobPhase.UPLOADED or job.remote_id is None or job.uploaded is None:
        return done(*job_hints(job))
    hold_slot(ports, job)
    if job.plan and not is_wanted(ports, job.plan) and cancel_remote(ports, job.remote_id):
        return finish(ports, job, "cancelled", error="no batch of the job was wanted any more")
    too_early = _seconds_too_early(ports, job, job.uploaded)
    if too_early > EARLY_SECONDS and not is_awaited(ports, job):
        show(ports, job, "processing")
        expected = expect(durations_of(ports, job.keys.type), job.count)
        return _with_next_ready(ports, job, again(too_early), seconds_processed(ports, job), expected)
    lease.check()
    try:
        answer = ports.remote.get_job(job.remote_id)
    except JobNotFoundError as error:
        return _vanished(ports, job, job.uploaded, error)
    return _follow_status(ports, job, job.uploaded, answer)


def _follow_status(ports: Ports, job: JobView, uploaded: Uploaded, answer: Answer[ComplianceJob]) -> Outcome:
    remote = answer.value
    if is_final(remote.status):
        return _finish(ports, job, uploaded, remote)
    if results_are_gone(job, answer.date or ports.clock.now(), remote):
        cancel_remote(ports, RemoteId(remote.id))  # what X still calls active would hold up the next job
        error = f"still {remote.status!r} when its results expired"
        return finish(ports, job, JobStatus.EXPIRED, error=error, failed=uploaded.complete)
    if remote.status not in {JobStatus.CREATED, JobStatus.IN_PROGRESS}:
        log.warning("unknown_job_status", remote=remote.id, status=remote.status)
    if not uploaded.complete and remote.status == JobStatus.CREATED:
        cancel_remote(ports, RemoteId(remote.id))  # again: the first time may have failed
    show(ports, job, "processing" if uploaded.complete else "waiting_for_expiry")
    note_seen_active(ports, job)
    return _look_again(ports, job, uploaded)


def _look_again(ports: Ports, job: JobView, uploaded: Uploaded) -> Outcome:
    """Come back when the job is likely to have ended; shortly before, the next one is made ready."""
    if not uploaded.complete:
        return again(wait_since(uploaded.recorded_at, ports.clock.now(), ports.limits))
    durations, waited = durations_of(ports, job.keys.type), seconds_processed(ports, job)
    wait = next_look(waited, likely_seconds(durations, job.count), ports.limits)
    outcome = again(max(wait, ports.remote.pace("get")))
    return _with_next_ready(ports, job, outcome, waited, expect(durations, job.count))


def _with_next_ready(
    ports: Ports, job: JobView, outcome: Outcome, waited: float, expected: Expectation | None
) -> Outcome:
    begins = ready_at(expected) if expected else None
    if begins is not None and waited < begins <= waited + (outcome.again_in or 0.0):
        return replace(outcome, later=((plan_hint(job.keys.type), begins - waited),))
    return outcome.with_hints([plan_hint(job.keys.type)]) if ends_soon(ports, job) else outcome


def _seconds_too_early(ports: Ports, job: JobView, uploaded: Uploaded) -> float:
    """Return how long it makes no sense yet to look at a job, from how long others took."""
    if not uploaded.complete:
        return 0.0
    seconds = likely_seconds(durations_of(ports, job.keys.type), job.count)
    return first_look(seconds, ports.limits) - seconds_processed(ports, job)


def _finish(ports: Ports, job: JobView, uploaded: Uploaded, remote: ComplianceJob) -> Outcome:
    """Record X's final word. A job that we gave up uploading counts against its parts only where that fact says so."""
    if not uploaded.complete:  # what X may have of it is not to be trusted, whatever it says
        return finish(ports, job, ABANDONED if remote.status == JobStatus.COMPLETE else remote.status,
                      error=uploaded.reason, failed=uploaded.counted, max_bytes=uploaded.max_bytes)  # fmt: skip
    if remote.status == JobStatus.COMPLETE:
        return finish(ports, job, JobStatus.COMPLETE, download_url=remote.download_url)
    failed = not (remote.status == JobStatus.EXPIRED and _was_late(job, uploaded))
    return finish(ports, job, remote.status, error=remote.error, failed=failed)


def _was_late(job: JobView, uploaded: Uploaded) -> bool:
    """Whether the upload ended about when its window did: X may not have taken it, which is nobody's failure."""
    expires = job.created.upload_expires_at if job.created else None
    return bool(expires and uploaded.finished_at >= expires - LATE)


def _vanished(ports: Ports, job: JobView, uploaded: Uploaded, error: JobNotFoundError) -> Outcome:
    """X does not know the job: believe it only if the list does not show it either, and the upload window is over."""
    listing = ports.remote.list_jobs(job.keys.type)
    listed = next((remote for remote in listing.value if remote.id == job.remote_id), None)
    if listed:
        return _follow_status(ports, job, uploaded, Answer(listed, listing.date))
    if not upload_window_is_over(job, listing.date or ports.clock.now()):
        return again(ports.limits.poll_max_seconds)
    log.error("job_vanished", remote=job.remote_id)
    return finish(ports, job, JobStatus.EXPIRED, error=f"X no longer knows the job: {error}",
                  failed=uploaded.complete or uploaded.counted)  # fmt: skip
