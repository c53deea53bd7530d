"""Decides how a batch ends, and puts its events on the results queue: results first, the end last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from complyq_producer import layout
from complyq_producer.facts import CountedPart, Published
from complyq_producer.facts import Outcome as OutcomeFact
from complyq_producer.stored_lines import stored_lines
from complyq_workers.coordination import Counter
from complyq_workers.endings import decide_end
from complyq_workers.events import BuiltEvent, end_data, end_event, parked_event, results_event
from complyq_workers.pipeline.end_of_batch import batch_info, parked_info, results_ref, tally
from complyq_workers.pipeline.hints import job_hints
from complyq_workers.pipeline.step import SOON_SECONDS, Hint, Outcome, again, done

if TYPE_CHECKING:
    from complyq_producer.facts import BatchRecord
    from complyq_producer.ledger import BatchView, CheckedPart
    from complyq_producer.model import BatchId
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)


def publish(ports: Ports, batch_id: BatchId, lease: StepLease) -> Outcome:
    """Publish what is collected of a batch, decide its end if that is due, and publish the end."""
    view = ports.ledger.batch(batch_id)
    if view is None:
        return done()
    if view.published:
        _close(ports, view)
        return done()
    for parked in view.parked.values():
        _publish(ports, parked_event(ports.limits.namespace, batch_info(view), parked_info(parked)))
    if view.parked_publishing(ports.clock.now()):
        return done()
    outcome = view.outcome or _decide(ports, view)
    if outcome and not _all_known(view, outcome):
        return again(0.0)  # decided by somebody who saw more than we did: read again
    messages = 0
    for part in _in_order_of_jobs(replace(view, outcome=outcome).counted_parts()):
        messages = _publish_part(ports, view, part, lease, messages)
    if outcome is None:
        return done()
    _publish(ports, end_event(ports.limits.namespace, outcome.state, outcome.data))
    ports.facts.create(view.keys.published, Published(messages=messages))
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
    fact = OutcomeFact(state=end.state, error=end.error, counted=counted, data=data, recorded_at=now)
    outcome, ours = ports.facts.create(view.keys.outcome, fact)
    if ours:
        log.info("batch_ended", batch=view.record.batch_id, state=outcome.state, error=outcome.error)
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


def _in_order_of_jobs(parts: list[CheckedPart]) -> list[CheckedPart]:
    """What comes later is published later, so that the number of messages passed tells how far publishing has come."""
    return sorted(parts, key=lambda part: (part.plan, part.results.part))


def _publish_part(ports: Ports, view: BatchView, part: CheckedPart, lease: StepLease, before: int) -> int:
    """Publish the messages of a part, as its fact cut them; return how many there are with those `before` it."""
    messages = _inline_messages(ports, part) if part.results.inline else iter([None] * len(part.results.messages))
    for sequence, lines in enumerate(messages):
        lease.check()
        event = results_event(
            ports.limits.namespace,
            batch_info(view),
            part=part.results.part,
            sequence=sequence,
            checked_at=part.checked_at,
            remote_id=part.remote_id or "",
            results=lines if lines is not None else results_ref(ports, part),
            time=part.checked_at,
        )
        _publish(ports, event)
        lease.note_progress(before + sequence + 1)  # also where an earlier run died before it could
    return before + len(part.results.messages)


def _inline_messages(ports: Ports, part: CheckedPart) -> Iterator[list[bytes] | None]:
    if not part.results.messages:
        return
    with ports.store.open(part.results.key) as stream:
        lines = stored_lines(stream, part.results.format, ports.limits.spool_dir)
        for count in part.results.messages:
            yield list(islice(lines, count))


def _publish(ports: Ports, event: BuiltEvent) -> None:
    if ports.events.publish(event.batch_id, event.id, event.body):
        log.info("event_published", event_id=event.id, bytes=len(event.body))


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
    ports.store.create(layout.done_marker(view.record.batch_id, ended_at), b"")
    ports.store.delete(view.keys.open_marker(view.record.type))
