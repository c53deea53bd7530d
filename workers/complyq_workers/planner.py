"""Decides what the next job of a type carries. Pure: what waits and what is known of it in, a draft out.

All waiting parts are merged in the order of their rank, up to the limit of a job. Three things keep a poisonous batch
from harming others, and an outage of X from harming anybody:

- A job of several batches that failed is split: they are planned again in halves, until a batch stands alone.
- A batch that failed alone is planned alone, after a pause that grows with its failures.
- When X is held at fault, nothing counts, and single batches are tried, each time another one, until a job completes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from complyq_producer.facts import PlannedPart
from complyq_producer.ledger import JobPhase
from complyq_workers.endings import exhausted
from complyq_workers.ranking import RankedPart

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from complyq_producer.ledger import BatchView, JobView
    from complyq_producer.model import BatchId

    PartKey = tuple[BatchId, int]

LOOK_AT_ONCE = 256
"""Batches whose facts are read side by side."""
PROBED = 64
"""Of so many batches the one that was tried least is tried when X is held at fault."""
MAX_PAUSE = timedelta(minutes=10)


class Look(Protocol):
    """Reads what has become of some batches."""

    def __call__(self, batch_ids: Sequence[BatchId]) -> Mapping[BatchId, BatchView | None]:
        """Return a view of each batch, or None where nothing has happened to it yet; none of one that is gone."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a job may be.

    Attributes:
        max_bytes: the most bytes that it may carry; a single part is never refused for it.
        max_attempts: after so many counted failures a part is not tried again.
        merge: whether several batches may share it.
        pause: the pause after a failure; it doubles with each.
    """

    max_bytes: int
    max_attempts: int
    merge: bool
    pause: timedelta


@dataclass(frozen=True, slots=True)
class Trouble:
    """How the last jobs of the type ended: so many in a row failed, the last of them at `since`."""

    failures: int = 0
    x_at_fault: bool = False
    since: datetime | None = None


@dataclass(slots=True)
class Draft:
    """What the next job should carry."""

    parts: list[PlannedPart]

    @property
    def count(self) -> int:
        """The number of IDs, those counted twice that batches have in common."""
        return sum(part.count for part in self.parts)

    @property
    def bytes(self) -> int:
        """The most bytes that the payload can have."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class Owner:
    """The plan that a part is in, and which attempt that is."""

    job: JobView
    attempt: int


@dataclass(slots=True)
class Candidates:
    """Parts in order, and what has become of their batches, looked at only as far as needed."""

    ordered: Sequence[RankedPart]
    look: Look
    max_attempts: int
    ahead: int = LOOK_AT_ONCE
    """How many batches are looked at next, more each time: where one fills a job, the first is mostly all that matter."""
    seen: dict[BatchId, BatchView | None] = field(default_factory=dict)
    gone: set[BatchId] = field(default_factory=set)

    def waiting(self, wanted: Callable[[RankedPart], bool]) -> Iterator[tuple[RankedPart, BatchView | None]]:
        """Yield the parts that are to be checked; `wanted` is asked of each in its turn, and may change its mind."""
        for place, part in enumerate(self.ordered):
            if not wanted(part):
                continue
            if not self._is_known(part.batch_id):
                self._look_ahead(place, wanted)
            view = self.seen.get(part.batch_id)
            if part.batch_id not in self.gone and (view is None or part.part in plannable(view, self.max_attempts)):
                yield part, view

    def _look_ahead(self, place: int, wanted: Callable[[RankedPart], bool]) -> None:
        """Look at the batches of the next parts too: side by side that takes hardly longer."""
        unknown: dict[BatchId, None] = {}
        for part in self.ordered[place:]:
            if not self._is_known(part.batch_id) and wanted(part):
                unknown[part.batch_id] = None
            if len(unknown) == self.ahead:
                break
        self.ahead = min(self.ahead * 4, LOOK_AT_ONCE)
        found = self.look(list(unknown))
        self.seen |= found
        self.gone |= unknown.keys() - found.keys()

    def _is_known(self, batch_id: BatchId) -> bool:
        return batch_id in self.seen or batch_id in self.gone


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next.

    Attributes:
        draft: what the next job carries; None if nothing waits, or all that waits has to pause.
        resolved: split plans of which no batch is left that is open and in no later plan.
    """

    draft: Draft | None
    resolved: tuple[JobView, ...] = ()


def decide_next(
    candidates: Candidates, jobs: Sequence[JobView], rules: Rules, trouble: Trouble, now: datetime
) -> Decision:
    """Choose the parts of the next job.

    Args:
        candidates: the parts of the open batches of the type, in order.
        jobs: the marked plans of the type, read before the batches.
        rules: what a job may be.
        trouble: how the last jobs ended.
        now: the time.
    """
    drafting = _Drafting(candidates, jobs, rules, now)
    resolved = tuple(drafting.resolved())
    if trouble.x_at_fault:
        is_pausing = _is_within(trouble.since, trouble.failures, rules, now)
        return Decision(None if is_pausing else drafting.probe(), resolved)
    # Jobs that find out who is to blame take turns with those of all others.
    turns = [drafting.half, drafting.pool] if next_number(jobs) % 2 else [drafting.pool, drafting.half]
    return Decision(next(filter(None, (turn() for turn in turns)), None), resolved)


def owners_of(jobs: Iterable[JobView]) -> dict[PartKey, Owner]:
    """Return the plan that each part is in, of all plans that are at work on theirs, or have just checked them."""
    return {
        (part.batch_id, part.part): Owner(job, part.attempt)
        for job in jobs
        if job.plan and (job.phase is not JobPhase.CLOSED or (job.collected and job.collected.available))
        for part in job.plan.parts
    }


def plannable(view: BatchView, max_attempts: int) -> list[int]:
    """Return the parts of a batch that are to be checked and not parked."""
    if not view.is_wanted or exhausted(view, max_attempts):
        return []
    return [part for part in view.unchecked_parts() if view.parking(part) is None]


def next_number(jobs: Sequence[JobView]) -> int:
    """Return the number of the next plan: plans have no gaps, and a marker without a plan is a number not yet used."""
    if not jobs:
        return 1
    highest = jobs[-1]
    return highest.keys.plan_number + (1 if highest.plan else 0)


class _Drafting:
    """The ways to fill one job."""

    def __init__(self, candidates: Candidates, jobs: Sequence[JobView], rules: Rules, now: datetime) -> None:
        self._candidates = candidates
        self._owners = owners_of(jobs)
        self._rules = rules
        self._now = now
        self._splits = [(job, self._left_of(job)) for job in jobs if job.phase is JobPhase.SPLIT]

    def resolved(self) -> list[JobView]:
        """Return the split plans that nothing is left of."""
        return [job for job, left in self._splits if not left]

    def pool(self) -> Draft | None:
        """Take what is in no plan, in order, as much as fits."""
        return self._fill(_Load(self._rules, self._owners), self._candidates)

    def half(self) -> Draft | None:
        """Take half of the batches of the first split job of which some may be tried."""
        halves = (self._half_of(left, -(-len(job.plan.batch_ids) // 2)) for job, left in self._splits if job.plan)
        return next(filter(None, halves), None)

    def probe(self) -> Draft | None:
        """Take one batch, of the first few that wait the one that was tried least."""
        held = {key for key, owner in self._owners.items() if owner.job.phase is not JobPhase.SPLIT}
        tried: dict[BatchId, int] = {}
        for part, view in self._candidates.waiting(lambda part: part.key not in held):
            tried.setdefault(part.batch_id, _tries(view))
            if len(tried) > PROBED:
                break
        if not tried:
            return None
        chosen = min(tried, key=lambda batch_id: tried[batch_id])
        return self._fill(_Load(self._rules, held, only=chosen), self._candidates, may_pause=False)

    def _left_of(self, job: JobView) -> list[RankedPart]:
        """Return the parts of a split plan that are of open batches and in no later plan, in order."""
        keys = {(part.batch_id, part.part) for part in (job.plan.parts if job.plan else ())}
        return [part for part in self._candidates.ordered if part.key in keys and self._owners[part.key].job is job]

    def _half_of(self, parts: Sequence[RankedPart], batches: int) -> Draft | None:
        """Take so many batches; those that pause have been found out about."""
        left = replace(self._candidates, ordered=parts)
        chosen: set[BatchId] = set()
        for part, view in left.waiting(lambda part: part.batch_id not in chosen):
            if not self._is_pausing(view):
                chosen.add(part.batch_id)
            if len(chosen) == batches:
                break
        return self._fill(_Load(self._rules, ()), replace(left, ordered=[p for p in parts if p.batch_id in chosen]))

    def _fill(self, load: _Load, candidates: Candidates, *, may_pause: bool = True) -> Draft | None:
        for part, view in candidates.waiting(load.has_room_for):
            if not (may_pause and self._is_pausing(view)):
                load.add(part, view, self._attempt(part, view))
        return Draft(load.parts) if load.parts else None

    def _attempt(self, part: RankedPart, view: BatchView | None) -> int:
        owner = self._owners.get(part.key)
        return 1 + max(len(view.attempts.get(part.part, ())) if view else 0, owner.attempt if owner else 0)

    def _is_pausing(self, view: BatchView | None) -> bool:
        """Whether a batch that failed alone has to wait."""
        failures = _failures(view)
        if view is None or not failures:
            return False
        last = max(attempt.recorded_at for attempts in view.attempts.values() for attempt in attempts)
        return _is_within(last, failures, self._rules, self._now)


class _Load:
    """What one job is to carry, as it fills."""

    def __init__(self, rules: Rules, held: Container[PartKey], only: BatchId | None = None) -> None:
        self.parts: list[PlannedPart] = []
        self._rules = rules
        self._held = held
        self._only = only
        self._bytes = 0
        self._limit = rules.max_bytes

    def has_room_for(self, part: RankedPart) -> bool:
        """Whether a part may come along, as far as can be told without looking at its batch."""
        if part.key in self._held or self._only not in {None, part.batch_id}:
            return False
        return not self.parts or self._bytes + part.bytes <= self._limit

    def add(self, part: RankedPart, view: BatchView | None, attempt: int) -> None:
        """Take a part along, unless its batch failed alone and there is another one already."""
        limit = min([self._limit, *_refused_sizes(view)])
        is_alone = _failures(view) > 0 or not self._rules.merge
        if self.parts and (self._bytes + part.bytes > limit or (is_alone and self._only != part.batch_id)):
            return
        if is_alone:
            self._only = part.batch_id
        self._limit = limit
        self._bytes += part.bytes
        self.parts.append(
            PlannedPart(batch_id=part.batch_id, part=part.part, attempt=attempt, count=part.count, bytes=part.bytes,
                        of=part.of)
        )  # fmt: skip


def pause_after(failures: int, rules: Rules) -> timedelta:
    """Return how long to wait after so many failures in a row."""
    doublings = min(max(failures - 1, 0), 20)
    return min(rules.pause * float(2**doublings), MAX_PAUSE)


def _is_within(since: datetime | None, failures: int, rules: Rules, now: datetime) -> bool:
    """Whether the pause after a failure lasts. By the clock of whoever saw it, which may be ahead: never for long."""
    return since is not None and since <= now < since + pause_after(failures, rules)


def _failures(view: BatchView | None) -> int:
    """Return how often what is left of a batch failed alone."""
    return max(map(view.failures, view.unchecked_parts()), default=0) if view else 0


def _tries(view: BatchView | None) -> int:
    return sum(map(len, view.attempts.values())) if view else 0


def _refused_sizes(view: BatchView | None) -> list[int]:
    attempts = (attempt for some in view.attempts.values() for attempt in some) if view else ()
    return [attempt.max_bytes for attempt in attempts if attempt.max_bytes is not None]
