"""What each batch must be told, and the results queue that notes when it was, and whether that was right."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from complyq_simulator.outcomes import flagged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replay.arrivals import Arrival
    from replay.virtual_time import VirtualClock

SEED = 1
_IDS_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class Flagged:
    """The IDs that X flags; of a huge batch only their number is known."""

    count: int
    ids: tuple[str, ...] | None


def flagged_of(ids: range, rate: float) -> Flagged:
    """Return which IDs of a batch X flags."""
    if len(ids) > _IDS_AT_ONCE:
        return Flagged(sum(len(found) for found in _flagged(ids, rate)), None)
    return _small(ids, rate)


@cache
def _small(ids: range, rate: float) -> Flagged:
    found = tuple(str(identifier) for array in _flagged(ids, rate) for identifier in array.tolist())
    return Flagged(len(found), found)


def _flagged(ids: range, rate: float) -> Iterator[np.ndarray[Any, np.dtype[np.uint64]]]:
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = ids[start : start + _IDS_AT_ONCE]
        values = np.arange(some.start, some.stop, some.step, dtype=np.uint64)
        yield values[flagged(values, SEED, rate)]


@dataclass
class _Followed:
    arrival: Arrival
    expected: Flagged
    events: set[str] = field(default_factory=set)
    results: list[str] = field(default_factory=list)


class Answers:
    """Implements `EventPublisher`: knows which batch is owed what, and checks it.

    Attributes:
        completed: the virtual second of each batch's completed event.
        wrong: what is not as it should be.
    """

    def __init__(self, clock: VirtualClock, flagged_rate: float) -> None:
        self.completed: dict[str, float] = {}
        self.wrong: list[str] = []
        self._clock = clock
        self._rate = flagged_rate
        self._open: dict[str, _Followed] = {}

    def expect(self, batch_id: str, arrival: Arrival) -> None:
        """Wait for the answer to a batch."""
        self._open[batch_id] = _Followed(arrival, flagged_of(arrival.ids, self._rate))

    def publish(self, batch_id: str, event_id: str, body: bytes) -> bool:
        """Take an event unless it was published before."""
        batch = self._open.get(batch_id)
        if batch is None or event_id in batch.events:
            return False
        batch.events.add(event_id)
        at = self._clock.seconds()
        with self._clock.stopped():
            self._take(batch_id, batch, msgspec.json.decode(body), at)
        return True

    def verify(self) -> None:
        """Be ready."""

    def backlog(self) -> int:
        """Nothing waits: what comes is taken at once."""
        return 0

    def life(self) -> None:
        """Tell nothing: it loses nothing."""

    def _take(self, batch_id: str, batch: _Followed, event: dict[str, Any], at: float) -> None:
        kind, data = event["type"], event["data"]
        if kind == "complyq.batch.results.v1":
            batch.results += [result["id"] for result in data.get("results", ())]
            return
        self.completed[batch_id] = at
        del self._open[batch_id]
        self.wrong += [f"batch {batch_id}: {fault}" for fault in _faults(kind, data, batch)]


def _faults(kind: str, data: dict[str, Any], batch: _Followed) -> Iterator[str]:
    if kind != "complyq.batch.completed.v1":
        yield f"{kind}: {data.get('error')}"
        return
    count, flagged_count = len(batch.arrival.ids), batch.expected.count
    expected = {"unique": count, "flagged": flagged_count, "compliant": count - flagged_count, "rejected": 0}
    said = {name: data[name] for name in expected}
    if said != expected:
        yield f"{said} where {expected} is right"
    if batch.expected.ids is not None and tuple(batch.results) != batch.expected.ids:
        yield f"{len(batch.results)} results, not those of its IDs"
