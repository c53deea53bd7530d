"""What the results queue, and a listener to it, must have got."""

from collections.abc import Iterable, Iterator, Sequence

from soak.evidence import Copy, Evidence
from support.event_contract import breach


def same_id_same_content(evidence: Evidence) -> Iterator[str]:
    """All copies of an event on the queue are the same bytes, and a listener got that content."""
    first: dict[str, Copy] = {}
    for copy in evidence.stream:
        if first.setdefault(copy.id, copy).body != copy.body:
            yield f"two contents of {copy.id}"
    for copy in evidence.recorded:
        if copy.id in first and _essence(copy) != _essence(first[copy.id]):
            yield f"a listener got another content of {copy.id}"


def events_keep_the_contract(evidence: Evidence) -> Iterator[str]:
    """Every event on the queue is as its schema says."""
    for copy in evidence.stream:
        if said := breach(copy.event):
            yield f"{copy.id}: {said}"


def everything_is_delivered(evidence: Evidence) -> Iterator[str]:
    """A listener that read all the time got every event at least once, and nothing vanished from the queue."""
    published, delivered = ({copy.id for copy in copies} for copies in (evidence.stream, evidence.recorded))
    yield from (f"{id_} was never delivered" for id_ in sorted(published - delivered))
    yield from (f"{id_} is gone from the queue" for id_ in sorted(delivered - published))


def one_end_for_a_batch(evidence: Evidence) -> Iterator[str]:
    """Every accepted batch has an outcome and its event, and no other end."""
    for batch_id in evidence.accepted:
        ends = {copy.id for copy in evidence.events_of.get(batch_id, ()) if copy.is_end}
        key = f"batches/{batch_id}/outcome.json"
        if key not in evidence.objects:
            yield f"{batch_id} has no outcome; its ends on the queue: {sorted(ends)}"
        elif ends != {f"{batch_id}/{evidence.fact(key)['state']}"}:
            yield f"{batch_id} {evidence.fact(key)['state']}, and its ends on the queue are {sorted(ends)}"


def no_event_is_foreign(evidence: Evidence) -> Iterator[str]:
    """Events are about accepted batches of this installation."""
    source = f"/complyq/{evidence.about.namespace}"
    for copy in evidence.stream:
        if copy.event["subject"] not in evidence.accepted or copy.event["source"] != source:
            yield f"{copy.id} is about a batch that was never accepted: {copy.event['source']} {copy.event['subject']}"


def results_come_before_the_end(evidence: Evidence) -> Iterator[str]:
    """When the end comes, as many results messages are there as it says, and no new one follows."""
    for place, copies in (("queue", evidence.stream), ("listener", evidence.recorded)):
        for batch_id, of_batch in _by_batch(copies).items():
            yield from (f"{batch_id}: {fault} at the {place}" for fault in _order_faults(of_batch))


def _order_faults(copies: Sequence[Copy]) -> Iterator[str]:
    end = next((number for number, copy in enumerate(copies) if copy.is_end), None)
    if end is None:
        return  # another rule's business
    before, after = ({copy.id for copy in some if copy.kind == "results"} for some in (copies[:end], copies[end:]))
    announced = copies[end].event["data"]["results_messages"]
    if len(before) != announced:
        yield f"{len(before)} of {announced} results messages came before the end"
    if after - before:
        yield f"new results after the end: {sorted(after - before)}"


def _by_batch(copies: Iterable[Copy]) -> dict[str, list[Copy]]:
    found: dict[str, list[Copy]] = {}
    for copy in copies:
        found.setdefault(str(copy.event["subject"]), []).append(copy)
    return found


def _essence(copy: Copy) -> tuple[object, ...]:
    """What must be the same however a listener writes the envelope down."""
    return tuple(copy.event[name] for name in ("type", "subject", "source", "data"))
