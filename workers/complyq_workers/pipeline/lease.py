"""The lease on a step: who runs it, how it is kept while the step runs, and how the step learns that it is lost."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import structlog
import uuid_utils

from complyq_config.errors import ComplyqError
from complyq_workers import preemption
from complyq_workers.coordination import CoordinationError
from complyq_workers.preemption import PreemptedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_workers.clock import Clock
    from complyq_workers.coordination import Coordination

log = structlog.get_logger(__name__)

STEP_SECONDS = 540
"""A step ends or checkpoints within this time; its lease is not renewed for much longer."""
LONGEST_SECONDS = STEP_SECONDS + 60


class LeaseLostError(ComplyqError):
    """Another worker may have taken this step over; stop here, the facts tell it where to go on."""


class StepLease:
    """The right to run a step: taken for some seconds, and renewed until the step ends or has run for too long."""

    def __init__(self, coordination: Coordination, clock: Clock, name: str, seconds: float) -> None:
        self.name = name
        self._coordination = coordination
        self._clock = clock
        self._seconds = seconds
        self._nonce = uuid_utils.uuid4().hex
        self._ends = clock.monotonic() + LONGEST_SECONDS
        self._lost = False
        self._sure_until = 0.0
        self._had_gap = False

    @property
    def renewal_seconds(self) -> float:
        """How often it wants to be renewed."""
        return min(self._seconds / 3, 60)

    def take(self) -> int:
        """Try to take the lease; return how often the step was begun without coming to an end, or 0 if it is not ours."""
        asked_at = self._clock.monotonic()
        starts = self._coordination.take_step(self.name, self._nonce, self._seconds)
        if starts:
            self._sure_until = asked_at + self._seconds
        return starts

    def renew(self) -> bool:
        """Keep the lease for some more seconds; False once it is lost."""
        if self._clock.monotonic() >= self._ends:
            self._lost = True
        with suppress(CoordinationError):  # it may be back in time; if not, somebody else's lease refuses the next try
            self._lost = self._lost or not self._renew_in_time()
        return not self._lost

    def check(self) -> None:
        """Stop the step if its lease may be somebody else's by now, or if its worker shuts down.

        Raises:
            LeaseLostError: if it could not be renewed in time.
            PreemptedError: if the step cannot be waited for any longer.
        """
        if self._lost:
            raise LeaseLostError(f"the lease on {self.name} was lost")
        if preemption.is_due():
            raise PreemptedError(f"the worker shuts down, and {self.name} still runs")

    def check_sure(self) -> None:
        """Stop the step unless its lease was surely its own all the time: a process that froze may not know that it lost it.

        Raises:
            LeaseLostError: if it was once not renewed for as long as it lasts.
        """
        self.check()
        if self._had_gap or self._clock.monotonic() >= self._sure_until:
            raise LeaseLostError(f"the lease on {self.name} was not renewed in time")

    def note_progress(self, position: int) -> None:
        """Remember how far the step has come; farther than ever before, it has not been begun in vain."""
        with suppress(CoordinationError):  # the step itself is worth more
            self._coordination.note_progress(self.name, position)

    def give_back(self) -> bool:
        """End the step in order; return whether it was asked for while it ran."""
        try:
            return self._coordination.end_step(self.name, self._nonce)
        except CoordinationError as error:
            log.warning("step_lease_not_returned", step=self.name, error=str(error))  # it expires by itself
            return False

    def _renew_in_time(self) -> bool:
        """Renew; a lease that had run out before may have been somebody else's meanwhile, even if it is ours again."""
        self._had_gap = self._had_gap or self._clock.monotonic() >= self._sure_until
        return self.take() > 0


class LeaseKeeper(Protocol):
    """Has a lease renewed for as long as a context is open."""

    def __call__(self, lease: StepLease) -> AbstractContextManager[None]:
        """Begin to renew."""


@contextmanager
def kept_by_thread(lease: StepLease) -> Iterator[None]:
    """Renew a lease from a thread: a step may wait long for a server's answer. The `LeaseKeeper` of real workers."""
    ended = threading.Event()
    thread = threading.Thread(target=_keep, args=(lease, ended), name=f"lease {lease.name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _keep(lease: StepLease, ended: threading.Event) -> None:
    while not ended.wait(lease.renewal_seconds) and lease.renew():
        pass
