"""Decides how a batch ends, and puts its events on the results queue: results first, the end last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from complyq_producer import layout
from complyq_producer.facts import CountedPart, Published
from complyq_producer.facts import Outcome as OutcomeFact
from complyq_producer.results import read_lines
from complyq_workers.pipeline.hints import plan_hint
from complyq_workers.pipeline.step import Outcome, done
from complyq_workers.planner import End, decide_end

if TYPE_CHECKING:
    from datetime import datetime

    from complyq_producer.ledger import BatchView, CheckedPart
    from complyq_producer.model import BatchId
    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.pipeline.step import StepLease

log = structlog.get_logger(__name__)


def publish(ports: Ports, batch_id: BatchId, lease: StepLease) -> Outcome:
    """Publish what is collected of a batch, decide its end if that is due, and publish the end."""
    view = ports.ledger.batch(batch_id)
    if view is None:
        return done()
    if not view.published:
        outcome = view.outcome or _decide(ports, view)
        messages = _publish_results(ports, view, outcome, lease)
        if outcome is None:
            return done()
        _publish_end(ports, view, outcome)
        ports.facts.create(view.keys.published, Published(messages=messages))
    _close(ports, view)
    return done(plan_hint(view.record.type))


def _decide(ports: Ports, view: BatchView) -> OutcomeFact | None:
    """Create the outcome, if the batch has come to an end. Whoever creates it first decides."""
    end = decide_end(view, max_attempts=ports.limits.max_attempts)
    if end is None:
        return None
    counted = [CountedPart(part=part, plan=checked.plan) for part, checked in sorted(view.checked.items())]
    fact = OutcomeFact(state=end.state, error=end.error, counted=counted, data={})
    fact = msgspec.structs.replace(fact, data=_end_data(ports, view, end, fact.recorded_at))
    outcome, ours = ports.facts.create(view.keys.outcome, fact)
    if ours:
        log.info("batch_ended", batch=view.record.batch_id, state=outcome.state, error=outcome.error)
    return outcome
