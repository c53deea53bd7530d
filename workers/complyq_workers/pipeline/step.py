"""What a step is, what it may answer, and how it is run: under a lease, when it is due, with failures as delays."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from complyq_config.celery_settings import LONGEST_COUNTDOWN
from complyq_producer.errors import EventsError, StoreUnavailableError, UnknownSchemaError
from complyq_workers.coordination import NOT_DUE, CoordinationError
from complyq_workers.counting import count_failure
from complyq_workers.download import DownloadInterruptedError
from complyq_workers.pipeline.lease import LeaseLostError, StepLease
from complyq_workers.pipeline.remote import BudgetError
from complyq_workers.pipeline.room import BacklogError
from complyq_workers.preemption import PreemptedError
from complyq_workers.tracing import failed
from complyq_workers.upload import UploadInterruptedError
from complyq_workers.x import AmbiguousAnswerError, ForbiddenOriginError, UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from complyq_workers.coordination import Coordination
    from complyq_workers.pipeline.ports import Ports

    Action = Callable[[StepLease, int], "Outcome"]
    """What a step does under its lease, told how often it was begun since it last came to an end or got on."""

log = structlog.get_logger(__name__)

MAX_BACKOFF_SECONDS = 60.0
MAX_STARTS = 5
"""A step that was begun so often without coming to an end, or getting on, crashes its process every time."""
MAX_BRAKE_SECONDS = 600.0
EARLY_SECONDS = 0.25
"""A step is due this much before its retry is sent: timers are not exact."""
AT_ONCE_SECONDS = 0.02
"""A shorter wait is none: its retry would come before the step is due, and be dropped."""
SOON_SECONDS = 0.001
"""What is postponed by so little is due, whatever it was before."""
PASSING = (
    AmbiguousAnswerError,
    CoordinationError,
    DownloadInterruptedError,
    EventsError,
    ForbiddenOriginError,
    StoreUnavailableError,
    UnauthorizedError,
    UnknownSchemaError,
    UploadInterruptedError,
)
"""Failures that pass: somebody else is down, slow, busy, or newer than we are."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A message worth sending: look at this."""

    task: str
    args: tuple[str | int, ...] = ()
    is_light: bool = field(default=False, compare=False)
    """Whether the step is soon done, although others of its task may take minutes. A message does not tell."""

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
    later: tuple[tuple[Hint, float], ...] = ()
    """Hints that are worth something only after so many seconds."""

    def with_hints(self, hints: Iterable[Hint]) -> Outcome:
        """Return the same with more hints."""
        return replace(self, hints=(*self.hints, *hints))


@dataclass(frozen=True, slots=True)
class _End:
    """How a run of a step ended."""

    outcome: Outcome
    went_well: bool = False


def done(*hints: Hint) -> Outcome:
    """Nothing more to do here; look at these next."""
    return Outcome(hints)


def again(seconds: float, *hints: Hint) -> Outcome:
    """Not ready yet: come back in `seconds`, or at once if there are next to none. That is no failure."""
    return Outcome(hints, min(seconds, LONGEST_COUNTDOWN) if seconds >= AT_ONCE_SECONDS else 0.0)


def run_step(ports: Ports, hint: Hint, action: Action) -> Outcome:
    """Run a step if it is due and nobody else runs it; drop the hint otherwise.

    A step that fails is tried again after a delay that grows with its failures in a row. So is one that crashed its
    process every time, unless it parks itself: it is told how often it was begun.
    """
    try:
        return _run_leased(ports, hint.step, action)
    except CoordinationError as error:
        log.warning("step_without_coordination", step=hint.step, error=str(error))
        return again(_jittered(5.0))


def _run_leased(ports: Ports, name: str, action: Action) -> Outcome:
    lease = StepLease(ports.coordination, ports.clock, name, ports.limits.lease_seconds)
    starts = lease.take(due_within=AT_ONCE_SECONDS)
    if starts == NOT_DUE:
        log.debug("hint_dropped", step=name, reason="not due")
        return done()
    if not starts:
        log.debug("hint_dropped", step=name, reason="under way")
        return done()
    asked_again, end = False, _End(done())
    try:
        with ports.keep_lease(lease):
            end = _attempt(ports.coordination, name, lease, partial(_begin, ports, action, starts))
    finally:
        postponed = _postponed(end.outcome.again_in or _released_brake(starts))
        asked_again = lease.give_back(postponed=postponed, went_well=end.went_well)
    outcome = end.outcome
    return replace(outcome, again_in=0.0) if asked_again and outcome.again_in is None else outcome


def _begin(ports: Ports, action: Action, starts: int, lease: StepLease) -> Outcome:
    """Run a step. One that crashed its process every time is postponed first: should it do so again, that is slow."""
    if starts > MAX_STARTS:
        delay = min(2.0 ** min(starts - MAX_STARTS, 10), MAX_BRAKE_SECONDS)
        log.error("step_keeps_crashing", step=lease.name, starts=starts, seconds=delay)
        ports.coordination.postpone(lease.name, delay)
    return action(lease, starts)


def _released_brake(starts: int) -> float:
    """Return for how long a step that came to an end after all is still not due: no time at all, if it was postponed."""
    return SOON_SECONDS if starts > MAX_STARTS else 0.0


def _postponed(seconds: float) -> float:
    """Return for how long a step is not due that is to come back after so many seconds."""
    return seconds - min(EARLY_SECONDS, seconds / 4)


def _attempt(coordination: Coordination, name: str, lease: StepLease, action: Callable[[StepLease], Outcome]) -> _End:
    try:
        return _End(action(lease), went_well=True)
    except LeaseLostError:
        log.warning("step_lease_lost", step=name)
        return _End(done())
    except PreemptedError:
        log.info("step_preempted", step=name)
        return _End(again(0.0))
    except BudgetError as error:
        log.info("rate_limited", step=name, wait_seconds=error.wait_seconds)
        return _End(again(_spread(error.wait_seconds)))
    except BacklogError as error:
        # However many batches wait, so many of them are begun again as a sweep looks at, and not each by itself.
        log.warning("publishing_paused", step=name, backlog=error.backlog, max=error.most)
        return _End(done())
    except PASSING as error:
        return _End(_after_failure(coordination, name, error))
    except Exception as error:
        log.exception("step_failed", step=name)
        return _End(_after_failure(coordination, name, error))


def _after_failure(coordination: Coordination, name: str, error: Exception) -> Outcome:
    count_failure(coordination, name, error, PASSING)
    failed(error)
    failures = coordination.count_failure(name)
    delay = _jittered(min(2.0 ** min(failures - 1, 10), MAX_BACKOFF_SECONDS))
    log.warning("step_postponed", step=name, failures=failures, seconds=round(delay, 1), error=str(error))
    return again(delay)


def _spread(seconds: float) -> float:
    """Spread workers that wait for the same instant: never earlier than asked, and at most five seconds later."""
    return seconds + random.uniform(0.0, min(5.0, seconds / 10))  # noqa: S311 - no secret depends on it


def _jittered(seconds: float) -> float:
    """Spread workers that failed together; never earlier than asked."""
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311 - no secret depends on it
