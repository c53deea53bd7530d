"""What a step is, what it may answer, and how it is run: under a lease, when it is due, with failures as delays."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import structlog
import uuid_utils

from complyq_config.celery_settings import LONGEST_COUNTDOWN
from complyq_config.errors import ComplyqError
from complyq_producer.errors import EventsError, StoreUnavailableError
from complyq_workers.coordination import CoordinationError
from complyq_workers.download import DownloadInterruptedError
from complyq_workers.pipeline.remote import BudgetError
from complyq_workers.upload import UploadInterruptedError
from complyq_workers.x import AmbiguousAnswerError, ForbiddenOriginError, UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from complyq_workers.coordination import Coordination

log = structlog.get_logger(__name__)

STEP_SECONDS = 540
"""A step ends or checkpoints within this time; its lease is not renewed for much longer."""
MAX_BACKOFF_SECONDS = 60.0
EARLY_SECONDS = 0.25
"""A step is due this much before its retry is sent: timers are not exact."""
PASSING = (
    AmbiguousAnswerError,
    CoordinationError,
    DownloadInterruptedError,
    EventsError,
    ForbiddenOriginError,
    StoreUnavailableError,
    UnauthorizedError,
    UploadInterruptedError,
)
"""Failures that pass: somebody else is down, slow or busy."""


class LeaseLostError(ComplyqError):
    """Another worker may have taken this step over; stop here, the facts tell it where to go on."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A message worth sending: look at this."""

    task: str
    args: tuple[str | int, ...] = ()

    @property
    def step(self) -> str:
        """The name of the step, under which leases and due times are kept."""
        return ":".join([self.task.removeprefix("complyq."), *map(str, self.args)])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows a step: hints at other steps, and when to run this one again, if at all."""

    hints: tuple[Hint, ...] = ()
    again_in: float | None = None
    """Seconds; None if this step is done."""

    def with_hints(self, hints: Iterable[Hint]) -> Outcome:
        """Return the same with more hints."""
        return replace(self, hints=(*self.hints, *hints))


def done(*hints: Hint) -> Outcome:
    """Nothing more to do here; look at these next."""
    return Outcome(hints)


def again(seconds: float, *hints: Hint) -> Outcome:
    """Not ready yet: come back in `seconds`. That is no failure."""
    return Outcome(hints, min(max(seconds, 0.0), LONGEST_COUNTDOWN))


def run_step(
    coordination: Coordination, hint: Hint, action: Callable[[StepLease], Outcome], *, lease_seconds: float
) -> Outcome:
    """Run a step if it is due and nobody else runs it; drop the hint otherwise.

    A step that fails is tried again after a delay that grows with its failures in a row.
    """
    try:
        return _run_leased(coordination, hint, action, lease_seconds)
    except CoordinationError as error:
        log.warning("step_without_coordination", step=hint.step, error=str(error))
        return again(_jittered(5.0))


def _run_leased(
    coordination: Coordination, hint: Hint, action: Callable[[StepLease], Outcome], lease_seconds: float
) -> Outcome:
    name = hint.step
    if coordination.seconds_until_due(name) > 0:
        log.debug("hint_dropped", step=name, reason="not due")
        return done()
    lease = StepLease(coordination, name, lease_seconds)
    if not lease.take():
        log.debug("hint_dropped", step=name, reason="under way")
        return done()
    with lease:
        outcome = _attempt(coordination, name, lease, action)
        _postpone(coordination, name, outcome.again_in or 0.0)
    return replace(outcome, again_in=0.0) if lease.asked_again and outcome.again_in is None else outcome


def _postpone(coordination: Coordination, name: str, seconds: float) -> None:
    if seconds <= 0:
        return
    try:
        coordination.postpone(name, seconds - min(EARLY_SECONDS, seconds / 4))
    except CoordinationError as error:
        log.warning("step_not_postponed", step=name, error=str(error))


def _attempt(
    coordination: Coordination, name: str, lease: StepLease, action: Callable[[StepLease], Outcome]
) -> Outcome:
    try:
        outcome = action(lease)
    except LeaseLostError:
        log.warning("step_lease_lost", step=name)
        return done()
    except BudgetError as error:
        log.info("rate_limited", step=name, wait_seconds=error.wait_seconds)
        return again(_jittered(error.wait_seconds))
    except PASSING as error:
        return _after_failure(coordination, name, error)
    except Exception as error:
        log.exception("step_failed", step=name)
        return _after_failure(coordination, name, error)
    coordination.clear_failures(name)
    return outcome


def _after_failure(coordination: Coordination, name: str, error: Exception) -> Outcome:
    failures = coordination.count_failure(name)
    delay = _jittered(min(2.0 ** min(failures - 1, 10), MAX_BACKOFF_SECONDS))
    log.warning("step_postponed", step=name, failures=failures, seconds=round(delay, 1), error=str(error))
    return again(delay)


def _jittered(seconds: float) -> float:
    """Spread workers that failed together; never earlier than asked."""
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311 - no secret depends on it


class StepLease:
    """The right to run a step, renewed by a thread until the step ends or has run for too long."""

    def __init__(self, coordination: Coordination, name: str, seconds: float) -> None:
        self._coordination = coordination
        self._name = name
        self._seconds = seconds
        self._nonce = uuid_utils.uuid4().hex
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease {name}", daemon=True)
        self.asked_again = False
        """Whether somebody asked for the step while it ran; known once the lease has been given back."""

    def take(self) -> bool:
        """Try to take the lease."""
        return self._coordination.take_step(self._name, self._nonce, self._seconds)

    def check(self) -> None:
        """Stop the step if its lease may be somebody else's by now.

        Raises:
            LeaseLostError: if it could not be renewed in time.
        """
        if self._lost.is_set():
            raise LeaseLostError(f"the lease on {self._name} was lost")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self.asked_again = self._coordination.end_step(self._name, self._nonce)
        except CoordinationError as lost:
            log.warning("step_lease_not_returned", step=self._name, error=str(lost))  # it expires by itself

    def _renew(self) -> None:
        deadline = time.monotonic() + STEP_SECONDS + 60
        while time.monotonic() < deadline:
            if self._ended.wait(min(self._seconds / 3, 60)):
                return
            try:
                kept = self._coordination.take_step(self._name, self._nonce, self._seconds)
            except CoordinationError:
                continue  # it may come back in time; if not, somebody else's lease will refuse the next renewal
            if not kept:
                break
        self._lost.set()
