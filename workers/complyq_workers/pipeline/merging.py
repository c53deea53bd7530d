"""Makes the payload of a plan of several batches: all their IDs, each once, in order."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import structlog

from complyq_producer.facts import Attempt, Merged
from complyq_producer.layout import BatchKeys
from complyq_producer.ledger import JobPhase, JobView
from complyq_producer.model import BatchId
from complyq_workers.endings import MISSING
from complyq_workers.merging import merge_parts
from complyq_workers.pipeline.finishing import finish
from complyq_workers.pipeline.hints import job_hints, publish_hint
from complyq_workers.pipeline.step import Outcome, done
from complyq_workers.results import PartIds, PartUnreadableError

if TYPE_CHECKING:
    from complyq_producer.facts import Plan, PlannedPart
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)


def merge(ports: Ports, job: JobView, lease: StepLease) -> Outcome:
    """Make the payload of a plan. Whoever makes it makes the same bytes, and the first one's count."""
    if job.phase is not JobPhase.MERGING or job.plan is None:
        return done(*job_hints(job))
    try:
        merged = _merge(ports, job, job.plan, lease)
    except PartUnreadableError as error:
        return _without(ports, job, error)
    _, ours = ports.facts.create(job.keys.merged, merged)
    if ours:
        log.info("payload_merged", plan=job.keys.plan_number, ids=merged.count, bytes=merged.bytes,
                 shared=job.plan.count - merged.count)  # fmt: skip
    return done(*job_hints(JobView(job.keys, plan=job.plan, merged=merged)))


def part_ids(ports: Ports, plan: Plan) -> list[PartIds]:
    """Tell of each part of a plan whose it is, and how to read its IDs."""
    return [
        PartIds(part.batch_id, part.part, partial(ports.store.open, _ids_key(part)), part.bytes) for part in plan.parts
    ]


def _merge(ports: Ports, job: JobView, plan: Plan, lease: StepLease) -> Merged:
    with TemporaryDirectory(prefix="merge-", dir=ports.limits.spool_dir) as folder:
        into = Path(folder) / "payload.txt"
        payload = merge_parts(
            part_ids(ports, plan), into, spool_dir=Path(folder), together=ports.together, beat=lease.check
        )
        with into.open("rb") as file:
            ports.store.create_from(job.keys.payload, file)
    return Merged(count=payload.count, bytes=payload.bytes)


def _without(ports: Ports, job: JobView, error: PartUnreadableError) -> Outcome:
    """Fail the batch that lost a part, and plan the others again."""
    log.error("part_missing", batch=error.batch_id, part=error.part, error=str(error))
    lost = Attempt(plan=0, status=MISSING, error=str(error), counted=True)
    batch_id = BatchId(error.batch_id)
    ports.facts.create(BatchKeys(batch_id).attempt(error.part, 0), lost)
    return finish(ports, job, "cancelled", error=str(error)).with_hints([publish_hint(batch_id)])


def _ids_key(part: PlannedPart) -> str:
    return BatchKeys(part.batch_id).ids(part.part)
