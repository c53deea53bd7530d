"""What must have become of every batch: none lost, none twice, each with exactly its own results."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from soak.evidence import Copy, Evidence, Request
from soak.ids import Flagged, Ids, expected
from soak.results import lines_of, object_faults

_SIGNED_URL = re.compile(rb"[^\s\"]{,80}(?:X-Goog-Signature|upload_id|[?&]token)=[\w.-]{8,}")


def no_batch_is_lost(evidence: Evidence) -> Iterator[str]:
    """What a caller was told is accepted, is; and nothing else is than what somebody asked for."""
    for batch_id, record in evidence.accepted.items():
        if record["labels"].get("request") not in evidence.request_of:
            yield f"{batch_id} was accepted, and nobody asked for it: {record['labels']}"
    for request in evidence.requests:
        for batch_id in set(request.told) - evidence.accepted.keys():
            yield f"{request.id} was told of batch {batch_id}, which is not in the store"


def same_key_same_batch(evidence: Evidence) -> Iterator[str]:
    """However often a key was used, by callers that were killed or at the same time, there is one batch."""
    for request in evidence.requests:
        if request.key and len(set(request.told)) > 1:
            yield f"callers with key {request.key} were told of several batches: {sorted(set(request.told))}"
    keys = Counter(record["key"] for record in evidence.accepted.values() if record["key"])
    yield from (f"{number} batches were accepted with key {key}" for key, number in keys.items() if number > 1)


def batches_end_as_they_must(evidence: Evidence) -> Iterator[str]:
    """Nothing in a soak may fail a batch, and only what somebody cancelled is cancelled."""
    for batch_id, request, end in _ended(evidence):
        allowed = {"completed", "cancelled"} if request.cancelled else {"completed"}
        if end.kind not in allowed:
            yield f"{batch_id} ({request.id}) {end.kind}: {end.event['data'].get('error')}"


def counts_add_up(evidence: Evidence) -> Iterator[str]:
    """Every ID that was given is accounted for once."""
    for batch_id, request, end in _ended(evidence):
        data, ids = end.event["data"], request.ids
        given = tuple(data[name] for name in ("submitted", "invalid", "duplicates", "unique"))
        if given != (ids.submitted, ids.invalid, ids.duplicates, ids.count):
            yield f"{batch_id}: submitted, invalid, duplicates, unique are {given}, given was {ids}"
        unchecked = data.get("unchecked", 0)
        if ids.count != data["flagged"] + data["compliant"] + data["rejected"] + unchecked:
            yield f"{batch_id}: flagged, compliant, rejected and unchecked are not {ids.count}: {data}"
        if end.kind == "completed" and unchecked:
            yield f"{batch_id} completed, and {unchecked} IDs are unchecked"


def results_are_exact(evidence: Evidence) -> Iterator[str]:
    """Stored and published is what the simulator flags among the batch's own IDs: no more, no less, nothing else."""
    for batch_id, request, end in _ended(evidence):
        parts = _parts(evidence, batch_id)
        if not np.array_equal(np.concatenate([*parts.values(), np.empty(0, np.uint64)]), request.ids.unique()):
            yield f"{batch_id}: the stored parts are not the IDs that were given"
        else:
            yield from _result_faults(evidence, batch_id, end, parts)


def nothing_is_left_open(evidence: Evidence) -> Iterator[str]:
    """No marker of unfinished work stays, apart from that of the highest plan and of staging that nobody accepted."""
    for name in evidence.names("open/batches/"):
        if name.rsplit("/", 1)[1] in evidence.accepted:
            yield f"{name} is still there"
    for type_ in ("tweets", "users"):
        plans = [int(name.split("/")[2]) for name in evidence.names(f"jobs/{type_}/") if name.endswith("/plan.json")]
        if sorted(plans) != list(range(1, len(plans) + 1)):
            yield f"the plans of {type_} have gaps: {sorted(plans)}"
        yield from (
            f"plan {number} of {type_} is not closed" for number in plans if not _closed(evidence, type_, number)
        )
        markers = [int(name.rsplit("/", 1)[1]) for name in evidence.names(f"open/jobs/{type_}/")]
        yield from (
            f"the marker of plan {number} of {type_} is left" for number in markers if number < max(plans, default=0)
        )


def no_secret_is_written(evidence: Evidence) -> Iterator[str]:
    """No log, no event and no object holds a credential: neither ours nor a URL that is one."""
    objects = ((name, body) for name, body in evidence.objects.items() if name.endswith(".json"))
    texts = [*((name, text.encode()) for name, text in evidence.logs.items()), *objects]
    texts += [(copy.id, copy.body) for copy in evidence.stream]
    for name, body in texts:
        yield from (f"{name} holds {secret!r}" for secret in evidence.about.secrets if secret.encode() in body)
        yield from (f"{name} holds the URL {found[0].decode()}" for found in _SIGNED_URL.finditer(body))


def _ended(evidence: Evidence) -> Iterator[tuple[str, Request, Copy]]:
    """Yield the batches that have an end on the queue, with the call they came from."""
    for batch_id, record in evidence.accepted.items():
        request = evidence.request_of.get(record["labels"].get("request"))
        end = next((copy for copy in evidence.events_of.get(batch_id, ()) if copy.is_end), None)
        if request and end:
            yield batch_id, request, end


def _parts(evidence: Evidence, batch_id: str) -> dict[int, Ids]:
    names = evidence.names(f"batches/{batch_id}/ids/")
    return {
        int(name.rsplit("/", 1)[1].removesuffix(".txt")): np.array(
            list(map(int, evidence.objects[name].split())), np.uint64
        )
        for name in names
    }


def _result_faults(evidence: Evidence, batch_id: str, end: Copy, parts: dict[int, Ids]) -> Iterator[str]:
    data, about = end.event["data"], evidence.about
    stored = {item["part"]: item for item in data["objects"]}
    unchecked = sum(len(ids) for part, ids in parts.items() if part not in stored)
    if (
        unchecked != data.get("unchecked", 0)
        or len(stored) != len(data["objects"])
        or not stored.keys() <= parts.keys()
    ):
        yield f"{batch_id}: objects of parts {sorted(stored)} of {len(parts)}, {data.get('unchecked', 0)} IDs unchecked"
        return
    flagged = 0
    for part, item in stored.items():
        wanted = expected(parts[part], data["type"], seed=about.seed, flagged_rate=about.flagged_rate)
        flagged += len(wanted)
        messages = _messages(evidence, batch_id, part)
        faults = [*object_faults(evidence, item, wanted), *_message_faults(evidence, item, messages, wanted)]
        yield from (f"{batch_id} part {part}: {fault}" for fault in faults)
    if flagged != data["flagged"]:
        yield f"{batch_id}: {data['flagged']} flagged, {flagged} expected"


def _messages(evidence: Evidence, batch_id: str, part: int) -> list[dict[str, Any]]:
    """Return the contents of a part's results events in order, each once."""
    copies = (copy for copy in evidence.events_of[batch_id] if copy.kind == "results")
    found = {
        copy.event["data"]["sequence"]: copy.event["data"] for copy in copies if copy.event["data"]["part"] == part
    }
    return [found[sequence] for sequence in sorted(found)]


def _message_faults(
    evidence: Evidence, item: dict[str, Any], messages: Iterable[dict[str, Any]], wanted: Flagged
) -> Iterator[str]:
    results: list[dict[str, Any]] = []
    for message in messages:
        if "ref" in message:
            reference = {name: value for name, value in item.items() if name != "part"}
            if message["ref"] != reference:
                yield f"a message refers to {message['ref']}, the end names {reference}"
            results += lines_of(evidence, item) or []
        else:
            results += message["results"]
    if results != (lines_of(evidence, item) or []):
        yield f"messages hold {len(results)} results, which are not those stored; {len(wanted)} are expected"


def _closed(evidence: Evidence, type_: str, number: int) -> bool:
    folder = f"jobs/{type_}/{number:08}"
    finished = f"{folder}/finished.json"
    if finished not in evidence.objects:
        return False
    return evidence.fact(finished)["status"] != "complete" or f"{folder}/collected.json" in evidence.objects
