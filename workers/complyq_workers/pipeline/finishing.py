"""Ends a job: records how, frees the slot, and says what follows for its batches."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from complyq_producer.facts import Attempt, Collected, Finished
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_workers.pipeline.blame import counts, judge
from complyq_workers.pipeline.durations import last_seen_active, learn
from complyq_workers.pipeline.hints import job_hints, next_hint, plan_hint, publish_hint
from complyq_workers.pipeline.remote import BudgetError
from complyq_workers.pipeline.slot import release_slot
from complyq_workers.pipeline.step import Hint, Outcome, done
from complyq_workers.planner import Trouble
from complyq_workers.x import CancelUnsupportedError, XError

if TYPE_CHECKING:
    from datetime import datetime

    from complyq_producer.ledger import JobView
    from complyq_producer.model import RemoteId
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)

UNSUPPORTED_SECONDS = 3600.0
"""For how long a job that X does not cancel is not asked to be cancelled again."""


def finish(
    ports: Ports,
    job: JobView,
    status: str,
    *,
    error: str | None = None,
    failed: bool = False,
    max_bytes: int | None = None,
    download_url: str | None = None,
) -> Outcome:
    """Record that the remote job is final, or that there will be none, and pass the slot on.

    Args:
        ports: the outside world.
        job: the job.
        status: X's word, or "cancelled" or "parked".
        error: why there are no results, if there are none.
        failed: whether somebody is to blame for that.
        max_bytes: where the job was refused for its size, the most that the next one may have.
        download_url: where X says that the results are.
    """
    verdict = judge(ports, job) if failed else Trouble()
    finished = Finished(
        status=status,
        remote_id=job.remote_id,
        error=error,
        active_at=last_seen_active(ports, job),
        failed=failed,
        failures=verdict.failures,
        x_at_fault=verdict.x_at_fault,
        sealed_download_url=ports.sealer.seal(download_url) if download_url else None,
    )
    if not finished.has_results:
        counted = failed and counts(ports, job, verdict)
        record_attempts(ports, job, status, error=error, counted=counted, max_bytes=max_bytes)
    standing, ours = ports.facts.create(job.keys.finished, finished)
    release_slot(ports, job)
    if ours:
        log.info("job_finished", type=job.keys.type, plan=job.keys.plan_number, remote=job.remote_id, status=status,
                 error=error)  # fmt: skip
        _say_who_is_to_blame(job, standing)
        learn(ports, replace(job, finished=standing))
    return _passed_on(ports, replace(job, finished=standing), has_results=standing.has_results)


def _passed_on(ports: Ports, job: JobView, *, has_results: bool) -> Outcome:
    """Say what follows a final job. The same process goes on with the last hint.

    That is the slot if it is waited for, else what the batch waits for. Of a batch that is accepted from now on the hint
    to plan is still to come.
    """
    follow = job_hints(job) if has_results else settle_alone(job)
    following_job = _next_job(ports, job)
    if not _is_alone(ports, job):
        return done(*follow, plan_hint(job.keys.type), *following_job)
    if has_results and job.plan and not job.plan.divided_batches:
        return done(*following_job, *follow)
    return done(plan_hint(job.keys.type), *following_job, *follow)


def _next_job(ports: Ports, job: JobView) -> list[Hint]:
    """Look at the job after this one, if it was planned ahead. One that is planned from now on sees that this one is final."""
    following = JobKeys(job.keys.type, job.keys.plan_number + 1)
    return [next_hint(job)] if ports.store.info(following.plan) else []


def _is_alone(ports: Ports, job: JobView) -> bool:
    """Whether no other batch of the type is open, as far as a short look tells."""
    if job.plan is None or job.plan.is_merged:
        return False
    return all(batch_id in job.plan.batch_ids for batch_id in islice(ports.ledger.marked_batches(job.keys.type), 2))


def leave_uncollected(ports: Ports, job: JobView, status: str, *, error: str, counted: bool) -> Outcome:
    """Close a job that X calls complete without its results: its parts are not checked."""
    record_attempts(ports, job, status, error=error, counted=counted)
    nothing = Collected(available=False, parts=[], checked_at=checked_at(ports, job), error=error)
    ports.facts.create(job.keys.collected, nothing)
    return done(plan_hint(job.keys.type), *settle_alone(job))


def checked_at(ports: Ports, job: JobView) -> datetime:
    """When the upload finished: what X says about an ID later than that is not in the job's results."""
    return job.uploaded.finished_at if job.uploaded else ports.clock.now()


def record_attempts(
    ports: Ports, job: JobView, status: str, *, error: str | None, counted: bool, max_bytes: int | None = None
) -> None:
    """Record for each part that this plan did not check it. Comes before the fact that closes the plan.

    The job of several batches says nothing about any of them, unless it was too large.
    """
    if job.plan and job.plan.is_merged and max_bytes is None:
        return
    attempt = Attempt(plan=job.keys.plan_number, status=status, error=error, counted=counted, max_bytes=max_bytes)
    keys = [BatchKeys(part.batch_id).attempt(part.part, attempt.plan) for part in (job.plan.parts if job.plan else ())]
    ports.together(lambda key: ports.facts.create(key, attempt), keys)


def settle_hints(job: JobView) -> list[Hint]:
    """Look at every batch of the plan: something of it was decided."""
    return [publish_hint(batch_id) for batch_id in job.plan.batch_ids] if job.plan else []


def settle_alone(job: JobView) -> list[Hint]:
    """Look at the only batch of the plan: what becomes of a job of several decides nothing for any of them."""
    return [] if job.plan and job.plan.is_merged else settle_hints(job)


def _say_who_is_to_blame(job: JobView, finished: Finished) -> None:
    if finished.x_at_fault:
        log.error("x_at_fault", type=job.keys.type, failures=finished.failures)
    elif finished.failed and job.plan and job.plan.is_merged:
        log.warning("job_split", type=job.keys.type, plan=job.keys.plan_number, batches=len(job.plan.batch_ids))


def cancel_remote(ports: Ports, remote_id: RemoteId) -> bool:
    """Ask X to end a job; return whether it said so. Where it does not, the job expires by itself."""
    refused = f"cancel_unsupported:{remote_id}"
    if ports.coordination.seconds_until_due(refused) > 0:
        return False
    try:
        ports.remote.cancel_job(remote_id)
    except CancelUnsupportedError:
        ports.coordination.postpone(refused, UNSUPPORTED_SECONDS)
        return False
    except (BudgetError, XError) as error:
        log.warning("cancel_failed", remote=remote_id, error=str(error))
        return False
    log.info("job_cancelled", remote=remote_id)
    return True
