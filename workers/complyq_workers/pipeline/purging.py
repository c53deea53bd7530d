"""Purges by itself, from time to time, what ended longer ago than it is to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from complyq_producer import task_names
from complyq_producer.purging import Purge, PurgeReport, before_days
from complyq_workers.pipeline.step import Hint, Outcome, again, done

if TYPE_CHECKING:
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)

STEP_SECONDS = 5.0
"""After this time a step ends, so that others have their turn."""
PAUSE_SECONDS = 6 * 3600.0
"""So long nobody looks again, once nothing is left to remove."""


def purge_hints(ports: Ports) -> list[Hint]:
    """Ask for a purge if one is due."""
    hint = Hint(task_names.PURGE)
    return [hint] if ports.limits.retention_days is not None and ports.coordination.is_idle(hint.step) else []


def purge(ports: Ports, lease: StepLease) -> Outcome:
    """Remove some more of what is not to be kept any longer."""
    days = ports.limits.retention_days
    if days is None:
        return done()
    ends = ports.clock.monotonic() + STEP_SECONDS
    one = Purge(ports.store, before_days(days, ports.clock.now()), ports.together, now=ports.clock.now)
    report = PurgeReport()
    for report in one.run():
        lease.check()
        if ports.clock.monotonic() >= ends and report != PurgeReport():
            log.info("purged", done=False, **_counts(report))
            return again(0.0)
    if report.objects:
        log.info("purged", done=True, **_counts(report))
    ports.coordination.postpone(lease.name, PAUSE_SECONDS)
    return done()


def _counts(report: PurgeReport) -> dict[str, int]:
    return {name: getattr(report, name) for name in report.__struct_fields__}
