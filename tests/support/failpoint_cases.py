"""The journeys on which failpoints are reached, and for each failpoint the journey that reaches it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from complyq_producer.model import BatchState
from complyq_simulator.outcomes import flagged
from complyq_workers.failpoints.ports import STEPS
from support.failpoint_site import Site
from support.real_workers import wait_until

TYPES = ("tweets", "users")
_bases = count(10**18, 100_000)


@dataclass(frozen=True)
class Submitted:
    """A batch and what must come of it."""

    id: str
    flagged: set[str]
    rejected: int = 0


@dataclass(frozen=True, kw_only=True)
class Journey:
    """What is submitted and what goes wrong at X, so often that a failpoint is reached `hits` times.

    All expectations are exact: that a worker dies changes none of them.
    """

    contract: str = "cloud-storage"
    ids: int = 300
    batches: Callable[[int], int] = lambda hits: hits
    faults: tuple[Mapping[str, Any], ...] = ()
    """Each is armed so often as there are hits."""
    state: BatchState = BatchState.COMPLETED
    jobs: Callable[[int], int] = lambda hits: hits
    """How many remote jobs it takes in all."""
    rejects: bool = False
    """X answers one ID of each batch with an error."""
    cancelled_at: str | None = None
    """X's status of the job at which each batch is cancelled."""
    lapses: bool = False
    """The job ends only with its upload window."""

    def begin(self, site: Site, hits: int) -> list[Submitted]:
        """Arm the faults and submit the batches."""
        for fault in self.faults:
            site.simulator.arm({"times": hits, **fault})
        submitted = [self._submit(site, number) for number in range(self.batches(hits))]
        if self.cancelled_at:
            self._cancel(site, submitted)
        return submitted

    def end(self, site: Site) -> None:
        """Let the time pass that jobs need to end, once the batches have ended."""
        if self.lapses:
            site.simulator.advance_clock(16 * 60)

    def _submit(self, site: Site, number: int) -> Submitted:
        first = next(_bases)
        ids = range(first, first + self.ids)
        found = _flagged(ids)
        if self.rejects:
            unflagged = next(id_ for id_ in ids if str(id_) not in found)
            line = json.dumps({"id": str(unflagged), "error": "invalid_id"})
            site.simulator.arm({"on": "job", "fault": "inject_lines", "lines": [line]})
        # What is to be cancelled would wait behind another of its type.
        batch = site.producer.enqueue(ids, TYPES[number % 2] if self.cancelled_at else TYPES[0])
        return Submitted(batch.id, found if self.state is BatchState.COMPLETED else set(), int(self.rejects))

    def _cancel(self, site: Site, submitted: list[Submitted]) -> None:
        wait_until(lambda: sum(job["status"] == self.cancelled_at for job in site.simulator.jobs()) == len(submitted))
        for batch in submitted:
            site.producer.cancel(batch.id)


def _flagged(ids: range) -> set[str]:
    """What the simulator says of these IDs, a pure function of them."""
    every = np.array(ids, dtype=np.uint64)
    return {str(id_) for id_ in every[flagged(every, seed=1, flagged_rate=0.1)].tolist()}


PLAIN = Journey()
CHUNKED = Journey(ids=14_000)
"""Two chunks."""
FOLLOWED = Journey(batches=lambda hits: hits + 1, jobs=lambda hits: hits + 1)
"""The marker of a plan is removed when there is a higher one."""
DIRECT = Journey(contract="direct")
REJECTED = Journey(rejects=True)
FAILING = Journey(
    batches=lambda _: 1, faults=({"on": "job", "fault": "fail", "error": "internal"},), jobs=lambda hits: 1 + hits
)
FAILED = Journey(
    batches=lambda hits: hits,
    faults=tuple([{"on": "job", "fault": "fail", "error": "broken"}] * 3),
    state=BatchState.FAILED,
    jobs=lambda hits: 3 * hits,
)
CANCELLED = Journey(
    contract="direct",
    faults=({"on": "job", "fault": "stuck"},),
    state=BatchState.CANCELLED,
    cancelled_at="in_progress",
)
CANCELLED_IN_VAIN = Journey(
    faults=({"on": "session", "fault": "status", "status": 503, "times": 1000},),
    state=BatchState.CANCELLED,
    cancelled_at="created",
    lapses=True,
)
"""In this contract X cancels nothing."""
RATE_LIMITED = Journey(faults=({"on": "get", "fault": "rate_limit", "seconds": 1},))
LIST_DOWN = Journey(faults=({"on": "list", "fault": "status", "status": 503},))
CREATE_REFUSED = Journey(faults=({"on": "create", "fault": "status", "status": 422},))
UPLOAD_REFUSED = Journey(faults=({"on": "upload", "fault": "status", "status": 400},))
UNUSABLE = Journey(faults=({"on": "download", "fault": "status", "status": 404},))

CASES: dict[str, Journey] = {
    **{f"coordination.take_step.{step}": PLAIN for step in sorted(STEPS)},
    **{f"coordination.end_step.{step}": PLAIN for step in sorted(STEPS)},
    "coordination.note_progress": CHUNKED,
    "coordination.hold_slot": PLAIN,
    "coordination.release_slot": PLAIN,
    "coordination.postpone.step": PLAIN,
    "coordination.postpone.unanswered_create": PLAIN,
    "coordination.postpone.known_create": PLAIN,
    "coordination.postpone.cancel_unsupported": CANCELLED_IN_VAIN,
    "coordination.count_failure.step": LIST_DOWN,
    "coordination.count_failure.create_refusals": CREATE_REFUSED,
    "coordination.count_failure.upload_refusals": UPLOAD_REFUSED,
    "coordination.count_failure.unusable_results": UNUSABLE,
    "coordination.clear_failures.step": PLAIN,
    "coordination.clear_failures.unusable_results": PLAIN,
    "coordination.reserve": PLAIN,
    "coordination.settle": PLAIN,
    "coordination.block": RATE_LIMITED,
    "coordination.show_job": PLAIN,
    "coordination.show_queue": PLAIN,
    "coordination.note_duration": PLAIN,
    "store.create.open_job": PLAIN,
    "store.create.plan": PLAIN,
    "store.create.creating": PLAIN,
    "store.create.created": PLAIN,
    "store.create.session": PLAIN,
    "store.create.uploaded": PLAIN,
    "store.create.finished": PLAIN,
    "store.create.attempt": FAILING,
    "store.create.collected": PLAIN,
    "store.create.outcome": PLAIN,
    "store.create.published": PLAIN,
    "store.create.done": PLAIN,
    "store.create_from.results": PLAIN,
    "store.create_from.rejected": REJECTED,
    "store.delete.open_batch": PLAIN,
    "store.delete.open_job": FOLLOWED,
    "x.create_job": PLAIN,
    "x.cancel_job": CANCELLED,
    "x.start_session": PLAIN,
    "x.query_session": CHUNKED,
    "x.send_chunk": CHUNKED,
    "x.put_whole": DIRECT,
    "events.publish.results": PLAIN,
    "events.publish.completed": PLAIN,
    "events.publish.failed": FAILED,
    "events.publish.cancelled": CANCELLED,
    "messages.send": PLAIN,
    "messages.retry": PLAIN,
    "messages.sweep": PLAIN,
}
"""Every failpoint that a batch comes by."""

OTHER_CASES = {
    "store.delete.ids",
    "store.verify",
    "messages.bury",
    "store.create.parked",
    "events.publish.parked",
}
"""Those that have tests of their own."""
