"""Downloads what X found, gives each part its own results, and stores them. What can no longer be had is said so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import structlog

from complyq_config.errors import ComplyqError
from complyq_producer.errors import ObjectNotFoundError
from complyq_producer.ledger import JobPhase, JobView
from complyq_workers.download import (
    DownloadError,
    DownloadExpiredError,
    DownloadInterruptedError,
    Progress,
    download,
    is_direct,
    most_bytes,
)
from complyq_workers.pipeline.finishing import leave_uncollected, settle_hints
from complyq_workers.pipeline.hints import is_light, job_hints
from complyq_workers.pipeline.lease import STEP_SECONDS
from complyq_workers.pipeline.merging import part_ids
from complyq_workers.pipeline.recording import record_results
from complyq_workers.pipeline.remote import BudgetError
from complyq_workers.pipeline.step import Outcome, again, done
from complyq_workers.pipeline.storing import DifferentResultsError, store_part
from complyq_workers.pipeline.windows import results_are_gone
from complyq_workers.results import (
    AnswerRows,
    ChildError,
    Helper,
    PartUnreadableError,
    ResultsUnreadableError,
    index_ids,
    read_answer,
    unexpected_values,
)
from complyq_workers.results import collect as take_apart
from complyq_workers.sealing import UnsealError
from complyq_workers.together import one_by_one
from complyq_workers.x import AmbiguousAnswerError, ForbiddenOriginError, JobNotFoundError, UnauthorizedError, XError
from complyq_workers.x.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from complyq_producer.facts import Plan
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.results import Collection, IdIndex, PartFiles

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
            collection = _take_apart(ports, job, job.plan, folder, lease)
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
        number = job.plan.number
        try:
            parts = ports.together(lambda files: store_part(ports, number, files), _wanted(ports, job, collection))
        except DifferentResultsError as error:
            return _unusable(ports, job, error)
    _log_surprises(job, collection)
    record_results(ports, job, parts, collection.foreign)
    return done(*settle_hints(job))


def _fetch(ports: Ports, job: JobView, into: Path, watch: Progress) -> None:
    """Download the results. X is asked for their URL only where the one it gave last leads nowhere."""
    told = _told_url(ports, job)
    if told:
        try:
            _download(ports, job, told, into, watch)
            return
        except DownloadExpiredError as error:
            log.info("download_url_expired", plan=job.keys.plan_number, reason=str(error))
    _download(ports, job, _asked_url(ports, job), into, watch)


def _download(ports: Ports, job: JobView, url: str, into: Path, watch: Progress) -> None:
    with into.open("w+b") as file:
        downloaded = download(
            ports.transport,
            url,
            file,
            with_bearer=is_direct(url, ports.limits.api_url),
            max_bytes=most_bytes(job.count),
            on_progress=watch,
            patience=Patience(wait=ports.clock.sleep),
        )
    log.info("results_downloaded", bytes=downloaded.bytes, crc32c_verified=downloaded.crc32c_verified)


def _watch(ports: Ports, lease: StepLease, helper: Helper | None) -> Progress:
    """Stop a download that does not get through while the lease is kept; said so, it is tried a few times only.

    Who is to help with a large answer gets ready meanwhile.
    """
    deadline = ports.clock.monotonic() + STEP_SECONDS

    def watch(done: int, total: int | None) -> None:
        lease.check()
        if helper:
            helper.expect(total or done)
        if ports.clock.monotonic() > deadline:
            raise DownloadTooSlowError(f"{done} of {total or 'an unknown number of'} bytes came in {STEP_SECONDS} s")

    return watch


def _told_url(ports: Ports, job: JobView) -> str | None:
    """Return the URL that X gave when it called the job complete, if that was just now.

    After a failure it is too old, so that X is asked; so it is where the clock of who wrote it down was ahead of ours.
    """
    finished = job.finished
    if finished is None or finished.sealed_download_url is None:
        return None
    if not 0 <= (ports.clock.now() - finished.recorded_at).total_seconds() <= ports.limits.poll_max_seconds:
        return None
    with suppress(UnsealError):
        return ports.sealer.unseal(finished.sealed_download_url)
    return None


def _asked_url(ports: Ports, job: JobView) -> str:
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


def _take_apart(ports: Ports, job: JobView, plan: Plan, folder: Path, lease: StepLease) -> Collection:
    """Take X's answer apart, with another process if it is large; alone where that failed, or where this one crashed before.

    Memory that is enough for one process may be too little for two.
    """
    if lease.starts <= 1:
        with closing(Helper(job.keys.type, folder)) as helper:
            try:
                return _collected(ports, job, plan, folder, lease, helper)
            except ChildError as error:
                if not helper.is_there:
                    raise
                log.warning("collected_alone", plan=job.keys.plan_number, error=str(error))
    return _collected(ports, job, plan, folder, lease, None)


def _collected(
    ports: Ports, job: JobView, plan: Plan, folder: Path, lease: StepLease, helper: Helper | None
) -> Collection:
    """Download and read X's answer, while the IDs are read that were asked for, and give each part its own."""
    parts = part_ids(ports, plan)
    with closing(AnswerRows(job.keys.type, folder)) as answer:
        works: list[Callable[[], IdIndex | None]] = [
            partial(_read_answer, ports, job, answer, folder / "answer.jsonl", lease, helper),
            partial(index_ids, parts, folder, together=ports.together, beat=lease.check),
        ]
        # Threads take longer to start than a small job takes.
        _, index = (one_by_one if is_light(job) else ports.together)(lambda work: work(), works)
        return take_apart(
            answer,
            parts,
            cast("IdIndex", index),
            spool_dir=folder,
            results_format=ports.limits.results_format,
            helper=helper,
            beat=lease.check,
        )


def _read_answer(
    ports: Ports, job: JobView, answer: AnswerRows, into: Path, lease: StepLease, helper: Helper | None
) -> None:
    _fetch(ports, job, into, _watch(ports, lease, helper))
    read_answer(answer, into, helper=helper, beat=lease.check)
    into.unlink()  # so that there is room for what is made of it


def _wanted(ports: Ports, job: JobView, collection: Collection) -> Sequence[PartFiles]:
    """Leave out the parts of batches that ended meanwhile, while others of the job went on."""
    if job.plan is None or not job.plan.is_merged:
        return collection.parts
    still_open = set(ports.ledger.marked_batches(job.keys.type))
    return [files for files in collection.parts if files.batch_id in still_open]


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


def _failures(job: JobView) -> str:
    return f"unusable_results:{job.keys.type}:{job.keys.plan_number}"


@contextmanager
def _work_folder(ports: Ports) -> Iterator[Path]:
    with TemporaryDirectory(prefix="collect-", dir=ports.limits.spool_dir) as folder:
        yield Path(folder)
