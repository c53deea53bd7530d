"""Downloads what X found, gives each part its own results, and stores them. What can no longer be had is said so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import structlog

from complyq_config.errors import ComplyqError
from complyq_producer.errors import ObjectNotFoundError
from complyq_producer.facts import Collected, CollectedPart
from complyq_producer.layout import BatchKeys
from complyq_producer.ledger import JobPhase, JobView
from complyq_workers.download import (
    DownloadError,
    DownloadExpiredError,
    DownloadInterruptedError,
    download,
    is_direct,
    most_bytes,
)
from complyq_workers.pipeline.finishing import checked_at, leave_uncollected, settle_hints
from complyq_workers.pipeline.hints import job_hints, plan_hint
from complyq_workers.pipeline.lease import STEP_SECONDS
from complyq_workers.pipeline.remote import BudgetError
from complyq_workers.pipeline.step import Outcome, again, done
from complyq_workers.pipeline.windows import results_are_gone
from complyq_workers.results import (
    PartIds,
    PartSummary,
    PartUnreadableError,
    ResultsUnreadableError,
    summarize,
    unexpected_values,
)
from complyq_workers.results import collect as take_apart
from complyq_workers.sealing import UnsealError
from complyq_workers.x import AmbiguousAnswerError, ForbiddenOriginError, JobNotFoundError, UnauthorizedError, XError
from complyq_workers.x.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.facts import PlannedPart
    from complyq_producer.model import BatchId
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.results import Collection, PartFiles

log = structlog.get_logger(__name__)

UNUSABLE_LIMIT = 5
"""After so many downloads that failed for good or could not be read the results count as unavailable."""
UNAVAILABLE = "unavailable"


class DownloadTooSlowError(DownloadError):
    """The results did not come in the time that a step has."""


def collect(ports: Ports, job: JobView, lease: StepLease) -> Outcome:
    """Download and store the results of a job that X calls complete."""
    if job.phase is not JobPhase.FINISHED or job.plan is None or job.remote_id is None:
        return done(*job_hints(job))
    with _work_folder(ports) as folder:
        try:
            answer = folder / "answer.jsonl"
            _download(ports, job, answer, lease)
            collection = _take_apart(ports, job, answer, folder, lease)
        except (
            AmbiguousAnswerError,
            BudgetError,
            DownloadInterruptedError,
            ForbiddenOriginError,  # a setting can mend that, and the results wait for days
            UnauthorizedError,
        ) as error:
            if results_are_gone(job, ports.clock.now()):
                return _unavailable(ports, job, f"the results expired before they could be had: {error}")
            raise
        except (DownloadError, ObjectNotFoundError, PartUnreadableError, ResultsUnreadableError, XError) as error:
            return _unusable(ports, job, error)
        parts = [_store(ports, job.plan.number, files) for files in collection.parts]
    _log_surprises(job, collection)
    return _record(ports, job, parts, collection.foreign)


def _download(ports: Ports, job: JobView, into: Path, lease: StepLease) -> None:
    url = _download_url(ports, job)
    with into.open("w+b") as file:
        downloaded = download(
            ports.transport,
            url,
            file,
            with_bearer=is_direct(url, ports.limits.api_url),
            max_bytes=most_bytes(job.plan.count if job.plan else 0),
            on_progress=_watch(ports, lease),
            patience=Patience(wait=ports.clock.sleep),
        )
    log.info("results_downloaded", bytes=downloaded.bytes, crc32c_verified=downloaded.crc32c_verified)


def _watch(ports: Ports, lease: StepLease) -> Callable[[int, int | None], None]:
    """Stop a download that does not get through while the lease is kept; said so, it is tried a few times only."""
    deadline = ports.clock.monotonic() + STEP_SECONDS

    def watch(done: int, total: int | None) -> None:
        lease.check()
        if ports.clock.monotonic() > deadline:
            raise DownloadTooSlowError(f"{done} of {total or 'an unknown number of'} bytes came in {STEP_SECONDS} s")

    return watch


def _download_url(ports: Ports, job: JobView) -> str:
    """Ask X for the URL, and fall back on the one it gave when the job was created."""
    with suppress(BudgetError, JobNotFoundError):
        remote = ports.remote.get_job(job.remote_id).value  # type: ignore[arg-type] # checked by collect
        if remote.download_url:
            return remote.download_url
    sealed = job.created.sealed_download_url if job.created else None
    try:
        if sealed:
            return ports.sealer.unseal(sealed)
    except UnsealError as error:
        raise DownloadExpiredError(f"X names no download URL, and the one it gave cannot be opened: {error}") from error
    raise DownloadExpiredError("X names no download URL for the job")


def _take_apart(ports: Ports, job: JobView, answer: Path, folder: Path, lease: StepLease) -> Collection:
    planned = job.plan.parts if job.plan else []
    parts = [PartIds(part.batch_id, part.part, partial(ports.store.open, _ids_key(part))) for part in planned]
    return take_apart(answer, parts, job_type=job.keys.type, spool_dir=folder, beat=lease.check)


def _store(ports: Ports, plan: int, files: PartFiles) -> tuple[PartFiles, PartSummary, str, str | None]:
    """Store the objects of a part. Where another writer was first, what it stored is what counts."""
    keys = BatchKeys(files.batch_id)  # type: ignore[arg-type] # the id of a batch
    key, rejected_key = keys.results_of(files.part, plan), keys.rejected_of(files.part, plan)
    if files.rejected:
        _create_from(ports, rejected_key, files.rejected)
    if _create_from(ports, key, files.results):
        return files, files.summary, key, rejected_key if files.rejected else None
    has_rejected = ports.store.info(rejected_key) is not None
    opener = partial(ports.store.open, rejected_key) if has_rejected else None
    return files, summarize(partial(ports.store.open, key), opener), key, rejected_key if has_rejected else None


def _create_from(ports: Ports, key: str, path: Path) -> bool:
    with path.open("rb") as file:
        return ports.store.create_from(key, file)


def _record(
    ports: Ports, job: JobView, stored: list[tuple[PartFiles, PartSummary, str, str | None]], foreign: int
) -> Outcome:
    inline = _inline_batches(ports, stored)
    parts = [
        CollectedPart(
            batch_id=files.batch_id,  # type: ignore[arg-type] # the id of a batch
            part=files.part,
            key=key,
            count=summary.count,
            bytes=summary.bytes,
            sha256=summary.sha256,
            by_action=summary.by_action,
            by_reason=summary.by_reason,
            rejected=summary.rejected,
            rejected_key=rejected_key,
            inline=files.batch_id in inline,
            messages=summary.messages if files.batch_id in inline else [summary.count] if summary.count else [],
        )
        for files, summary, key, rejected_key in stored
    ]
    collected = Collected(available=True, parts=parts, checked_at=checked_at(ports, job), foreign=foreign)
    _, ours = ports.facts.create(job.keys.collected, collected)
    ports.coordination.clear_failures(_failures(job))
    if ours:
        log.info("results_collected", plan=job.keys.plan_number, results=sum(part.count for part in parts))
    return done(plan_hint(job.keys.type), *settle_hints(job))


def _inline_batches(ports: Ports, stored: list[tuple[PartFiles, PartSummary, str, str | None]]) -> set[str]:
    """Return the batches whose results, with those of earlier jobs, are few enough to travel inside the events."""
    counts: dict[BatchId, int] = {}
    for files, summary, _, _ in stored:
        batch_id: BatchId = files.batch_id  # type: ignore[assignment] # the id of a batch
        counts[batch_id] = counts.get(batch_id, 0) + summary.count
    return {
        batch_id
        for batch_id, count in counts.items()
        if count + _counted_before(ports, batch_id) <= ports.limits.events_inline_max
    }


def _counted_before(ports: Ports, batch_id: BatchId) -> int:
    view = ports.ledger.batch(batch_id)
    return sum(part.results.count for part in view.checked.values()) if view else 0


def _unusable(ports: Ports, job: JobView, error: ComplyqError) -> Outcome:
    """Download again: a damaged answer is never taken for "compliant". Give up after a while."""
    failures = ports.coordination.count_failure(_failures(job))
    log.warning("results_unusable", plan=job.keys.plan_number, failures=failures, error=str(error))
    if failures < UNUSABLE_LIMIT:
        return again(ports.limits.poll_max_seconds * 2**failures)
    return _unavailable(ports, job, f"the results could not be had: {error}")


def _unavailable(ports: Ports, job: JobView, error: str) -> Outcome:
    """The job is done and its results are lost: its parts are planned again."""
    log.error("results_unavailable", plan=job.keys.plan_number, remote=job.remote_id, error=error)
    return leave_uncollected(ports, job, UNAVAILABLE, error=error, counted=True)


def _log_surprises(job: JobView, collection: Collection) -> None:
    for files in collection.parts:
        unexpected = unexpected_values(files.summary)
        if unexpected:
            log.warning("unexpected_values", batch=files.batch_id, part=files.part, values=unexpected)
    if collection.foreign or collection.repeated or collection.unattributed:
        log.warning("surprising_results", plan=job.keys.plan_number, lines=collection.lines, foreign=collection.foreign,
                    examples=collection.foreign_examples, repeated=collection.repeated,
                    unattributed=collection.unattributed)  # fmt: skip


def _ids_key(part: PlannedPart) -> str:
    return BatchKeys(part.batch_id).ids(part.part)


def _failures(job: JobView) -> str:
    return f"unusable_results:{job.keys.type}:{job.keys.plan_number}"


@contextmanager
def _work_folder(ports: Ports) -> Iterator[Path]:
    with TemporaryDirectory(prefix="collect-", dir=ports.limits.spool_dir) as folder:
        yield Path(folder)
