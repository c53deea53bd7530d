"""What runs in the simulated world: a greenlet that stops at its calls to the outside, may freeze, and may die."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from greenlet import greenlet

from complyq_workers.pipeline import StepLease


class CrashedError(BaseException):
    """The process is gone: nothing of it may touch the outside again, not even while its frames unwind."""


@dataclass(eq=False)
class Actor:
    """One run of a step, or one call of a producer.

    Attributes:
        name: what it does, for traces.
        skew: how many seconds its machine's clock is ahead of the world's.
        runs: its stack.
        alive: False once it has crashed.
        wakes_at: when it goes on, if it sleeps or is frozen.
        frozen: whether even the thread that renews its lease stands still.
        calls_left: after so many calls to the outside others may run.
        lease: what it holds while it runs a step.
        disturbed: whether a freeze, a jump of time or a loss in Redis may have made its knowledge old.
    """

    name: str
    skew: float
    runs: greenlet = field(repr=False)
    alive: bool = True
    wakes_at: float = 0.0
    frozen: bool = False
    calls_left: int = 1
    lease: StepLease | None = field(default=None, repr=False)
    renews_at: float = 0.0
    disturbed: bool = False

    @property
    def ended(self) -> bool:
        """Whether it came to its end, whichever."""
        return bool(self.runs.dead)


def make_actor(name: str, skew: float, act: Callable[[], None], world: greenlet) -> Actor:
    """Prepare an actor; a crash ends it in silence, anything else that it raises is the world's."""

    def run() -> None:
        try:
            act()
        except CrashedError:
            return

    return Actor(name, skew, greenlet(run, parent=world))
