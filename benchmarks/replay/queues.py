"""Celery in virtual time: hints with due times, a few workers for each queue, and the timer of the sweep."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from complyq_config.celery_settings import TRANSFER_TASKS
from complyq_producer import task_names
from complyq_workers.pipeline import Hint, Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from replay.virtual_time import VirtualClock

CONTROL, TRANSFER = "control", "transfer"
MOST_A_SECOND = 5_000


@dataclass
class Queues:
    """Runs what is due, in the order of virtual time. Implements the producer's `Poke`.

    A step begins when its hint is due and a worker of its queue is free; the worker is busy for as long as the step took.

    Attributes:
        pipeline: the steps.
        clock: whose time they see.
        workers: how many there are for each of the two queues.
        work: real seconds by task.
        steps: how often each task ran.
    """

    pipeline: Pipeline
    clock: VirtualClock
    workers: int
    work: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    steps: Counter[str] = field(default_factory=Counter)
    _events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _free: Counter[str] = field(default_factory=Counter)
    _ready: dict[str, deque[Hint]] = field(default_factory=lambda: {CONTROL: deque(), TRANSFER: deque()})
    _ends: dict[str, float] = field(default_factory=dict)
    _asked_again: set[str] = field(default_factory=set)
    _counted: Counter[str] = field(default_factory=Counter)
    _counted_second: int = -1

    def __post_init__(self) -> None:
        self._free.update({CONTROL: self.workers, TRANSFER: self.workers})

    def at(self, second: float, act: Callable[[float], None]) -> None:
        """Have something happen at a virtual second; it is told which."""
        heapq.heappush(self._events, (second, next(self._order), act))

    def poke(self, task: str, *args: str | int) -> None:
        """Take a producer's hint."""
        self._send(self.clock.seconds(), Hint(task, args))

    def sweep_every(self, seconds: float) -> None:
        """Hint at a sweep again and again, as the timers of the workers do."""

        def sweep(second: float) -> None:
            self._send(second, Hint(task_names.SWEEP))
            self.at(second + seconds, sweep)

        self.at(0.0, sweep)

    def run(self, goes_on: Callable[[float], bool]) -> float:
        """Let events happen for as long as somebody wants it; return the second that was reached."""
        while goes_on(second := self._events[0][0]):
            second, _, act = heapq.heappop(self._events)
            act(second)
        return second

    def _send(self, second: float, hint: Hint) -> None:
        queue = TRANSFER if hint.task in TRANSFER_TASKS else CONTROL

        def arrive(at: float) -> None:
            self._ready[queue].append(hint)
            self._give_out(queue, at)

        self.at(second, arrive)

    def _give_out(self, queue: str, second: float) -> None:
        while self._ready[queue] and self._free[queue]:
            hint = self._ready[queue].popleft()
            if self._ends.get(hint.step, 0.0) > second:
                self._leave_word(hint)
            else:
                self._work(queue, hint, second)

    def _leave_word(self, hint: Hint) -> None:
        """The step is under way: it runs once more when it has ended, however often it is asked for meanwhile."""
        if hint.step not in self._asked_again:
            self._asked_again.add(hint.step)
            self._send(self._ends[hint.step], hint)

    def _work(self, queue: str, hint: Hint, second: float) -> None:
        self._free[queue] -= 1
        self._asked_again.discard(hint.step)
        self._count(hint, second)
        self.clock.begin(second)
        outcome = self.pipeline.run(hint)
        end = self.clock.seconds()
        self._ends[hint.step] = end
        self.steps[hint.task] += 1
        self.work[hint.task] += end - second
        for following in outcome.hints:
            self._send(end, following)
        if outcome.again_in is not None:
            self._send(end + outcome.again_in, hint)
        self.at(end, lambda at: self._become_free(queue, at))

    def _count(self, hint: Hint, second: float) -> None:
        """Notice steps that chase each other: nothing else would ever happen again."""
        if int(second) != self._counted_second:
            self._counted_second = int(second)
            self._counted.clear()
        self._counted[hint.step] += 1
        if self._counted[hint.step] > MOST_A_SECOND:
            raise RuntimeError(f"{hint.step} ran {MOST_A_SECOND} times in virtual second {int(second)}")

    def _become_free(self, queue: str, second: float) -> None:
        self._free[queue] += 1
        self._give_out(queue, second)
