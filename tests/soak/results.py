"""Stored results objects, as an event names them."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from typing import Any

from soak.evidence import Evidence
from soak.ids import Flagged


def object_faults(evidence: Evidence, item: dict[str, Any], wanted: Flagged) -> Iterator[str]:
    """Compare an object with what an event says of it and with what the simulator flags."""
    body = evidence.objects.get(evidence.key_of(item["url"]))
    lines = lines_of(evidence, item)
    if body is None or lines is None:
        yield f"{item['url']} is missing or damaged"
        return
    told = (item["bytes"], item["sha256"], item["count"])
    found = (len(body), hashlib.sha256(body).hexdigest(), len(lines))
    if told != found:
        yield f"bytes, sha256 and count are {found}, the event says {told}"
    got: Flagged = {line["id"]: (line["action"], line["reason"]) for line in lines}
    if got != wanted or len(got) != len(lines):
        yield _difference(got, wanted, len(lines))


def lines_of(evidence: Evidence, item: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Read the lines of an object that an event names; None if they cannot be read."""
    body = evidence.objects.get(evidence.key_of(item["url"]))
    if body is None:
        return None
    try:
        return [json.loads(line) for line in gzip.decompress(body).splitlines()]
    except (EOFError, OSError, ValueError, zlib.error):
        return None


def _difference(got: Flagged, wanted: Flagged, lines: int) -> str:
    missing, foreign = sorted(wanted.keys() - got.keys()), sorted(got.keys() - wanted.keys())
    other = [id_ for id_ in got.keys() & wanted.keys() if got[id_] != wanted[id_]]
    return (
        f"{lines} lines: {len(missing)} missing (as {missing[:3]}), {len(foreign)} foreign (as {foreign[:3]}), "
        f"{len(other)} with another action (as {other[:3]})"
    )
