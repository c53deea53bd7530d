"""What happened, in order: one JSON line for each request and each change of a job."""

from collections.abc import Mapping

import msgspec

from complyq_simulator.clock import Clock, iso_milliseconds

_encode = msgspec.json.Encoder().encode


class Journal:
    """Kept whole in memory as encoded lines.

    A request is written when it ends, after the job changes that it caused. Its `status` is null when no answer was
    sent: the client left, or an armed fault cut the connection. `path` never holds the query, which may be a credential.
    `bytes` came in as the body, `sent` went out as the answer's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: list[bytes] = []

    def request(self, fields: Mapping[str, object]) -> None:
        """Write down a request that ended: `method`, `path`, `host`, `status`, `authorization`, …."""
        self._append({"kind": "request", **fields})

    def job(self, remote_id: str, *, type_: str, name: str | None, before: str | None, after: str) -> None:
        """Write down that a job's status changed; `before` is None when it was created."""
        change = {"remote_id": remote_id, "type": type_, "name": name, "from": before, "to": after}
        self._append({"kind": "job", **change})

    def text(self) -> bytes:
        """Return all lines."""
        return b"".join(self._lines)

    def _append(self, fields: Mapping[str, object]) -> None:
        self._lines.append(_encode({**fields, "at": iso_milliseconds(self._clock.now())}) + b"\n")
