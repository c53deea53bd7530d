"""The producer: what a backend service uses to submit batches of IDs and to follow them."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from complyq_config.settings import Settings, load_settings
from complyq_producer import layout, task_names, tracing
from complyq_producer.errors import (
    BatchFailedError,
    BatchNotFinishedError,
    BatchNotFoundError,
    InvalidArgumentError,
    KeyConflictError,
    NothingParkedError,
    QueueUnavailableError,
    StagingExpiredError,
    StoreError,
)
from complyq_producer.facts import BatchRecord, CancelRequested, PartInfo, Released, utc_now
from complyq_producer.ids import ingest
from complyq_producer.layout import BatchKeys
from complyq_producer.ledger import Ledger
from complyq_producer.live import LiveView, RedisLiveView, connect_redis
from complyq_producer.model import BatchId, ComplianceType, Priority, checked_batch_id, new_batch_id
from complyq_producer.overview import Overview, read_overview
from complyq_producer.parked import ParkedWork, parked_facts, parked_work
from complyq_producer.poke import CeleryPoke, Poke
from complyq_producer.replays import purged_error
from complyq_producer.results import Result
from complyq_producer.status import BatchStatus, batch_status, open_statuses
from complyq_producer.store import open_store
from complyq_producer.stored_lines import batch_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping
    from pathlib import Path

    from complyq_producer.ids import IdPart, IdSource, IngestedIds
    from complyq_producer.ledger import BatchView
    from complyq_producer.store import ObjectStore

log = structlog.get_logger(__name__)

STAGING_LIMIT = timedelta(hours=24)
"""Staging that takes longer is refused: after seven days it may be deleted under the producer's hands."""
MAX_PART_BYTES = 16_000_000
MAX_NAME = 200
MAX_KEY = 500
MAX_LABELS_BYTES = 8_000
"""Name and labels travel in every event, which has at most 200,000 bytes."""

OnInvalid = Literal["refuse", "skip"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What `enqueue` did. `submitted = invalid + duplicates + unique`, all in IDs."""

    id: BatchId
    type: ComplianceType
    key: str | None
    submitted: int
    invalid: int
    duplicates: int
    unique: int
    parts: int
    created: bool
    """False when the key was known, so that this is the batch of an earlier call."""
    notified: bool
    """False when the broker could not be reached: the workers will find the batch within a minute of coming back."""


class Producer:
    """Submits batches of IDs and follows them. Safe to keep for the life of a process, and to share after a fork."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        poke: Poke,
        live: LiveView,
        spool_dir: Path,
        part_bytes: int = MAX_PART_BYTES,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._now = now
        self._ledger = Ledger(store, now)
        self._poke = poke
        self._live = live
        self._spool_dir = spool_dir
        self._part_bytes = part_bytes

    @classmethod
    def from_env(cls, **overrides: object) -> Producer:
        """Make a producer from the `COMPLYQ_` environment variables.

        Args:
            **overrides: settings by their field names, which win over the environment.

        Raises:
            ConfigurationError: if a setting is wrong.
        """
        return cls.from_settings(load_settings(**overrides))

    @classmethod
    def from_settings(cls, settings: Settings) -> Producer:
        """Make a producer from settings that were read already."""
        return cls(
            store=open_store(settings.store_url),
            poke=CeleryPoke(settings),
            live=RedisLiveView(connect_redis(settings.redis_url.get_secret_value()), settings.namespace),
            spool_dir=settings.spool_dir,
            part_bytes=min(MAX_PART_BYTES, settings.max_upload_bytes),
        )

    def enqueue(
        self,
        ids: IdSource,
        type: str,  # noqa: A002 - X's word, and part of the public contract
        *,
        name: str | None = None,
        key: str | None = None,
        priority: str = "normal",
        deadline: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        on_invalid: OnInvalid = "refuse",
    ) -> Batch:
        """Submit IDs for a compliance check. They are streamed, never held whole.

        Args:
            ids: any iterable of int or str, or a path or open file with one decimal ID a line, plain or gzip.
            type: "tweets" for Post IDs or "users" for user IDs.
            name: a label for people, at most 200 characters.
            key: makes the call idempotent: the same key, type and IDs return the same batch, ever after.
            priority: "low", "normal", "high" or "urgent".
            deadline: when the results are due; an aware datetime.
            labels: small texts that come back in every event, for example the tenant.
            on_invalid: "refuse" the whole input if an ID is invalid, or "skip" and count it.

        Raises:
            InputError: nothing was enqueued; its subclasses say why.
            StoreError: the store could not take the batch; calling again is safe, with a key even after a lost answer.
        """
        type_ = ComplianceType.parse(type)
        given = _Given(name, key, Priority.parse(priority), deadline, dict(labels or {}))
        given.check()
        reading = ingest(ids, spool_dir=self._spool_dir, on_invalid=on_invalid, part_bytes=self._part_bytes)
        with tracing.span("complyq.enqueue") as trace, reading as ingested:
            known = self._ledger.key_owner(key) if key else None
            record, created = (known, False) if known else self._stage(type_, given, ingested, trace)
            if not created:
                self._join(record, type_, ingested)
        return _batch(record, created=created, notified=self._notify(task_names.PLAN, type_))

    def status(self, batch_id: str) -> BatchStatus:
        """Return how far a batch is.

        Raises:
            BatchNotFoundError: if there is no such batch.
        """
        return batch_status(self._view(batch_id), self._ledger, self._live)

    def find(self, key: str) -> BatchId:
        """Return the batch that was submitted under an idempotency key.

        Raises:
            BatchNotFoundError: if no batch was accepted under it.
        """
        record = self._ledger.key_owner(key)
        if record is None or self._ledger.batch(record.batch_id) is None:
            raise BatchNotFoundError(f"no batch was enqueued with the key {key!r}")
        return record.batch_id

    def open_batches(self) -> Iterator[BatchStatus]:
        """Return the status of every batch that has not ended (or whose end is not published yet)."""
        for type_ in ComplianceType:
            yield from open_statuses(type_, self._ledger, self._live)

    def overview(self) -> Overview:
        """Return what is going on: slots, queues, request budget. Reads little, however many batches are open."""
        return read_overview(self._ledger, self._live, self._now())

    def results(self, batch_id: str) -> Iterator[Result]:
        """Stream the results of a completed batch, sorted by ID. IDs that are absent are compliant.

        Raises:
            BatchNotFoundError: if there is no such batch.
            BatchNotFinishedError: if it has not ended.
            BatchFailedError: if it failed or was cancelled; its events tell what was checked.
            BatchPurgedError: if they were removed, as it ended long ago.
            ConfigurationError: if they are stored as Parquet alone, and pyarrow is not installed.
        """
        view = self._view(batch_id)
        if view.outcome is None:
            raise BatchNotFinishedError(f"batch {batch_id} has not ended; `complyq watch {batch_id}` waits for it")
        if view.outcome.state != "completed":
            raise BatchFailedError(f"batch {batch_id} {view.outcome.state}: {view.outcome.error}")
        if view.purged:
            raise purged_error(view.record.batch_id, view.purged.recorded_at)
        return map(Result.from_line, batch_lines(self._store, view.keys, view.outcome, self._spool_dir))

    def cancel(self, batch_id: str) -> BatchStatus:
        """Ask for a batch to be ended early; a batch that has ended stays as it is.

        Raises:
            BatchNotFoundError: if there is no such batch.
        """
        view = self._view(batch_id)
        if view.outcome is None:
            self._ledger.facts.create(view.keys.cancel_requested, CancelRequested())
            self._notify(task_names.PUBLISH_BATCH, view.record.batch_id)
        return self.status(batch_id)

    def parked(self) -> list[ParkedWork]:
        """Return what crashed whoever worked on it, of all open batches: it waits for somebody to look at it."""
        views = (view for type_ in ComplianceType for view in self._ledger.open_batches(type_))
        return [parked_work(view, fact) for view in views for fact in parked_facts(view, self._now())]

    def release(self, batch_id: str) -> list[ParkedWork]:
        """Have what is parked of a batch tried again, once what made it crash is mended.

        Parts of a parked job are planned again as soon as that job is final at X. Asking twice does nothing more.

        Returns:
            What was parked; empty if it had been released before.

        Raises:
            BatchNotFoundError: if there is no such batch.
            NothingParkedError: if nothing of it is, or was, parked.
        """
        view = self._view(batch_id)
        parked = parked_facts(view, self._now())
        if not parked and not view.released:
            raise NothingParkedError(f"nothing of batch {batch_id} is parked; `complyq parked` lists what is")
        for fact in parked:
            self._ledger.facts.create(view.keys.released(fact.name), Released())
            log.info("work_released", batch=batch_id, parked=fact.name, step=fact.step)
        self._notify(task_names.PLAN, view.record.type)
        return [parked_work(view, fact) for fact in parked]

    def _view(self, batch_id: str) -> BatchView:
        view = self._ledger.batch(checked_batch_id(batch_id))
        if view is None:
            raise BatchNotFoundError(f"there is no batch {batch_id}")
        return view

    def _stage(
        self, type_: ComplianceType, given: _Given, ingested: IngestedIds, trace: str | None
    ) -> tuple[BatchRecord, bool]:
        """Write the marker, the parts, the key's record and the batch, in this order; a failure leaves nothing."""
        started = self._now()
        batch_id = new_batch_id()
        keys = BatchKeys(batch_id)
        with self._cleanup(keys, type_):
            self._store.create(keys.open_marker(type_), b"")
            parts = self._write_parts(keys, ingested)
        record = msgspec.structs.replace(_record(batch_id, type_, given, ingested, parts), traceparent=trace)
        # From here on the parts may be somebody's: a claim or an acceptance whose answer was lost, or another call with
        # the same key that finishes this one's work. What nobody accepts the sweep deletes after a week.
        owner, ours = self._claim_key(record)
        if ours:
            self._accept(owner, started)
        else:
            self._discard(keys, type_)
        return owner, ours

    def _write_parts(
        self, keys: BatchKeys, ingested: IngestedIds, wanted: Container[PartInfo] | None = None
    ) -> list[PartInfo]:
        """Store the parts, or of them only those that are wanted; return what they all are."""
        parts = []

        def store(part: IdPart) -> None:
            info = PartInfo(index=part.index, first=part.first, last=part.last, count=part.count, bytes=part.size)
            if wanted is None or info in wanted:
                self._store.create_from(keys.ids(part.index), part.open())
            parts.append(info)

        ingested.each_part(store)
        return parts

    def _claim_key(self, record: BatchRecord) -> tuple[BatchRecord, bool]:
        if record.key is None:
            return record, True
        return self._ledger.facts.create(layout.key_record(record.key), record)

    def _accept(self, record: BatchRecord, started: datetime) -> None:
        keys = BatchKeys(record.batch_id)
        if self._now() - started > STAGING_LIMIT:
            raise StagingExpiredError(f"staging took longer than {STAGING_LIMIT}: enqueue the batch again")
        self._ledger.facts.create(keys.record, record)
        if self._now() - started > STAGING_LIMIT:  # we stood still in between: a sweep may have taken it for abandoned
            self._store.create(keys.open_marker(record.type), b"")

    def _join(self, owner: BatchRecord, type_: ComplianceType, ingested: IngestedIds) -> None:
        """Return to the batch of an earlier call, finishing its acceptance if that call died before it."""
        if owner.type != type_ or owner.digest != ingested.digest:
            raise KeyConflictError(
                f"the key {owner.key!r} belongs to batch {owner.batch_id} ({owner.unique} {owner.type}): the same key"
                " means the same type and the same IDs, so use another key for these"
            )
        keys = BatchKeys(owner.batch_id)
        if self._store.info(keys.record) is None:
            self._store.create(keys.open_marker(type_), b"")
            # The same IDs give the same bytes, unless the size of parts was changed: then only what is stored counts.
            self._write_parts(keys, ingested, wanted=owner.parts)
            self._ledger.facts.create(keys.record, owner)
            self._store.create(keys.open_marker(type_), b"")  # a sweep may just have taken it for abandoned

    @contextmanager
    def _cleanup(self, keys: BatchKeys, type_: ComplianceType) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with suppress(StoreError):
                self._discard(keys, type_)
            raise

    def _discard(self, keys: BatchKeys, type_: ComplianceType) -> None:
        for info in list(self._store.list(f"{keys.folder}ids/")):
            self._store.delete(info.key)
        self._store.delete(keys.open_marker(type_))

    def _notify(self, task: str, argument: str) -> bool:
        try:
            self._poke.poke(task, argument)
        except QueueUnavailableError as error:
            log.warning("workers_not_notified", error=str(error), hint="the workers' sweep finds it once they run")
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Given:
    """What the caller said of the batch, apart from its IDs."""

    name: str | None
    key: str | None
    priority: Priority
    deadline: datetime | None
    labels: dict[str, str]

    def check(self) -> None:
        if self.name is not None and not 0 < len(self.name) <= MAX_NAME:
            raise InvalidArgumentError(f"name has {len(self.name)} characters, 1 to {MAX_NAME} are allowed")
        if self.key is not None and not 0 < len(self.key) <= MAX_KEY:
            raise InvalidArgumentError(f"key has {len(self.key)} characters, 1 to {MAX_KEY} are allowed")
        if self.deadline is not None and self.deadline.year < 2:  # too near the beginning of dates to be converted
            raise InvalidArgumentError(f"deadline {self.deadline} is no time at which results can be due")
        if self.deadline is not None and self.deadline.tzinfo is None:
            raise InvalidArgumentError(f"deadline {self.deadline} has no time zone: pass an aware datetime")
        if not all(isinstance(text, str) for pair in self.labels.items() for text in pair):
            raise InvalidArgumentError("labels must be texts by text")
        if len(msgspec.json.encode(self.labels)) > MAX_LABELS_BYTES:
            raise InvalidArgumentError(f"labels are longer than {MAX_LABELS_BYTES} bytes of JSON")


def _record(
    batch_id: BatchId, type_: ComplianceType, given: _Given, ingested: IngestedIds, parts: list[PartInfo]
) -> BatchRecord:
    return BatchRecord(
        batch_id=batch_id,
        type=type_,
        name=given.name,
        key=given.key,
        labels=given.labels,
        priority=given.priority,
        deadline=given.deadline.astimezone(UTC) if given.deadline else None,
        digest=ingested.digest,
        submitted=ingested.submitted,
        invalid=ingested.invalid,
        duplicates=ingested.duplicates,
        unique=ingested.unique,
        parts=parts,
    )


def _batch(record: BatchRecord, *, created: bool, notified: bool) -> Batch:
    return Batch(
        id=record.batch_id,
        type=record.type,
        key=record.key,
        submitted=record.submitted,
        invalid=record.invalid,
        duplicates=record.duplicates,
        unique=record.unique,
        parts=len(record.parts),
        created=created,
        notified=notified,
    )
