"""Reads the facts of a batch, of a job, or of a type together: what the store says has happened."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from complyq_producer import layout
from complyq_producer.facts import (
    PARKED,
    Attempt,
    BatchRecord,
    Collected,
    CollectedPage,
    CollectedPart,
    Created,
    FactStore,
    Finished,
    Merged,
    Outcome,
    Parked,
    Plan,
    Purged,
    Session,
    Uploaded,
    utc_now,
)
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_producer.model import BatchId, ComplianceType, RemoteId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from complyq_producer.store import ObjectStore


class JobPhase(StrEnum):
    """How far a plan and its job are, told from its facts alone."""

    MERGING = "merging"
    """The payload of several batches is not complete yet."""
    PLANNED = "planned"
    """The payload is there, no remote job is recorded yet."""
    CREATED = "created"
    """The remote job exists and waits for its IDs."""
    UPLOADED = "uploaded"
    """The upload has ended, one way or the other; X has not said that the job is final."""
    FINISHED = "finished"
    """X calls the job complete: its slot is free, its results wait to be collected."""
    PARKED = "parked"
    """A step of the job crashed its process every time: nothing more is done but to see it end at X."""
    SPLIT = "split"
    """The job of several batches came to nothing: they are planned again in halves, to find out which of them it was."""
    CLOSED = "closed"
    """Nothing is left to do for this plan."""


@dataclass(frozen=True, slots=True)
class JobView:
    """The facts of one plan and its job, as one listing of its folder showed them."""

    keys: JobKeys
    plan: Plan | None = None
    merged: Merged | None = None
    created: Created | None = None
    sessions: int = 0
    uploaded: Uploaded | None = None
    finished: Finished | None = None
    collected: Collected | None = None
    parked: Parked | None = None
    creates: int = 0
    """How often a create of the remote job may have been sent."""

    @property
    def phase(self) -> JobPhase:
        """How far the job is."""
        if self._is_split:
            return JobPhase.SPLIT
        if self.collected or (self.finished and not self.finished.has_results):
            return JobPhase.CLOSED
        if self.parked:
            return JobPhase.PARKED
        if self.finished:
            return JobPhase.FINISHED
        if self.uploaded:
            return JobPhase.UPLOADED
        if self.created:
            return JobPhase.CREATED
        return JobPhase.MERGING if self.plan and self.plan.is_merged and not self.merged else JobPhase.PLANNED

    @property
    def holds_slot(self) -> bool:
        """Whether the plan's job is, or may become, the active job of its type."""
        return self.finished is None

    @property
    def remote_id(self) -> RemoteId | None:
        """X's id of the job, once it is known."""
        return self.created.remote_id if self.created else None

    @property
    def count(self) -> int:
        """The number of IDs that X is asked about."""
        return self.merged.count if self.merged else self.plan.count if self.plan else 0

    @property
    def bytes(self) -> int:
        """The size of the payload."""
        return self.merged.bytes if self.merged else self.plan.bytes if self.plan else 0

    @property
    def _is_split(self) -> bool:
        if self.plan is None or not self.plan.is_merged:
            return False
        if self.finished is None or self.finished.has_results:
            return self.collected is not None and not self.collected.available
        return self.finished.failed or self.parked is not None


@dataclass(frozen=True, slots=True)
class CheckedPart:
    """A part with stored results that count, and the job that gave them."""

    plan: int
    remote_id: RemoteId | None
    checked_at: datetime
    results: CollectedPart
    planned_at: datetime | None = None
    """None in facts of a version that did not say it."""
    traceparent: str | None = None
    """What the job's steps belong to in traces."""


@dataclass(frozen=True, slots=True)
class BatchView:
    """The facts of one accepted batch. `accepted_at` is the store's time."""

    record: BatchRecord
    accepted_at: datetime
    cancel_requested: bool = False
    outcome: Outcome | None = None
    published: bool = False
    attempts: dict[int, list[Attempt]] = field(default_factory=dict)
    checked: dict[int, CheckedPart] = field(default_factory=dict)
    parked: dict[str, Parked] = field(default_factory=dict)
    """What of the batch was ever parked, by name."""
    released: frozenset[str] = frozenset()
    """The names of what was parked and may be tried again."""
    purged: Purged | None = None
    """That its IDs and results are removed, or are being removed."""

    @property
    def keys(self) -> BatchKeys:
        """Where its objects lie."""
        return BatchKeys(self.record.batch_id)

    @property
    def is_wanted(self) -> bool:
        """Whether its unchecked parts should still be checked."""
        return self.outcome is None and not self.cancel_requested

    def counted_parts(self) -> list[CheckedPart]:
        """The parts whose results count, in order: all that are checked, or, after the end, those that it names."""
        checked = [part for _, part in sorted(self.checked.items())]
        if self.outcome is None:
            return checked
        counted = {(part.part, part.plan) for part in self.outcome.counted}
        return [part for part in checked if (part.results.part, part.plan) in counted]

    def unchecked_parts(self) -> list[int]:
        """The parts that have no stored result, in order."""
        return [part.index for part in self.record.parts if part.index not in self.checked]

    def parking(self, part: int) -> Parked | None:
        """Return what keeps a part from being planned until it is released, or None if nothing does."""
        names = {str(attempt.plan) for attempt in self.attempts.get(part, ()) if attempt.status == PARKED}
        return next((self.parked[name] for name in sorted(names - self.released) if name in self.parked), None)

    def parked_jobs(self) -> list[Parked]:
        """Return the parked jobs because of which parts of the batch wait, by plan; none once it has ended."""
        if self.outcome:
            return []
        parked = {fact.name: fact for fact in map(self.parking, self.unchecked_parts()) if fact}
        return [parked[name] for name in sorted(parked, key=int)]

    def parked_publishing(self, now: datetime) -> Parked | None:
        """Return why the batch is not published for now, or None if it is."""
        if self.published:
            return None
        publishing = (fact for fact in self.parked.values() if fact.plan is None)
        return next((fact for fact in publishing if fact.name not in self.released and now < fact.until), None)

    def failures(self, part: int) -> int:
        """How many attempts count against a part."""
        return sum(attempt.counted for attempt in self.attempts.get(part, ()))


class Ledger:
    """Reads views of batches and jobs from the facts in a store; `now` tells the time of whoever adds to them."""

    def __init__(self, store: ObjectStore, now: Callable[[], datetime] = utc_now) -> None:
        self.store = store
        self.facts = FactStore(store, now)

    def batch(self, batch_id: BatchId) -> BatchView | None:
        """Read a batch, or None if it was never accepted."""
        keys = BatchKeys(batch_id)
        found = self.accepted(batch_id)
        if found is None:
            return None
        record, accepted_at = found
        names = {info.key for info in self.store.list(keys.folder)}
        outcome = self.facts.read(keys.outcome, Outcome) if keys.outcome in names else None
        purged = self.facts.read(keys.purged, Purged) if keys.purged in names else None
        attempts = self._attempts(sorted(name for name in names if name.startswith(f"{keys.folder}attempts/")))
        return BatchView(
            record=record,
            accepted_at=purged.accepted_at if purged else accepted_at,
            cancel_requested=keys.cancel_requested in names,
            outcome=outcome,
            published=keys.published in names,
            attempts=attempts,
            checked=self._checked(record, _counted_plans(outcome) if purged else self._plans_with_results(batch_id)),
            parked=self._parked(record, names, attempts),
            released=frozenset(_named(f"{keys.folder}released-", names)),
            purged=purged,
        )

    def accepted(self, batch_id: BatchId) -> tuple[BatchRecord, datetime] | None:
        """Read what a batch is and when the store accepted it, or None if it never was."""
        return self.facts.read_dated(BatchKeys(batch_id).record, BatchRecord)

    def is_untouched(self, batch_id: BatchId) -> bool:
        """Whether nothing is known of an accepted batch but that it was accepted: no cancel request, attempt, result, end."""
        keys = BatchKeys(batch_id)
        facts = {info.key for info in self.store.list(keys.folder) if not info.key.startswith(f"{keys.folder}ids/")}
        return facts == {keys.record} and next(self.store.list(keys.results), None) is None

    def job(self, type_: ComplianceType, number: int) -> JobView:
        """Read a plan and its job; all fields are empty if the plan does not exist."""
        keys = JobKeys(type_, number)
        names = {info.key for info in self.store.list(keys.folder)}
        facts = self.facts
        return JobView(
            keys=keys,
            plan=facts.read(keys.plan, Plan) if keys.plan in names else None,
            creates=sum(name.startswith(f"{keys.folder}creating-") for name in names),
            merged=facts.read(keys.merged, Merged) if keys.merged in names else None,
            created=facts.read(keys.created, Created) if keys.created in names else None,
            sessions=sum(name.startswith(f"{keys.folder}session-") for name in names),
            uploaded=facts.read(keys.uploaded, Uploaded) if keys.uploaded in names else None,
            finished=facts.read(keys.finished, Finished) if keys.finished in names else None,
            collected=facts.read(keys.collected, Collected) if keys.collected in names else None,
            parked=facts.read(keys.parked, Parked) if keys.parked in names else None,
        )

    def finished(self, type_: ComplianceType, number: int) -> Finished | None:
        """Read how the job of a plan ended, or None if it has not."""
        return self.facts.read(JobKeys(type_, number).finished, Finished)

    def session(self, job: JobView) -> Session | None:
        """Read the newest upload session of a job."""
        return self.facts.read(job.keys.session(job.sessions - 1), Session) if job.sessions else None

    def marked_plans(self, type_: ComplianceType) -> list[int]:
        """List the plans of a type that have a marker, in order: all open ones, and the highest."""
        prefix = layout.open_jobs(type_)
        return [int(info.key.removeprefix(prefix)) for info in self.store.list(prefix)]

    def marked_jobs(self, type_: ComplianceType) -> list[JobView]:
        """Read the plans of a type that have a marker, and their jobs."""
        return [self.job(type_, number) for number in self.marked_plans(type_)]

    def marked_batches(self, type_: ComplianceType) -> Iterator[BatchId]:
        """List the batches of a type that have a marker: being staged, or accepted and not published to the end."""
        prefix = layout.open_batches(type_)
        return (BatchId(info.key.removeprefix(prefix)) for info in self.store.list(prefix))

    def open_batches(self, type_: ComplianceType) -> Iterator[BatchView]:
        """Read the accepted batches of a type that are not published to the end."""
        views = (self.batch(batch_id) for batch_id in self.marked_batches(type_))
        return (view for view in views if view is not None)

    def key_owner(self, key: str) -> BatchRecord | None:
        """Read the record of the batch that owns an idempotency key."""
        return self.facts.read(layout.key_record(key), BatchRecord)

    def _attempts(self, names: list[str]) -> dict[int, list[Attempt]]:
        attempts: dict[int, list[Attempt]] = {}
        for name in names:
            part = int(name.rsplit("/", 1)[1].split("-")[0])
            attempt = self.facts.read(name, Attempt)
            if attempt is not None:
                attempts.setdefault(part, []).append(attempt)
        return attempts

    def _parked(
        self, record: BatchRecord, names: Iterable[str], attempts: dict[int, list[Attempt]]
    ) -> dict[str, Parked]:
        """Read what of a batch was parked: the jobs that its attempts name, and its publishing."""
        keys = BatchKeys(record.batch_id)
        plans = {attempt.plan for some in attempts.values() for attempt in some if attempt.status == PARKED}
        where = [JobKeys(record.type, plan).parked for plan in sorted(plans)]
        where += [keys.parked(name) for name in sorted(_named(f"{keys.folder}parked-", names))]
        facts = (self.facts.read(key, Parked) for key in where)
        return {fact.name: fact for fact in facts if fact is not None}

    def _checked(self, record: BatchRecord, plans: Iterable[int]) -> dict[int, CheckedPart]:
        """Find the results that count: those that a `collected.json` names, of the lowest plan where several do."""
        checked: dict[int, CheckedPart] = {}
        for plan in plans:
            keys = JobKeys(record.type, plan)
            collected = self.facts.read(keys.collected, Collected)
            if collected is None:
                continue
            remote_id = collected.remote_id or self._remote_id(keys)
            for results in self._collected_parts(keys, collected, record.batch_id):
                told = (collected.checked_at, results, collected.planned_at, collected.traceparent)
                part = CheckedPart(plan, remote_id, *told)
                checked.setdefault(results.part, part)
        return checked

    def _remote_id(self, keys: JobKeys) -> RemoteId | None:
        created = self.facts.read(keys.created, Created)
        return created.remote_id if created else None

    def _collected_parts(self, keys: JobKeys, collected: Collected, batch_id: BatchId) -> list[CollectedPart]:
        """Find the parts of a batch among those of a job, which may stand on several pages."""
        parts = list(collected.parts)
        pages = collected.pages
        for index in range(max(0, bisect_left(pages, batch_id) - 1), bisect_right(pages, batch_id)):
            page = self.facts.read(keys.page(index), CollectedPage)
            parts += page.parts if page else []
        return [part for part in parts if part.batch_id == batch_id]

    def _plans_with_results(self, batch_id: BatchId) -> list[int]:
        keys = (info.key for info in self.store.list(BatchKeys(batch_id).results))
        return sorted({layout.plan_of_result(key)[2] for key in keys})


def _counted_plans(outcome: Outcome | None) -> list[int]:
    return sorted({part.plan for part in outcome.counted}) if outcome else []


def _named(prefix: str, names: Iterable[str]) -> set[str]:
    """Return what stands between a prefix and `.json` in the names that begin with it."""
    return {name.removeprefix(prefix).removesuffix(".json") for name in names if name.startswith(prefix)}
