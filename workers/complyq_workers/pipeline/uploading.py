"""Uploads the payload of a job in whichever contract its URL shows, continuing from the server's offset."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from complyq_producer.errors import ObjectNotFoundError
from complyq_producer.facts import Session, Uploaded
from complyq_producer.ledger import JobPhase, JobView
from complyq_workers.coordination import CoordinationError
from complyq_workers.payload import Payload
from complyq_workers.pipeline.finishing import cancel_remote, finish
from complyq_workers.pipeline.hints import job_hints
from complyq_workers.pipeline.lease import STEP_SECONDS
from complyq_workers.pipeline.pacing import MAX_REFUSALS, wait_after_refusal
from complyq_workers.pipeline.remote import BudgetError
from complyq_workers.pipeline.slot import hold_slot, is_wanted, show
from complyq_workers.pipeline.step import Outcome, again, done
from complyq_workers.pipeline.windows import upload_window_is_over
from complyq_workers.sealing import UnsealError
from complyq_workers.upload import (
    CorruptUploadError,
    Delivered,
    Pace,
    PayloadMismatchError,
    SessionGoneError,
    StartRefusedError,
    TooLargeError,
    UploadContract,
    UploadError,
    UploadInterruptedError,
    UploadPausedError,
    UploadRefusedError,
    WindowExpiredError,
    contract_of,
    put_whole,
    resume,
    start_session,
    verify_hashes,
)
from complyq_workers.x import (
    ForbiddenOriginError,
    JobNotFoundError,
    JobStatus,
    RefusedError,
    UnauthorizedError,
    is_final,
)
from complyq_workers.x.patience import Patience

if TYPE_CHECKING:
    from complyq_producer.facts import Created, Plan
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)

SHOW_SECONDS = 1.0
"""How often the progress of an upload is shown, and the slot's lock renewed."""
MAX_SESSIONS = 20


def upload(ports: Ports, job: JobView, lease: StepLease) -> Outcome:
    """Send what X does not have yet of a job's payload."""
    if job.phase is not JobPhase.CREATED or job.plan is None or job.created is None:
        return done(*job_hints(job))
    if not is_wanted(ports, job.plan):
        return _abandon(ports, job, "no batch of the job is wanted any more")
    hold_slot(ports, job)
    try:
        delivered = _send(_Upload(ports, job, job.plan, job.created, lease))
    except UploadPausedError:
        return again(0.0)
    except TROUBLE as error:
        lease.check_sure()  # what surprises a worker that was replaced is its successor's doing
        return _after_trouble(ports, job, job.plan, error)
    log.info("upload_finished", bytes=job.bytes, verified=delivered.verified)
    _, outcome = _record(ports, job, Uploaded(complete=True, finished_at=delivered.hashes.date or ports.clock.now()))
    return outcome


class _TooSlowError(Exception):
    """A payload that can only be sent whole does not get through in the time that a step has."""


class _XHasItError(Exception):
    """X says that the job is beyond its upload."""


TROUBLE = (
    ForbiddenOriginError,
    JobNotFoundError,
    ObjectNotFoundError,
    RefusedError,
    UnauthorizedError,
    UploadError,
    _TooSlowError,
    _XHasItError,
)
"""What ends a run of an upload without its having got through."""


class _Upload:
    """One run of an upload: what is sent where, and who is told."""

    def __init__(self, ports: Ports, job: JobView, plan: Plan, created: Created, lease: StepLease) -> None:
        self.ports = ports
        self.job = job
        self.created = created
        self.payload = Payload(ports.store, plan, job.bytes)
        self._lease = lease
        self._shown = -SHOW_SECONDS
        self.pace = Pace(
            on_progress=self._on_progress,
            on_persisted=lease.note_progress,
            deadline=ports.clock.monotonic() + STEP_SECONDS,
            patience=Patience(wait=ports.clock.sleep),
            now=ports.clock.monotonic,
        )

    def _on_progress(self, offset: int, total: int) -> None:
        """Keep what the upload needs alive while bytes flow."""
        self._lease.check()
        now = self.ports.clock.monotonic()
        if now - self._shown >= SHOW_SECONDS:
            self._shown = now
            with suppress(CoordinationError):  # the bytes are worth more than the display; the lease has its own thread
                hold_slot(self.ports, self.job)
                show(self.ports, self.job, "uploading", offset, total)


def _send(run: _Upload) -> Delivered:
    session_uri = _known_session(run)
    if session_uri:
        return _resume(run, session_uri)
    url = _upload_url(run)
    contract = contract_of(url, run.ports.limits.api_url)
    if contract in {UploadContract.DIRECT, UploadContract.SINGLE_PUT}:
        return _put(run, url, direct=contract is UploadContract.DIRECT)
    unsure = (WindowExpiredError, UploadRefusedError) if contract is UploadContract.TRY_RESUMABLE else ()
    try:
        session_uri, is_new = _new_session(run, url)
    except (StartRefusedError, *unsure) as error:
        log.info("resumable_upload_refused", reason=str(error))
        return _put(run, url, direct=False)
    return _resume(run, session_uri, is_new=is_new)


def _resume(run: _Upload, session_uri: str, *, is_new: bool = False) -> Delivered:
    ports, total = run.ports, run.payload.total
    delivered = resume(
        ports.transport,
        session_uri,
        run.payload.open,
        total,
        chunk_bytes=ports.limits.upload_chunk_bytes,
        is_new=is_new,
        pace=run.pace,
    )
    return _verified(run, delivered)


def _verified(run: _Upload, delivered: Delivered) -> Delivered:
    if not delivered.verified:
        verify_hashes(run.payload.open, run.payload.total, delivered.hashes, pace=run.pace)
    return delivered


def _put(run: _Upload, url: str, *, direct: bool) -> Delivered:
    """Send everything at once, unless X has it already: an earlier run may have died before it knew."""
    with suppress(BudgetError):  # then X refuses what it has already
        status = run.ports.remote.get_job(run.created.remote_id).value.status
        if status not in {JobStatus.CREATED, ""}:
            raise _XHasItError(f"the job is {status!r}")
    try:
        payload, pace = run.payload, run.pace
        delivered = put_whole(run.ports.transport, url, payload.open, payload.total, direct=direct, pace=pace)
        return _verified(run, delivered)
    except UploadPausedError as error:
        raise _TooSlowError(str(error)) from error


def _known_session(run: _Upload) -> str | None:
    """Open the session of an earlier run, if there is one that can be opened."""
    session = run.ports.ledger.session(run.job)
    if session is None or session.is_gone:
        return None
    try:
        return run.ports.sealer.unseal(session.sealed_uri)
    except UnsealError as error:
        log.warning("session_not_unsealed", error=str(error))
        return None


def _new_session(run: _Upload, url: str) -> tuple[str, bool]:
    """Start a session and record it. Of two that were started at once the recorded one is used by both.

    Returns:
        The session's URI, and whether it is ours, so that nothing was sent to it yet.
    """
    session_uri = start_session(run.ports.transport, url)
    session = Session(sealed_uri=run.ports.sealer.seal(session_uri))
    standing, ours = run.ports.facts.create(run.job.keys.session(run.job.sessions), session)
    return (session_uri, True) if ours else (run.ports.sealer.unseal(standing.sealed_uri), False)


def _upload_url(run: _Upload) -> str:
    """Open the URL that X gave with the job, or ask X for it again."""
    if run.created.sealed_upload_url:
        try:
            return run.ports.sealer.unseal(run.created.sealed_upload_url)
        except UnsealError as error:
            log.warning("upload_url_not_unsealed", error=str(error))
    remote = run.ports.remote.get_job(run.created.remote_id).value
    if remote.upload_url is None:
        raise WindowExpiredError(f"X names no upload URL; the job is {remote.status!r}")
    return remote.upload_url


def _after_trouble(ports: Ports, job: JobView, plan: Plan, error: Exception) -> Outcome:
    if isinstance(error, (TooLargeError, _TooSlowError)):
        return _abandon_size(ports, job, plan, error)
    if isinstance(error, (CorruptUploadError, PayloadMismatchError)):
        return _abandon(ports, job, str(error), counted=True)
    if isinstance(error, ObjectNotFoundError):
        return _abandon(ports, job, f"the payload is gone: {error}")  # planning looks for the missing part
    return _ask_what_happened(ports, job, error)


def _ask_what_happened(ports: Ports, job: JobView, error: Exception) -> Outcome:
    """Ask X how the job is doing, rather than assume: the upload may have arrived, or the window be over."""
    try:
        answer = ports.remote.get_job(job.created.remote_id)  # type: ignore[union-attr] # checked by upload
    except JobNotFoundError as unknown:
        return _bear(ports, job, unknown)
    status = answer.value.status
    log.info("upload_in_doubt", status=status, reason=str(error))
    if status in {JobStatus.IN_PROGRESS, JobStatus.COMPLETE}:
        _, outcome = _record(ports, job, Uploaded(complete=True, finished_at=answer.date or ports.clock.now()))
        return outcome
    if is_final(status):
        return finish(ports, job, status, error=answer.value.error or str(error))
    if upload_window_is_over(job, answer.date or ports.clock.now(), answer.value):
        return _abandon(ports, job, "the upload window lapsed")
    if isinstance(error, UploadInterruptedError):
        raise error  # the window is open: go on after a delay that grows
    if isinstance(error, SessionGoneError) and job.sessions < MAX_SESSIONS:
        ports.facts.create(job.keys.session(job.sessions), Session(sealed_uri="", is_gone=True))
        return again(0.0)
    return _bear(ports, job, error)


def _bear(ports: Ports, job: JobView, error: Exception) -> Outcome:
    """The window is open and X refuses: bear it a few times. Lapsed windows and our own allow-list count against nobody."""
    refusals = ports.coordination.count_failure(f"upload_refusals:{job.keys.type}:{job.keys.plan_number}")
    if refusals < MAX_REFUSALS:
        return again(wait_after_refusal(refusals, ports.limits))
    counted = not isinstance(error, (ForbiddenOriginError, JobNotFoundError, WindowExpiredError))
    return _abandon(ports, job, f"X refused the upload {refusals} times: {error}", counted=counted)


def _abandon_size(ports: Ports, job: JobView, plan: Plan, error: Exception) -> Outcome:
    """The next job carries half. A single part cannot be halved, so that counts against it."""
    alone = len(plan.parts) == 1
    return _abandon(ports, job, f"{job.bytes} bytes are too many: {error}", counted=alone, max_bytes=job.bytes // 2)


def _abandon(
    ports: Ports, job: JobView, reason: str, *, counted: bool = False, max_bytes: int | None = None
) -> Outcome:
    """Give the job up: it is cancelled where the contract allows, and expires by itself elsewhere.

    Not where another worker got the upload through meanwhile.
    """
    given_up = Uploaded(
        complete=False, reason=reason, counted=counted, max_bytes=max_bytes, finished_at=ports.clock.now()
    )
    standing, outcome = _record(ports, job, given_up)
    if job.remote_id and not standing.complete:
        log.warning("upload_abandoned", plan=job.keys.plan_number, reason=reason, counted=counted)
        cancel_remote(ports, job.remote_id)
    return outcome


def _record(ports: Ports, job: JobView, uploaded: Uploaded) -> tuple[Uploaded, Outcome]:
    """Fix how the upload ended; return how it did, if another worker was first, and what follows."""
    standing, _ = ports.facts.create(job.keys.uploaded, uploaded)
    show(ports, job, "processing" if standing.complete else "waiting_for_expiry")
    return standing, done(*job_hints(replace(job, uploaded=standing)))
