"""Coordination within one process, with a clock that tests can move."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from complyq_producer.live import LiveJob
    from complyq_producer.model import BatchId, ComplianceType


@dataclass
class MemoryCoordination:
    """Implements `Coordination` with the same meaning as Redis: values that expire."""

    now: Callable[[], float] = time.monotonic
    _values: dict[str, tuple[str, float]] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _starts: dict[str, int] = field(default_factory=dict)
    _positions: dict[str, int] = field(default_factory=dict)
    jobs: dict[ComplianceType, LiveJob] = field(default_factory=dict)
    queues: dict[ComplianceType, list[BatchId]] = field(default_factory=dict)
    durations: dict[ComplianceType, list[float]] = field(default_factory=dict)

    def take_step(self, name: str, nonce: str, seconds: float) -> int:
        """Take or renew the lease on a step, or leave word that it was asked for; return how often it was begun."""
        renewed = self._get(f"step:{name}") == nonce
        if self._hold(f"step:{name}", nonce, seconds) != nonce:
            self._values[f"again:{name}"] = ("1", self.now() + 600)
            return 0
        self._starts[name] = max(1, self._starts.get(name, 0) + (not renewed))
        return self._starts[name]

    def end_step(self, name: str, nonce: str) -> bool:
        """Give the lease back if it is still ours; return whether the step was asked for meanwhile."""
        if self._get(f"step:{name}") != nonce:
            return False
        del self._values[f"step:{name}"]
        self._starts.pop(name, None)
        asked = self._get(f"again:{name}") is not None
        self._values.pop(f"again:{name}", None)
        return asked

    def note_progress(self, name: str, position: int) -> None:
        """Remember how far a step has come. Farther than ever before, its earlier starts are forgotten."""
        if position > self._positions.get(name, 0):
            self._positions[name] = position
            self._starts.pop(name, None)

    def hold_slot(self, type_: ComplianceType, holder: str, seconds: float) -> str:
        """Take or renew the lock of a type for a plan; return who holds it now."""
        return self._hold(f"slot:{type_}", holder, seconds)

    def release_slot(self, type_: ComplianceType, holder: str) -> None:
        """Give the lock of a type back if this plan holds it."""
        if self._get(f"slot:{type_}") == holder:
            del self._values[f"slot:{type_}"]

    def postpone(self, name: str, seconds: float) -> None:
        """Declare that a step is not due before `seconds` have passed."""
        self._values[f"due:{name}"] = ("1", self.now() + seconds)

    def seconds_until_due(self, name: str) -> float:
        """Return how long a step is still postponed, 0 if it is due."""
        return self._seconds_left(f"due:{name}")

    def count_failure(self, name: str) -> int:
        """Count one more failure in a row of a step; return how many there are now."""
        self._failures[name] = self._failures.get(name, 0) + 1
        return self._failures[name]

    def clear_failures(self, name: str) -> None:
        """Forget the failures of a step that went well."""
        self._failures.pop(name, None)

    def block(self, endpoint: str, seconds: float) -> None:
        """Declare that an endpoint of X has no requests left for `seconds`."""
        self._values[f"blocked:{endpoint}"] = ("1", self.now() + seconds)

    def seconds_blocked(self, endpoint: str) -> float:
        """Return how long an endpoint is still blocked, 0 if it is not."""
        return self._seconds_left(f"blocked:{endpoint}")

    def show_job(self, type_: ComplianceType, job: LiveJob) -> None:
        """Show what the slot of a type is doing."""
        self.jobs[type_] = job

    def note_duration(self, type_: ComplianceType, seconds: float) -> None:
        """Remember how long a job took from its plan to its end, for estimates."""
        self.durations.setdefault(type_, []).append(seconds)

    def show_queue(self, type_: ComplianceType, waiting: Sequence[BatchId]) -> None:
        """Show which batches wait, in order."""
        self.queues[type_] = list(waiting)

    def flush(self) -> None:
        """Lose everything, as a Redis that was restarted without persistence does."""
        self._values.clear()
        self._failures.clear()
        self._starts.clear()
        self._positions.clear()

    def _hold(self, key: str, value: str, seconds: float) -> str:
        standing = self._get(key)
        if standing in {None, value}:
            self._values[key] = (value, self.now() + seconds)
            return value
        return standing or value

    def _get(self, key: str) -> str | None:
        value, until = self._values.get(key, ("", 0.0))
        return value if until > self.now() else None

    def _seconds_left(self, key: str) -> float:
        return max(0.0, self._values.get(key, ("", 0.0))[1] - self.now())
