"""Coordination within one process, with a clock that tests can move."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from complyq_producer.model import ComplianceType
from complyq_workers.coordination.redis_server import (
    ASKED_SECONDS,
    FAILURES_SECONDS,
    REMEMBERED_JOBS,
    SHOWN_QUEUE,
    SHOWN_SECONDS,
    STARTS_SECONDS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from complyq_producer.live import LiveJob
    from complyq_producer.model import BatchId


@dataclass
class MemoryCoordination:
    """Implements `Coordination` with the same meaning as Redis: values that expire, and one command at a time.

    Attributes:
        now: the clock, in seconds.
    """

    now: Callable[[], float] = time.monotonic
    _values: dict[str, tuple[Any, float]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def take_step(self, name: str, nonce: str, seconds: float) -> int:
        """Take or renew the lease on a step, or leave word that it was asked for; return how often it was begun."""
        with self._lock:
            holder = self._get(f"step:{name}")
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

    def end_step(self, name: str, nonce: str) -> bool:
        """End the step in order and give the lease back, if it is still ours; return whether it was asked for meanwhile."""
        with self._lock:
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
        self._forbid(f"due:{name}", seconds)

    def seconds_until_due(self, name: str) -> float:
        """Return how long a step is still postponed, 0 if it is due."""
        return self._seconds_left(f"due:{name}")

    def count_failure(self, name: str) -> int:
        """Count one more failure in a row of a step; return how many there are now."""
        with self._lock:
            return self._increment(f"failures:{name}", FAILURES_SECONDS)

    def clear_failures(self, name: str) -> None:
        """Forget the failures of a step that went well."""
        with self._lock:
            self._delete(f"failures:{name}")

    def block(self, endpoint: str, seconds: float) -> None:
        """Declare that an endpoint of X has no requests left for `seconds`."""
        self._forbid(f"blocked:{endpoint}", seconds)

    def seconds_blocked(self, endpoint: str) -> float:
        """Return how long an endpoint is still blocked, 0 if it is not."""
        return self._seconds_left(f"blocked:{endpoint}")

    def show_job(self, type_: ComplianceType, job: LiveJob) -> None:
        """Show what the slot of a type is doing."""
        with self._lock:
            self._set(f"live:{type_}", job, SHOWN_SECONDS)

    def note_duration(self, type_: ComplianceType, seconds: float) -> None:
        """Remember how long a job took from its plan to its end, for estimates."""
        with self._lock:
            noted: list[float] = self._get(f"durations:{type_}") or []
            self._set(f"durations:{type_}", [seconds, *noted][:REMEMBERED_JOBS], inf)

    def show_queue(self, type_: ComplianceType, waiting: Sequence[BatchId]) -> None:
        """Show which batches wait, in order."""
        with self._lock:
            self._set(f"queue:{type_}", list(waiting[:SHOWN_QUEUE]), SHOWN_SECONDS)

    @property
    def jobs(self) -> dict[ComplianceType, LiveJob]:
        """What the slots are doing, as status would see it."""
        return self._shown("live")

    @property
    def queues(self) -> dict[ComplianceType, list[BatchId]]:
        """Which batches wait, in order, as status would see it."""
        return self._shown("queue")

    @property
    def durations(self) -> dict[ComplianceType, list[float]]:
        """How long the last jobs took, newest first."""
        return self._shown("durations")

    def flush(self) -> None:
        """Lose everything, as a Redis that was restarted without persistence does."""
        with self._lock:
            self._values.clear()

    def _shown(self, what: str) -> dict[ComplianceType, Any]:
        with self._lock:
            return {type_: shown for type_ in ComplianceType if (shown := self._get(f"{what}:{type_}"))}

    def _forbid(self, key: str, seconds: float) -> None:
        if seconds > 0:
            with self._lock:
                self._set(key, "1", seconds)

    def _seconds_left(self, key: str) -> float:
        with self._lock:
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
