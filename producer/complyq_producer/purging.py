"""Removes what is kept of batches that ended long ago: their IDs and results, and the payloads of their jobs.

What was counted and decided stays, without IDs, so that keys keep their meaning. Nothing is removed of a batch that is
open or whose events are being published, now or again. It may be interrupted anywhere and repeated at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import structlog

from complyq_producer import layout
from complyq_producer.errors import UnknownSchemaError
from complyq_producer.facts import BatchRecord, Outcome, Plan, Purged, utc_now
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_producer.ledger import JobPhase, Ledger
from complyq_producer.model import BatchId, ComplianceType
from complyq_producer.replays import covers, open_replays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from complyq_producer.facts import Replay
    from complyq_producer.store import ObjectInfo, ObjectStore

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger(__name__)

AT_ONCE = 32
"""So many batches are purged before somebody looks whether to go on."""


class Together(Protocol):
    """Does some work for each item."""

    def __call__(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return what came of each item, in the order of the items."""


class PurgeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed, or would be."""

    batches: int = 0
    objects: int = 0
    bytes: int = 0
    payloads: int = 0
    """So many of the objects are payloads of jobs that several batches shared."""
    kept: int = 0
    """Batches old enough of which nothing was removed: their events are being published again, or a newer version wrote them."""

    def __add__(self, other: PurgeReport) -> PurgeReport:
        """Add two reports up."""
        return PurgeReport(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


KEPT = PurgeReport(kept=1)


@dataclass
class Purge:
    """One purge of a store: of all batches that ended at `before` or earlier.

    Attributes:
        dry_run: whether to look only.
    """

    store: ObjectStore
    before: datetime
    together: Together
    dry_run: bool = False
    now: Callable[[], datetime] = utc_now
    _due: dict[BatchId, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.store, self.now)

    def run(self) -> Iterator[PurgeReport]:
        """Purge; after some batches, and after each payload, tell what was removed so far, and at the end."""
        total = PurgeReport()
        markers = self._markers()
        while some := list(islice(markers, AT_ONCE)):
            replays = list(open_replays(self._ledger.facts))
            total = sum(self.together(partial(self._purge_batch, replays), some), total)
            yield total
        for type_ in ComplianceType:
            for removed in self._payloads(type_):
                total += removed
                yield total
        yield total

    def _markers(self) -> Iterator[str]:
        last_day = f"{layout.DONE}{self.before:%Y-%m-%d}/~"
        for info in self.store.list(layout.DONE):
            if info.key > last_day:
                return
            yield info.key

    def _purge_batch(self, replays: list[Replay], marker: str) -> PurgeReport:
        keys = BatchKeys(BatchId(marker.rsplit("/", 1)[1]))
        try:
            outcome = self._ledger.facts.read(keys.outcome, Outcome)
            accepted = self._ledger.accepted(keys.batch_id)
        except UnknownSchemaError as error:
            log.error("batch_not_readable", batch=keys.batch_id, error=str(error))  # noqa: TRY400 - no bug of ours
            return KEPT
        if outcome is None or accepted is None or outcome.recorded_at > self.before:
            return PurgeReport()
        if any(covers(replay, keys.batch_id, outcome) for replay in replays):
            return KEPT
        found = [*self.store.list(keys.id_parts), *self.store.list(keys.results)]
        if not self.dry_run:
            self._remove(keys, accepted, outcome, found)
            self.store.delete(marker)  # last: by it the batch is found again if we die
        return PurgeReport(batches=1, objects=len(found), bytes=sum(info.size for info in found))

    def _remove(
        self, keys: BatchKeys, accepted: tuple[BatchRecord, datetime], outcome: Outcome, found: list[ObjectInfo]
    ) -> None:
        record, accepted_at = accepted
        size = sum(info.size for info in found)
        purged = Purged(accepted_at=accepted_at, ended_at=outcome.recorded_at, objects=len(found), bytes=size)
        _, ours = self._ledger.facts.create(keys.purged, purged)
        if record.key is not None:
            self._forget_ids(layout.key_record(record.key), record)
        self._forget_ids(keys.record, record)
        for info in found:
            self.store.delete(info.key)
        if ours:
            log.info("batch_purged", batch=keys.batch_id, objects=len(found), bytes=size)

    def _forget_ids(self, key: str, record: BatchRecord) -> None:
        """Write a record again without the first and last ID of each part, if it is this batch's."""
        standing = self._ledger.facts.read(key, BatchRecord)
        if standing is None or standing.batch_id != record.batch_id:
            return
        if any(part.first or part.last for part in standing.parts):
            self.store.replace(key, _without_ids(self.store.read(key).body))

    def _payloads(self, type_: ComplianceType) -> Iterator[PurgeReport]:
        """Remove the payloads of jobs all of whose batches are due; remember up to which plan none is left."""
        seen = self._purged_up_to(type_)
        reached = seen
        for number in range(seen + 1, max(self._ledger.marked_plans(type_), default=0) + 1):
            job = JobKeys(type_, number)
            plan = self._ledger.facts.read(job.plan, Plan)
            if plan is None or plan.recorded_at > self.before:
                break  # what was planned later has ended later
            removed = self._purge_payload(job, plan)
            if removed is not None and reached == number - 1:
                reached = number
            yield removed or PurgeReport()
        if reached > seen and not self.dry_run:
            self._remember(type_, reached)

    def _purge_payload(self, job: JobKeys, plan: Plan) -> PurgeReport | None:
        """Remove the payload of a plan; None if it is still needed, or belongs to batches that are not due."""
        if not plan.is_merged:
            return PurgeReport()
        view = self._ledger.job(job.type, job.plan_number)
        if view.phase not in {JobPhase.CLOSED, JobPhase.SPLIT} or not all(map(self._is_due, plan.batch_ids)):
            return None
        found = self.store.info(job.payload)
        if found is None:
            return PurgeReport()
        if not self.dry_run:
            self.store.delete(job.payload)
            log.info("payload_purged", type=job.type, plan=job.plan_number, bytes=found.size)
        return PurgeReport(objects=1, bytes=found.size, payloads=1)

    def _is_due(self, batch_id: BatchId) -> bool:
        """Whether a batch was published to its end and ended long ago."""
        if batch_id not in self._due:
            keys = BatchKeys(batch_id)
            outcome = self._ledger.facts.read(keys.outcome, Outcome)
            is_old = outcome is not None and outcome.recorded_at <= self.before
            self._due[batch_id] = is_old and self.store.info(keys.published) is not None
        return self._due[batch_id]

    def _purged_up_to(self, type_: ComplianceType) -> int:
        prefix = layout.purged_payloads(type_)
        return max((int(info.key.removeprefix(prefix)) for info in self.store.list(prefix)), default=0)

    def _remember(self, type_: ComplianceType, plan: int) -> None:
        """Remember up to which plan payloads were purged, and forget what was remembered before."""
        self.store.create(layout.purged_up_to(type_, plan), b"")
        for info in list(self.store.list(layout.purged_payloads(type_))):
            if info.key < layout.purged_up_to(type_, plan):
                self.store.delete(info.key)


def _without_ids(body: bytes) -> bytes:
    """Leave the first and last IDs out of a record; whatever else it says, also in a newer version, stays."""
    record = msgspec.json.decode(body, type=dict[str, Any])
    record["parts"] = [{**part, "first": 0, "last": 0} for part in record["parts"]]
    return msgspec.json.encode(record)


def before_days(days: float, now: datetime) -> datetime:
    """Return when a batch must have ended to be older than so many days."""
    return now - timedelta(days=days)
