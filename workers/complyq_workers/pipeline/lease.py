"""The lease on a step: who runs it, how it is kept while the step runs, and how the step learns that it is lost."""

from __future__ import annotations

import os
import threading
import time
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
LONGEST_SLEEP_SECONDS = 10.0
"""The thread that renews leases looks so often whether there are any, so that it seldom has to be woken."""


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
        self.starts = 0
        """How often the step was begun without coming to an end, this time included; 0 before it is taken."""
        self._lost = False
        self._sure_until = 0.0
        self._had_gap = False

    @property
    def renewal_seconds(self) -> float:
        """How often it wants to be renewed."""
        return min(self._seconds / 3, 60)

    def take(self, *, due_within: float | None = None) -> int:
        """Try to take the lease; return what `Coordination.take_step` says."""
        asked_at = self._clock.monotonic()
        starts = self._coordination.take_step(self.name, self._nonce, self._seconds, due_within=due_within)
        if starts > 0:
            self.starts = starts
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

    def give_back(self, *, postponed: float = 0.0, went_well: bool = False) -> bool:
        """End the step in order, see `Coordination.end_step`; return whether it was asked for while it ran."""
        try:
            return self._coordination.end_step(self.name, self._nonce, postponed=postponed, went_well=went_well)
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


def kept_by_thread(lease: StepLease) -> AbstractContextManager[None]:
    """Renew a lease from a thread: a step may wait long for a server's answer. The `LeaseKeeper` of real workers."""
    if os.getpid() not in _keepers:  # threads do not live on in a fork
        _keepers.clear()
        _keepers[os.getpid()] = _Keeper()
    return _keepers[os.getpid()].kept(lease)


class _Keeper:
    """The one thread of a process that renews leases. Most steps end before it first has to: a thread each costs more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[StepLease, float] = {}
        self._wakes_at = 0.0
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)

    @contextmanager
    def kept(self, lease: StepLease) -> Iterator[None]:
        """Renew a lease while the context is open, and certainly not afterwards."""
        with self._changed:
            self._due[lease] = time.monotonic() + lease.renewal_seconds
            if not self._thread.ident:
                self._thread.start()
            if self._due[lease] < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:  # waits for a renewal: one that came after the end would take the lease anew
                self._due.pop(lease, None)

    def _keep(self) -> None:
        with self._changed:
            while True:
                self._renew_due()
                self._wakes_at = min([*self._due.values(), time.monotonic() + LONGEST_SLEEP_SECONDS])
                self._changed.wait(self._wakes_at - time.monotonic())

    def _renew_due(self) -> None:
        for lease in [lease for lease, due in self._due.items() if due <= time.monotonic()]:
            if lease.renew():
                self._due[lease] = time.monotonic() + lease.renewal_seconds
            else:
                del self._due[lease]


_keepers: dict[int, _Keeper] = {}
