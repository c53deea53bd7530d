"""Finds unfinished work whose message was lost: hints at all of it, whatever the messages say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from complyq_producer import layout, task_names
from complyq_producer.errors import UnknownSchemaError
from complyq_producer.layout import BatchKeys
from complyq_producer.ledger import JobPhase
from complyq_producer.model import BatchId, ComplianceType
from complyq_workers.pipeline.hints import job_hints, plan_hint, publish_hint
from complyq_workers.pipeline.looking import look, needs_settling
from complyq_workers.pipeline.purging import purge_hints
from complyq_workers.pipeline.queue_display import show_queue
from complyq_workers.pipeline.replaying import notice_loss, replay_hints
from complyq_workers.pipeline.step import Hint, Outcome, done
from complyq_workers.pipeline.unsettled import show_backlog, show_unsettled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from complyq_producer.ledger import JobView
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)

LOOKED_AT = 256
"""So many open batches are looked at closely each time."""
STAGING_KEPT = timedelta(days=7)
"""Staging that was never accepted is deleted after this time; producers refuse to accept it long before."""


def sweep(ports: Ports, lease: StepLease) -> Outcome:
    """Hint at every open job and replay, and at planning wherever a batch is open; delete abandoned staging."""
    hints: list[Hint] = []
    for type_ in ComplianceType:
        hints += _hints_of(ports, type_)
        lease.check()
        _delete_abandoned_staging(ports, type_)
    show_backlog(ports)
    notice_loss(ports)
    hints += replay_hints(ports) + purge_hints(ports)
    # Every worker hints at sweeps; one sweep in each half interval is enough for all.
    ports.coordination.postpone(Hint(task_names.SWEEP).step, ports.limits.sweep_seconds / 2)
    log.debug("swept", hints=len(hints))
    return done(*hints)


def _hints_of(ports: Ports, type_: ComplianceType) -> Iterator[Hint]:
    jobs = list(_readable_jobs(ports, type_))
    for job in jobs:
        if job.plan:
            yield from job_hints(job)
    marked = list(ports.ledger.marked_batches(type_))
    has_ended = any(job.phase in {JobPhase.CLOSED, JobPhase.SPLIT} for job in jobs[:-1])
    if has_ended or marked:
        yield plan_hint(type_)
    if not marked:
        show_queue(ports, type_, [], [], 0)  # nobody plans now: what was shown last would stand there for an hour
    yield from _settle_hints(ports, type_, marked)


def _settle_hints(ports: Ports, type_: ComplianceType, marked: Sequence[BatchId]) -> list[Hint]:
    """Look closely at some of the open batches, in turn: a message about what was decided of one may be lost."""
    begin = int(ports.clock.now().timestamp() / ports.limits.sweep_seconds) * LOOKED_AT % max(1, len(marked))
    views = look(ports, (*marked[begin:], *marked[:begin])[:LOOKED_AT])
    show_unsettled(ports, type_, marked, views)
    return [publish_hint(view.record.batch_id) for view in views.values() if view and needs_settling(ports, view)]


def _readable_jobs(ports: Ports, type_: ComplianceType) -> Iterator[JobView]:
    """What a newer version has written is left to it; all other work goes on."""
    for number in ports.ledger.marked_plans(type_):
        try:
            yield ports.ledger.job(type_, number)
        except UnknownSchemaError as error:
            log.error("job_not_readable", type=type_, plan=number, error=str(error))  # noqa: TRY400 - no bug of ours


def _delete_abandoned_staging(ports: Ports, type_: ComplianceType) -> None:
    """Delete what producers that died left behind. The age is an estimate, with days to spare on both sides."""
    for marker in ports.store.list(layout.open_batches(type_)):
        keys = BatchKeys(BatchId(marker.key.rsplit("/", 1)[1]))
        if ports.clock.now() - marker.modified_at < STAGING_KEPT or ports.store.info(keys.record):
            continue
        log.warning("abandoned_staging_deleted", batch=keys.batch_id)
        for part in list(ports.store.list(f"{keys.folder}ids/")):  # never a record that came just now
            ports.store.delete(part.key)
        if (
            ports.store.info(keys.record) is None
        ):  # accepted at the last moment: it stays visible, and fails with its event
            ports.store.delete(marker.key)
