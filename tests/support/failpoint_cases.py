"""The journeys on which failpoints are reached, and for each failpoint the journey that reaches it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from complyq_producer.model import BatchState
from complyq_simulator.outcomes import flagged
from complyq_workers.failpoints.ports import STEPS
from support.failpoint_site import PATIENCE, Site
from support.real_workers import wait_for_end, wait_until

TYPES = ("tweets", "users")
_bases = count(10**18, 100_000)
BYTES_OF_ID = 20


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
    processing_seconds: float = 0.2
    """How long X takes over a job. Where that is long its clock is hurried on once the worker was replaced."""
    ids: int = 300
    parts: int = 1
    """How many parts each batch has."""
    together: int = 1
    """So many batches are submitted at a time: they share a job, and neighbours share half of their IDs."""
    times: Callable[[int], int] = lambda hits: hits
    """How often that is done, each second time with the other type: so nothing else shares a job."""
    in_turn: bool = False
    """All are of one type, and the next is submitted when the one before is in a job."""
    faults: tuple[Mapping[str, Any], ...] = ()
    """Each is armed so often as there are hits."""
    clears_x: bool = False
    """X completes a job of each type first: after failures of others it would be held at fault."""
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
        if self.clears_x:
            self._clear_x(site, hits)
        for fault in self.faults:
            site.simulator.arm({"times": hits, **fault})
        submitted: list[Submitted] = []
        for number in range(self.times(hits)):
            if self.in_turn and submitted:
                _wait_for_its_job(site, submitted[-1])
            submitted += self.submit(site, TYPES[0 if self.in_turn else number % 2])
        if self.cancelled_at:
            self._cancel(site, submitted)
        return submitted

    def go_on(self, site: Site, submitted: list[Submitted]) -> None:
        """Hurry on the clock of a slow X."""
        if self.processing_seconds > 1:
            wait_until(lambda: self._have_ended(site, submitted), PATIENCE)

    def end(self, site: Site) -> None:
        """Let the time pass that jobs need to end, once the batches have ended."""
        if self.lapses:
            site.simulator.advance_clock(16 * 60)

    def submit(self, site: Site, type_: str) -> list[Submitted]:
        """Submit the batches of one job."""
        first = next(_bases)
        ranges = [range(begin, begin + self.ids) for begin in range(first, first + 10**5, self.ids // 2)]
        if self.together == 1:
            return [self._submit(site, ranges[0], type_)]
        with site.planning_held(type_):
            return [self._submit(site, ids, type_) for ids in ranges[: self.together]]

    def _submit(self, site: Site, ids: range, type_: str) -> Submitted:
        found = _flagged(ids)
        if self.rejects:
            unflagged = next(id_ for id_ in ids if str(id_) not in found)
            line = json.dumps({"id": str(unflagged), "error": "invalid_id"})
            site.simulator.arm({"on": "job", "fault": "inject_lines", "lines": [line]})
        producer = site.producer if self.parts == 1 else site.producer_of_parts(self.ids // self.parts * BYTES_OF_ID)
        batch = producer.enqueue(ids, type_)
        assert batch.parts == self.parts
        return Submitted(batch.id, found if self.state is BatchState.COMPLETED else set(), int(self.rejects))

    def _clear_x(self, site: Site, hits: int) -> None:
        passing = [batch for type_ in TYPES[:hits] for batch in PLAIN.submit(site, type_)]
        for batch in passing:
            wait_for_end(site.producer, batch.id, PATIENCE)

    def _cancel(self, site: Site, submitted: list[Submitted]) -> None:
        wait_until(lambda: sum(job["status"] == self.cancelled_at for job in site.simulator.jobs()) == len(submitted))
        for batch in submitted:
            site.producer.cancel(batch.id)

    def _have_ended(self, site: Site, submitted: list[Submitted]) -> bool:
        statuses = {job["status"] for job in site.simulator.jobs()}
        if "in_progress" in statuses and "created" not in statuses:  # its upload window goes on
            site.simulator.advance_clock(self.processing_seconds)
        return all(site.producer.status(batch.id).ended_at for batch in submitted)


class AheadJourney(Journey):
    """The job of two batches is made ready while that of another still runs."""

    def begin(self, site: Site, hits: int) -> list[Submitted]:
        """Let it be known how long jobs take, and submit two more batches once the first one's job runs."""
        alone, submitted = replace(self, together=1), list[Submitted]()
        for type_ in TYPES[:hits]:
            site.teach_duration(type_, 6.0)
            submitted += alone.submit(site, type_)
        for batch in submitted[:hits]:
            _wait_for_its_job(site, batch)
        return submitted + [batch for type_ in TYPES[:hits] for batch in self.submit(site, type_)]


def _wait_for_its_job(site: Site, batch: Submitted) -> None:
    wait_until(lambda: bool(site.producer.status(batch.id).jobs), PATIENCE)


def _flagged(ids: range) -> set[str]:
    """What the simulator says of these IDs, a pure function of them."""
    every = np.array(ids, dtype=np.uint64)
    return {str(id_) for id_ in every[flagged(every, seed=1, flagged_rate=0.1)].tolist()}


PLAIN = Journey()
CHUNKED = Journey(ids=14_000)
"""Two chunks."""
BROKEN = Journey(ids=14_000, faults=({"on": "upload", "fault": "status", "status": 503},))
"""An upload that breaks, so that X is asked how far it came."""
FOLLOWED = Journey(times=lambda hits: hits + 1, in_turn=True, jobs=lambda hits: hits + 1)
"""The marker of a plan is removed when there is a higher one."""
DIRECT = Journey(contract="direct")
REJECTED = Journey(rejects=True, in_turn=True)
FAILING = Journey(
    times=lambda _: 1, faults=({"on": "job", "fault": "fail", "error": "internal"},), jobs=lambda hits: 1 + hits
)
FAILED = Journey(
    faults=tuple([{"on": "job", "fault": "fail", "error": "broken"}] * 3),
    clears_x=True,
    state=BatchState.FAILED,
    jobs=lambda hits: 4 * hits,
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
UNUSABLE = Journey(faults=({"on": "download", "fault": "status", "status": 451},))
MERGED = Journey(together=2)
PAGED = Journey(together=2, ids=130, parts=65, times=lambda _: 1, jobs=lambda _: 1)
"""The results of its job stand on two pages."""
SPLIT = Journey(together=2, faults=({"on": "job", "fault": "fail", "error": "internal"},), jobs=lambda hits: 3 * hits)
"""Of two batches, then of each of them."""
SLOW = Journey(processing_seconds=60)
"""X shows its job at work."""
AHEAD = AheadJourney(processing_seconds=60, together=2, jobs=lambda hits: 2 * hits)

AFTERWARDS = {"replay", "purge"}
"""Steps that are about batches that have ended."""
CASES: dict[str, Journey] = {
    **{f"coordination.take_step.{step}": PLAIN for step in sorted(STEPS - AFTERWARDS)},
    **{f"coordination.end_step.{step}": PLAIN for step in sorted(STEPS - AFTERWARDS)},
    "coordination.take_step.merge_job": MERGED,
    "coordination.end_step.merge_job": MERGED,
    "coordination.note_progress": CHUNKED,
    "coordination.hold_slot": PLAIN,
    "coordination.release_slot": PLAIN,
    "coordination.postpone.step": PLAIN,
    "coordination.postpone.unanswered_create": PLAIN,
    "coordination.postpone.known_create": PLAIN,
    "coordination.postpone.queue_shown": PLAIN,
    "coordination.postpone.seen_active": SLOW,
    "coordination.postpone.awaited": AHEAD,
    "coordination.postpone.cancel_unsupported": CANCELLED_IN_VAIN,
    "coordination.count_failure.step": LIST_DOWN,
    "coordination.count_failure.create_refusals": CREATE_REFUSED,
    "coordination.count_failure.upload_refusals": UPLOAD_REFUSED,
    "coordination.count_failure.unusable_results": UNUSABLE,
    "coordination.reserve": PLAIN,
    "coordination.settle": PLAIN,
    "coordination.block": RATE_LIMITED,
    "coordination.show_job": PLAIN,
    "coordination.show_queue": PLAIN,
    "coordination.note_duration": PLAIN,
    "coordination.show_unsettled": PLAIN,
    "coordination.show_backlog": PLAIN,
    "store.create.open_job": PLAIN,
    "store.create.plan": PLAIN,
    "store.create_from.payload": MERGED,
    "store.create.merged": MERGED,
    "store.create.creating": PLAIN,
    "store.create.created": PLAIN,
    "store.create.session": PLAIN,
    "store.create.uploaded": PLAIN,
    "store.create.finished": PLAIN,
    "store.create.attempt": FAILING,
    "store.create.collected": PLAIN,
    "store.create.page": PAGED,
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
    "x.query_session": BROKEN,
    "x.send_chunk": CHUNKED,
    "x.put_whole": DIRECT,
    "events.publish.results": PLAIN,
    "events.publish.completed": PLAIN,
    "events.publish.failed": FAILED,
    "events.publish.cancelled": CANCELLED,
    "messages.send": PLAIN,
    "messages.send_later": AHEAD,
    "messages.retry": PLAIN,
    "messages.sweep": PLAIN,
}
"""Every failpoint that a batch comes by."""

WITH_OTHERS = {
    "results of the second of two batches": ("store.create_from.results", MERGED, 2),
    "results of two batches collected": ("store.create.collected", MERGED, 1),
    "pages of results collected": ("store.create.collected", PAGED, 1),
    "one of two batches ended": ("events.publish.completed", MERGED, 1),
    "job of two batches failed": ("store.create.finished", SPLIT, 1),
    "half of a failed job planned": ("store.create.plan", SPLIT, 2),
    "next job planned ahead": ("store.create.plan", AHEAD, 2),
    "next job merged ahead": ("store.create.merged", AHEAD, 1),
}
"""More moments at which a worker dies, where batches share a job: the failpoint, the journey, and the hit."""

OF_REPLAYS = (
    "coordination.take_step.replay",
    "events.publish.results",
    "events.publish.completed",
    "store.create.replayed",
    "store.delete.open_replay",
    "coordination.end_step.replay",
)
"""What a replay does."""
OF_PURGES = {
    *(f"coordination.{method}.purge" for method in ("take_step", "end_step")),
    "store.create.purged",
    "store.create.purged_payloads",
    "store.replace.key",
    "store.replace.batch",
    *(f"store.delete.{kind}" for kind in ("results", "rejected", "payload", "done", "purged_payloads")),
}
"""What a purge does; what becomes of one that dies at each of these is tested without processes."""
OTHER_CASES = {
    *OF_REPLAYS,
    *OF_PURGES,
    "events.life",
    "store.create.queue_life",
    "store.create.replay",
    "store.create.open_replay",
    "store.create.reached",
    "store.delete.reached",
    "store.delete.ids",
    "store.verify",
    "messages.bury",
    "store.create.parked",
    "events.publish.parked",
}
"""Those that have tests of their own."""
