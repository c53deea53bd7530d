"""Coordination within one process, with a clock that tests can move."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any

import msgspec

from complyq_producer.live import ENDPOINTS, LiveBudget
from complyq_producer.model import ComplianceType
from complyq_workers.coordination.port import NOT_DUE
from complyq_workers.coordination.quota import (
    ASSUMED_REQUESTS,
    ASSUMED_SECONDS,
    LEARNING_SECONDS,
    PROBE_SECONDS,
    RESERVED_SECONDS,
    SAME_WINDOW_SECONDS,
)
from complyq_workers.coordination.redis_server import (
    ASKED_SECONDS,
    FAILURES_SECONDS,
    REMEMBERED_JOBS,
    SHOWN_PLACES,
    SHOWN_SECONDS,
    STARTS_SECONDS,
)
from complyq_workers.coordination.tally import counted_as, observed_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from complyq_producer.estimates import JobDuration
    from complyq_producer.live import LiveJob, LivePlace, LiveQueue
    from complyq_producer.model import BatchId
    from complyq_workers.coordination.port import Unsettled
    from complyq_workers.coordination.quota import Quota
    from complyq_workers.coordination.tally import Counter, Histogram


@dataclass(frozen=True, slots=True)
class _Window:
    """How many requests an endpoint has left; `learnt` is False while X's headers told nothing."""

    limit: int
    left: int
    learnt: bool


@dataclass
class MemoryCoordination:
    """Implements `Coordination` with the same meaning as Redis: values that expire, and one command at a time.

    It is a `LiveView` of itself, too.

    Attributes:
        now: the clock, in seconds.
    """

    now: Callable[[], float] = time.monotonic
    _values: dict[str, tuple[Any, float]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def take_step(self, name: str, nonce: str, seconds: float, *, due_within: float | None = None) -> int:
        """Take or renew the lease on a step, or leave word that it was asked for; return how often it was begun."""
        with self._lock:
            holder = self._get(f"step:{name}")
            if due_within is not None and holder != nonce and self._seconds_left(f"due:{name}") >= due_within:
                return NOT_DUE
            if holder not in {None, nonce}:
                self._set(f"again:{name}", "1", ASKED_SECONDS)
                return 0
            self._set(f"step:{name}", nonce, seconds)
            if holder is None:
                self._delete(f"again:{name}")
                return self._increment(f"starts:{name}", STARTS_SECONDS)
            starts: int | None = self._get(f"starts:{name}")
            if starts is not None:
                self._set(f"starts:{name}", starts, STARTS_SECONDS)
            return starts or 1

    def end_step(self, name: str, nonce: str, *, postponed: float = 0.0, went_well: bool = False) -> bool:
        """End the step in order and give the lease back, if it is still ours; return whether it was asked for meanwhile."""
        with self._lock:
            if postponed > 0:
                self._set(f"due:{name}", "1", postponed)
            if went_well:
                self._delete(f"failures:{name}")
            if self._get(f"step:{name}") not in {None, nonce}:
                return False
            self._delete(f"step:{name}", f"starts:{name}")
            return self._get(f"again:{name}") is not None

    def note_progress(self, name: str, position: int) -> None:
        """Remember how far a step has come. Farther than ever before, its earlier starts are forgotten."""
        with self._lock:
            if position > (self._get(f"position:{name}") or 0):
                self._set(f"position:{name}", position, STARTS_SECONDS)
                self._delete(f"starts:{name}")

    def hold_slot(self, type_: ComplianceType, holder: str, seconds: float) -> str:
        """Take or renew the lock of a type for a plan; return who holds it now."""
        with self._lock:
            standing: str | None = self._get(f"slot:{type_}")
            if standing not in {None, holder}:
                return standing or ""
            self._set(f"slot:{type_}", holder, seconds)
            return holder

    def release_slot(self, type_: ComplianceType, holder: str) -> None:
        """Give the lock of a type back if this plan holds it."""
        with self._lock:
            if self._get(f"slot:{type_}") == holder:
                self._delete(f"slot:{type_}")

    def postpone(self, name: str, seconds: float) -> None:
        """Declare that a step is not due before `seconds` have passed."""
        if seconds > 0:
            with self._lock:
                self._set(f"due:{name}", "1", seconds)

    def seconds_until_due(self, name: str) -> float:
        """Return how long a step is still postponed, 0 if it is due."""
        with self._lock:
            return self._seconds_left(f"due:{name}")

    def is_idle(self, name: str) -> bool:
        """Whether a step is due and nobody runs it."""
        with self._lock:
            return self._get(f"due:{name}") is None and self._get(f"step:{name}") is None

    def count_failure(self, name: str) -> int:
        """Count one more failure in a row of a step; return how many there are now."""
        with self._lock:
            return self._increment(f"failures:{name}", FAILURES_SECONDS)

    def reserve(self, endpoint: str, nonce: str) -> float:
        """Ask whether a request may be sent to an endpoint of X now: 0, or after how many seconds to ask again."""
        with self._lock:
            in_flight, window = self._in_flight(endpoint), self._window(endpoint)
            if nonce in in_flight:
                return 0.0
            blocked = self._seconds_left(f"blocked:{endpoint}")
            if blocked > 0:
                return blocked
            if window and window.left < 1:
                return self._seconds_left(f"budget:{endpoint}")
            if not (window and window.learnt):
                if self._get(f"probe:{endpoint}"):
                    return LEARNING_SECONDS
                self._set(f"probe:{endpoint}", nonce, PROBE_SECONDS)
            self._add(endpoint, -1)
            self._set(f"in_flight:{endpoint}", in_flight | {nonce: self.now() + RESERVED_SECONDS}, RESERVED_SECONDS)
            return 0.0

    def settle(self, endpoint: str, nonce: str, quota: Quota | None, *, sent: bool = True) -> None:
        """Tell how a reserved request ended."""
        with self._lock:
            in_flight = self._in_flight(endpoint)
            held = in_flight.pop(nonce, None)
            self._set(f"in_flight:{endpoint}", in_flight, RESERVED_SECONDS)
            if self._get(f"probe:{endpoint}") == nonce:
                self._delete(f"probe:{endpoint}")
            if quota and sent:
                self._learn(endpoint, quota, len(in_flight))
            elif sent and self._window(endpoint) is None:
                window = _Window(ASSUMED_REQUESTS, ASSUMED_REQUESTS - 1 - len(in_flight), learnt=False)
                self._set(f"budget:{endpoint}", window, ASSUMED_SECONDS)
            elif held and not sent:
                self._add(endpoint, 1)

    def block(self, endpoint: str, seconds: float) -> None:
        """Declare that X refuses requests to an endpoint for `seconds`; nothing is known of its window afterwards."""
        if seconds > 0:
            with self._lock:
                self._set(f"blocked:{endpoint}", "1", seconds)
                self._delete(f"budget:{endpoint}")

    def budgets(self) -> dict[str, LiveBudget]:
        """Return what is known of the endpoints' windows, by endpoint."""
        with self._lock:
            budgets = {endpoint: self._budget(endpoint) for endpoint in ENDPOINTS}
        return {endpoint: budget for endpoint, budget in budgets.items() if budget != LiveBudget()}

    def show_job(self, type_: ComplianceType, job: LiveJob) -> None:
        """Show what the slot of a type is doing."""
        with self._lock:
            self._set(f"live:{type_}", job, SHOWN_SECONDS)

    def show_queue(self, type_: ComplianceType, queue: LiveQueue) -> None:
        """Show what waits, with the places of the first batches, in place of what was shown before."""
        with self._lock:
            self._set(f"queue:{type_}", msgspec.structs.replace(queue, places=[]), SHOWN_SECONDS)
            places = {place.batch_id: place for place in queue.places[:SHOWN_PLACES]}
            self._set(f"places:{type_}", places, SHOWN_SECONDS)

    def note_duration(self, type_: ComplianceType, duration: JobDuration) -> None:
        """Remember how long a job took."""
        with self._lock:
            noted: list[JobDuration] = self._get(f"took:{type_}") or []
            self._set(f"took:{type_}", [duration, *noted][:REMEMBERED_JOBS], inf)

    def durations(self, type_: ComplianceType) -> list[JobDuration]:
        """Return how long the last jobs took, newest first; empty if none is known."""
        with self._lock:
            return list(self._get(f"took:{type_}") or [])

    def slot_holder(self, type_: ComplianceType) -> str | None:
        """Return who holds the lock of a type, if anybody does."""
        with self._lock:
            holder: str | None = self._get(f"slot:{type_}")
            return holder

    def count(self, counter: Counter, *labels: str, amount: int = 1) -> None:
        """Count for metrics, at once."""
        self._tell([(counted_as(counter, *labels), amount)])

    def observe(self, histogram: Histogram, type_: ComplianceType, seconds: float) -> None:
        """Take a duration into a histogram."""
        self._tell(observed_as(histogram, type_, seconds))

    def _tell(self, counts: Iterable[tuple[str, int]]) -> None:
        with self._lock:
            counted = dict(self._get("counted") or {})
            for field_name, amount in counts:
                counted[field_name] = counted.get(field_name, 0) + amount
            self._set("counted", counted, inf)

    def counted(self) -> dict[str, int]:
        """Return all that was counted and observed since the last flush, by field."""
        with self._lock:
            return dict(self._get("counted") or {})

    def show_unsettled(self, type_: ComplianceType, batches: Sequence[Unsettled]) -> None:
        """Show which open batches have ended or are parked, in place of what was shown before."""
        with self._lock:
            self._set(f"unsettled:{type_}", list(batches), SHOWN_SECONDS)

    def unsettled(self, type_: ComplianceType) -> list[Unsettled] | None:
        """Return which open batches were shown to have ended or to be parked; None if that is not known."""
        with self._lock:
            shown: list[Unsettled] | None = self._get(f"unsettled:{type_}")
            return shown

    def show_backlog(self, events: int) -> None:
        """Show how many events wait on the results queue for their listeners."""
        with self._lock:
            self._set("backlog", events, SHOWN_SECONDS)

    def backlog(self) -> int | None:
        """Return how many events were last seen to wait; None if that is not known."""
        with self._lock:
            shown: int | None = self._get("backlog")
            return shown

    def show_alive(self, role: str, processes: Sequence[str], seconds: float) -> None:
        """Show that processes of a role live; they count for so many seconds."""
        with self._lock:
            living = self._living(role) | {process: self.now() + seconds for process in processes}
            self._set(f"alive:{role}", living, seconds)

    def alive(self, role: str) -> int:
        """Return how many processes of a role live."""
        with self._lock:
            return len(self._living(role))

    def _living(self, role: str) -> dict[str, float]:
        shown: dict[str, float] = self._get(f"alive:{role}") or {}
        return {process: until for process, until in shown.items() if until > self.now()}

    # What else status sees

    def answers(self) -> bool:
        """Memory is always there."""
        return True

    @property
    def jobs(self) -> dict[ComplianceType, LiveJob]:
        """What the slots are doing, of all types."""
        return {type_: job for type_ in ComplianceType if (job := self.job(type_))}

    def job(self, type_: ComplianceType) -> LiveJob | None:
        """Return what the slot of a type is doing, or None if that is not known."""
        with self._lock:
            job: LiveJob | None = self._get(f"live:{type_}")
            return job

    def queue(self, type_: ComplianceType) -> LiveQueue | None:
        """Return what waits, without the places, or None if that is not known."""
        with self._lock:
            queue: LiveQueue | None = self._get(f"queue:{type_}")
            return queue

    def position(self, type_: ComplianceType, batch_id: BatchId) -> LivePlace | None:
        """Return where a waiting batch stands, or None if it does not wait or that is not known."""
        with self._lock:
            places: dict[BatchId, LivePlace] = self._get(f"places:{type_}") or {}
            return places.get(batch_id)

    def flush(self) -> None:
        """Lose everything, as a Redis that was restarted without persistence does."""
        with self._lock:
            self._values.clear()

    def _in_flight(self, endpoint: str) -> dict[str, float]:
        """Return the reservations that still count, each with the instant until which it does."""
        reserved: dict[str, float] = self._get(f"in_flight:{endpoint}") or {}
        return {nonce: until for nonce, until in reserved.items() if until > self.now()}

    def _window(self, endpoint: str) -> _Window | None:
        window: _Window | None = self._get(f"budget:{endpoint}")
        return window

    def _learn(self, endpoint: str, quota: Quota, others: int) -> None:
        """Take what an answer says. Whatever else was under way may not be counted in it yet."""
        known, left = self._window(endpoint), quota.remaining - others
        seconds, later = quota.seconds_left, quota.seconds_left - self._seconds_left(f"budget:{endpoint}")
        if known and known.learnt:
            if later < -SAME_WINDOW_SECONDS:
                return  # of an earlier window
            if later <= SAME_WINDOW_SECONDS:
                left, seconds = min(left, known.left), seconds - later
        self._set(f"budget:{endpoint}", _Window(quota.limit, left, learnt=True), seconds)

    def _add(self, endpoint: str, requests: int) -> None:
        """Change how many requests are left of a window, if it is known."""
        window = self._window(endpoint)
        if window:
            changed = replace(window, left=window.left + requests)
            self._set(f"budget:{endpoint}", changed, self._seconds_left(f"budget:{endpoint}"))

    def _budget(self, endpoint: str) -> LiveBudget:
        window, blocked = self._window(endpoint), self._seconds_left(f"blocked:{endpoint}")
        if window is None:
            return LiveBudget(seconds_blocked=blocked)
        seconds = self._seconds_left(f"budget:{endpoint}")
        return LiveBudget(
            limit=window.limit, remaining=max(0, window.left), seconds_left=seconds, seconds_blocked=blocked
        )

    def _seconds_left(self, key: str) -> float:
        return max(0.0, self._values.get(key, ("", -inf))[1] - self.now())

    def _get(self, key: str) -> Any:
        value, until = self._values.get(key, (None, inf))
        return value if until > self.now() else None

    def _set(self, key: str, value: object, seconds: float) -> None:
        self._values[key] = (value, self.now() + max(seconds, 0.001))  # Redis counts whole milliseconds, at least one

    def _increment(self, key: str, seconds: float) -> int:
        count: int = (self._get(key) or 0) + 1
        self._set(key, count, seconds)
        return count

    def _delete(self, *keys: str) -> None:
        for key in keys:
            self._values.pop(key, None)
