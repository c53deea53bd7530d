"""Reads what the page shows. However many batches are open, a bounded number of facts is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from complyq_config.errors import ComplyqError
from complyq_config.redaction import redact
from complyq_producer.activity import read_activity
from complyq_producer.dashboard.batch_page import BatchPage, read_batch_page
from complyq_producer.dashboard.one_look import OneLook
from complyq_producer.dashboard.remembered import FirstBatches, Memory, PatientLedger, RememberedStore
from complyq_producer.dashboard.tally import Tally, tally_of, total
from complyq_producer.dashboard.timeline import Course, Window, course, window
from complyq_producer.errors import InputError, UnknownSchemaError
from complyq_producer.facts import utc_now
from complyq_producer.model import BatchId, ComplianceType
from complyq_producer.overview import LAST_PLANS, Overview, read_overview
from complyq_producer.status import BatchStatus, batch_status, open_statuses

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from complyq_producer.activity import Activity
    from complyq_producer.ledger import JobView
    from complyq_producer.live import LiveView
    from complyq_producer.store import ObjectStore

log = structlog.get_logger(__name__)

LAST_JOBS = 6
"""So many of the last jobs of a type are shown."""
MOST_OPEN = 10
"""So many open batches of a type are shown, the oldest."""
MOST_ENDED = 5
"""So many batches of a type are shown that ended with the last jobs."""
MOST_REMEMBERED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeBoard:
    """What is shown of a type.

    Attributes:
        courses: its last jobs, the newest first.
        open: its oldest open batches.
        has_more: whether there are others.
        ended: batches of the last jobs that have ended, the last one first.
        tally: what its last jobs found.
    """

    type: ComplianceType
    courses: Sequence[Course]
    open: Sequence[BatchStatus]
    has_more: bool
    ended: Sequence[BatchStatus]
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What the page shows."""

    now: datetime
    overview: Overview | None = None
    """None where nothing could be read yet."""
    types: Sequence[TypeBoard] = field(default_factory=list)
    window: Window | None = None
    problem: str | None = None
    """Why it is not newer."""


class BoardReader:
    """Reads the page's contents, as often as it is asked. Not to be asked by two threads at once for the same thing."""

    def __init__(self, store: ObjectStore, live: LiveView, listing_seconds: float) -> None:
        """Read from a store and from what workers show.

        Args:
            store: holds the facts.
            live: what the workers show.
            listing_seconds: for so long a listing of the store is taken for true, while workers show no change.
        """
        self._store = RememberedStore(store, listing_seconds)
        self._ledger = PatientLedger(self._store)
        self._live = live
        self._ended: Memory[BatchId, BatchStatus] = Memory(MOST_REMEMBERED)
        self._tallies: Memory[tuple[ComplianceType, int], Tally] = Memory(MOST_REMEMBERED)
        self._shown: object = None
        self._last = Board(now=utc_now())

    def read(self) -> Board:
        """Read what is going on; where the store does not answer, what was read before with the reason."""
        try:
            self._last = self._read()
        except ComplyqError as error:
            problem = redact(str(error))
            if problem != self._last.problem:
                log.warning("dashboard_not_refreshed", error=problem)
            self._last = replace(self._last, problem=problem)
        return self._last

    def read_batch(self, batch_id: str, parts_page: int) -> BatchPage | None:
        """Read what is shown of a batch; None if there is none."""
        look = OneLook(self._live)
        self._notice_changes(look)
        view = self._ledger.batch(BatchId(batch_id))
        return read_batch_page(view, self._ledger, look, parts_page) if view else None

    def batch_of(self, text: str) -> BatchId | None:
        """Find a batch by its id or key."""
        if is_batch_id(text) and self._ledger.accepted(BatchId(text)):
            return BatchId(text)
        try:
            record = self._ledger.key_owner(text)
        except InputError:
            return None
        return record.batch_id if record else None

    def _read(self) -> Board:
        now, look = utc_now(), OneLook(self._live)
        self._notice_changes(look)
        overview = read_overview(self._ledger, look, now)
        types = [self._type(type_, look, now) for type_ in ComplianceType]
        courses = [course for type_ in types for course in type_.courses]
        return Board(now=now, overview=overview, types=types, window=window(courses, now))

    def _notice_changes(self, look: OneLook) -> None:
        """Look at the store again at once when the workers show another phase of a job."""
        jobs = (look.job(type_) if look.answers() else None for type_ in ComplianceType)
        shown = [(job.plan, job.phase) if job else None for job in jobs]
        if shown != self._shown:
            self._shown = shown
            self._store.look_again()

    def _type(self, type_: ComplianceType, look: OneLook, now: datetime) -> TypeBoard:
        jobs = self._last_jobs(type_)
        activity = read_activity(type_, jobs, look)
        first = FirstBatches(self._ledger, MOST_OPEN + 1)
        open_ = list(open_statuses(type_, first, look))
        shown = {status.batch_id for status in open_}
        tallies = [tally for job in reversed(jobs) if (tally := self._tally(job))]
        return TypeBoard(
            type=type_,
            courses=_courses(jobs, activity, now),
            open=open_[:MOST_OPEN],
            has_more=len(open_) > MOST_OPEN,
            ended=self._ended_with([job for job in jobs if not job.holds_slot], shown, look),
            tally=total(tallies),
        )

    def _last_jobs(self, type_: ComplianceType) -> list[JobView]:
        """Read the last plans and the open ones before them, in order; plans are numbered without gaps."""
        marked = self._ledger.marked_plans(type_)[-LAST_PLANS:]
        highest = max(marked, default=0)
        numbers = {*marked, *range(max(1, highest - LAST_JOBS + 1), highest + 1)}
        return [self._ledger.job(type_, number) for number in sorted(numbers)]

    def _tally(self, job: JobView) -> Tally | None:
        key = (job.keys.type, job.keys.plan_number)
        known = self._tallies.get(key) or tally_of(job, self._ledger)
        if known:
            self._tallies.keep(key, known)
        return known

    def _ended_with(self, jobs: Sequence[JobView], shown: set[BatchId], look: OneLook) -> list[BatchStatus]:
        """Read the batches of the last jobs that have ended and are not shown as open."""
        named = dict.fromkeys(
            batch_id
            for job in reversed(jobs)
            for batch_id in islice(job.plan.batch_ids if job.plan else (), MOST_ENDED)
        )
        candidates = islice((batch_id for batch_id in named if batch_id not in shown), MOST_ENDED)
        found = (self._ended_status(batch_id, look) for batch_id in candidates)
        ended = [status for status in found if status and status.ended_at]
        return sorted(ended, key=lambda status: str(status.ended_at), reverse=True)

    def _ended_status(self, batch_id: BatchId, look: OneLook) -> BatchStatus | None:
        known = self._ended.get(batch_id)
        if known:
            return known
        try:
            view = self._ledger.batch(batch_id)
        except UnknownSchemaError:
            return None
        status = batch_status(view, self._ledger, look) if view else None
        if status and status.state.is_final:
            self._ended.keep(batch_id, status)
        return status


def is_batch_id(text: str) -> bool:
    """Whether a text can be a batch's id, so that it makes no strange key."""
    return 0 < len(text) <= 64 and all(character in "0123456789abcdef-" for character in text)


def _courses(jobs: Sequence[JobView], activity: Activity, now: datetime) -> list[Course]:
    found = (course(job, activity, now) for job in reversed(jobs))
    return [each for each in found if each]
