"""One thread of a process renews the leases of its steps."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from complyq_workers.clock import SystemClock
from complyq_workers.coordination import MemoryCoordination
from complyq_workers.pipeline import StepLease, kept_by_thread

SECONDS = 0.06
LONG = 30.0


class Watched(MemoryCoordination):
    """Counts how often each lease was taken or renewed, and may stand still while it is."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: Counter[str] = Counter()
        self.open = threading.Event()
        self.open.set()

    def take_step(self, name: str, nonce: str, seconds: float, **options: Any) -> int:
        """Take a lease."""
        self.taken[f"{name} begun"] += 1
        self.open.wait()
        starts = super().take_step(name, nonce, seconds, **options)
        self.taken[name] += 1
        return starts


def taken(coordination: Watched, name: str = "upload", seconds: float = SECONDS) -> StepLease:
    lease = StepLease(coordination, SystemClock(), name, seconds)
    assert lease.take() == 1
    return lease


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_lease_is_renewed_while_its_step_runs() -> None:
    """For as long as that takes, and not afterwards."""
    coordination = Watched()
    lease = taken(coordination)
    with kept_by_thread(lease):
        wait_until(lambda: coordination.taken["upload"] > 5)
    assert not lease.give_back()
    renewed = coordination.taken["upload"]
    with kept_by_thread(taken(coordination, "another")):
        wait_until(lambda: coordination.taken["another"] > 5)
    assert coordination.taken["upload"] == renewed


def test_a_short_lease_is_renewed_beside_a_long_one() -> None:
    """The thread does not sleep as long as it meant to."""
    coordination = Watched()
    with kept_by_thread(taken(coordination, "long", LONG)), kept_by_thread(taken(coordination)):
        wait_until(lambda: coordination.taken["upload"] > 2)
    assert coordination.taken["long"] == 1


def test_a_step_does_not_end_before_its_renewal() -> None:
    """A renewal that came after the end would take the lease anew, for nobody."""
    coordination = Watched()
    lease = taken(coordination)
    with kept_by_thread(lease):
        coordination.open.clear()
        wait_until(lambda: coordination.taken["upload begun"] > coordination.taken["upload"])
        threading.Timer(0.05, coordination.open.set).start()
    assert coordination.taken["upload begun"] == coordination.taken["upload"]
    lease.give_back()
    assert coordination.is_idle("upload")


def test_a_lease_that_was_lost_is_not_renewed() -> None:
    """The others are."""
    coordination = Watched()
    lease = taken(coordination)
    coordination.end_step("upload", lease._nonce)
    coordination.take_step("upload", "somebody else", LONG)
    with kept_by_thread(lease), kept_by_thread(taken(coordination, "another")):
        wait_until(lambda: coordination.taken["another"] > 5)
    assert coordination.taken["upload"] == 3
