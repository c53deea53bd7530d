"""Decides how a batch ends, and puts its events on the results queue: results first, the end last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from complyq_producer import layout
from complyq_producer.facts import CountedPart, Published
from complyq_producer.facts import Outcome as OutcomeFact
from complyq_workers.coordination import Counter, Histogram
from complyq_workers.counting import count_event
from complyq_workers.endings import decide_end
from complyq_workers.events import BuiltEvent, end_data
from complyq_workers.pipeline.batch_events import last_event, parked_events, results_events
from complyq_workers.pipeline.end_of_batch import batch_info, tally
from complyq_workers.pipeline.hints import job_hints
from complyq_workers.pipeline.step import SOON_SECONDS, Hint, Outcome, again, done
from complyq_workers.tracing import work_on_batch

if TYPE_CHECKING:
    from complyq_producer.facts import BatchRecord
    from complyq_producer.ledger import BatchView
    from complyq_producer.model import BatchId
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)


def publish(ports: Ports, batch_id: BatchId, lease: StepLease) -> Outcome:
    """Publish what is collected of a batch, decide its end if that is due, and publish the end."""
    view = ports.ledger.batch(batch_id)
    if view is None:
        return done()
    work_on_batch(view)
    if view.published:
        _close(ports, view)
        return done()
    for warning in parked_events(ports, view):
        _publish(ports, warning)  # whatever waits already: somebody has to look
    if view.parked_publishing(ports.clock.now()):
        return done()
    outcome = view.outcome or _decide(ports, view)
    if outcome and not _all_known(view, outcome):
        return again(0.0)  # decided by somebody who saw more than we did: read again
    messages = 0
    for event in results_events(ports, replace(view, outcome=outcome)):
        lease.check()
        ports.room.require()
        if messages:
            lease.note_progress(messages)  # also where an earlier run died before it could
        _publish(ports, event)
        messages += 1
    if outcome is None:
        return done()
    ports.room.require()
    _publish(ports, last_event(ports, outcome))
    published, ours = ports.facts.create(view.keys.published, Published(messages=messages))
    if ours:
        seconds = (published.recorded_at - view.accepted_at).total_seconds()
        ports.coordination.observe(Histogram.DELIVERY, view.record.type, seconds)
    _close(ports, replace(view, outcome=outcome))
    return done(*(_wake_jobs(ports, view) if outcome.state == "cancelled" else ()))


def _decide(ports: Ports, view: BatchView) -> OutcomeFact | None:
    """Create the outcome, if the batch has come to an end. Whoever creates it first decides."""
    now = ports.clock.now()
    end = decide_end(view, max_attempts=ports.limits.max_attempts, now=now)
    if end is None:
        return None
    counted = [
        CountedPart(part=part, plan=checked.plan, format=checked.results.format)
        for part, checked in sorted(view.checked.items())
    ]
    data = end_data(end.state, batch_info(view), tally(ports, view, end, now))
    trace = view.record.traceparent
    fact = OutcomeFact(state=end.state, error=end.error, counted=counted, data=data, traceparent=trace, recorded_at=now)
    outcome, ours = ports.facts.create(view.keys.outcome, fact)
    if ours:
        log.info("batch_ended", batch=view.record.batch_id, state=outcome.state, error=outcome.error)
        ports.coordination.count(Counter.BATCHES_ENDED, view.record.type, outcome.state)
        _note_if_late(ports, view.record, outcome)
    return outcome


def _note_if_late(ports: Ports, record: BatchRecord, outcome: OutcomeFact) -> None:
    """Say and count that a batch missed its deadline, however it ended; called once, by whoever decided its end."""
    if record.deadline is None or outcome.recorded_at <= record.deadline:
        return
    late = (outcome.recorded_at - record.deadline).total_seconds()
    log.warning("batch_ended_late", batch=record.batch_id, type=record.type, state=outcome.state, seconds_late=late)
    ports.coordination.count(Counter.BATCHES_ENDED_LATE, record.type)


def _all_known(view: BatchView, outcome: OutcomeFact) -> bool:
    return all(part.part in view.checked for part in outcome.counted)


def _publish(ports: Ports, event: BuiltEvent) -> None:
    if ports.events.publish(event.batch_id, event.id, event.body):
        log.info("event_published", event_id=event.id, bytes=len(event.body))
        count_event(ports.coordination, event.id)


def _wake_jobs(ports: Ports, view: BatchView) -> list[Hint]:
    """Look at a job that had the batch at once: if it had no other, it is to be cancelled."""
    jobs = (job for job in ports.ledger.marked_jobs(view.record.type) if job.holds_slot)
    carrying = (job for job in jobs if job.plan and view.record.batch_id in job.plan.batch_ids)
    hints = [hint for job in carrying for hint in job_hints(job)]
    for hint in hints:
        ports.coordination.postpone(hint.step, SOON_SECONDS)
    return hints


def _close(ports: Ports, view: BatchView) -> None:
    """Mark the batch as done, and remove the marker by which workers find it, in this order."""
    ended_at = view.outcome.recorded_at if view.outcome else view.accepted_at
    if view.purged is None:
        ports.store.create(layout.done_marker(view.record.batch_id, ended_at), b"")
    ports.store.delete(view.keys.open_marker(view.record.type))
