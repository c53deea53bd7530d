"""Makes the events of a batch from its facts, in the order in which they are published: the same facts, the same bytes."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from complyq_producer.stored_lines import stored_lines
from complyq_workers.events import BuiltEvent, end_event, parked_event, results_event
from complyq_workers.pipeline.end_of_batch import batch_info, parked_info, results_ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.facts import Outcome
    from complyq_producer.ledger import BatchView, CheckedPart
    from complyq_workers.pipeline.ports import Ports


def parked_events(ports: Ports, view: BatchView) -> Iterator[BuiltEvent]:
    """Make the warnings about what of a batch was parked."""
    for parked in view.parked.values():
        trace = view.record.traceparent
        yield parked_event(ports.limits.namespace, batch_info(view), parked_info(parked), traceparent=trace)


def results_events(ports: Ports, view: BatchView) -> Iterator[BuiltEvent]:
    """Make the messages of all parts with results that count, as their facts cut them.

    What comes later is published later, so that the number of messages passed tells how far publishing has come.
    """
    for part in sorted(view.counted_parts(), key=lambda part: (part.plan, part.results.part)):
        yield from _of_part(ports, view, part)


def last_event(ports: Ports, outcome: Outcome) -> BuiltEvent:
    """Make the end of a batch."""
    return end_event(ports.limits.namespace, outcome.state, outcome.data, traceparent=outcome.traceparent)


def _of_part(ports: Ports, view: BatchView, part: CheckedPart) -> Iterator[BuiltEvent]:
    messages = _inline_messages(ports, part) if part.results.inline else iter([None] * len(part.results.messages))
    for sequence, lines in enumerate(messages):
        yield results_event(
            ports.limits.namespace,
            batch_info(view),
            part=part.results.part,
            sequence=sequence,
            checked_at=part.checked_at,
            remote_id=part.remote_id or "",
            results=lines if lines is not None else results_ref(ports, part),
            time=part.checked_at,
            traceparent=view.record.traceparent,
        )


def _inline_messages(ports: Ports, part: CheckedPart) -> Iterator[list[bytes] | None]:
    if not part.results.messages:
        return
    with ports.store.open(part.results.key) as stream:
        lines = stored_lines(stream, part.results.format, ports.limits.spool_dir)
        for count in part.results.messages:
            yield list(islice(lines, count))
