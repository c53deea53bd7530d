"""A worker's look at itself: whether its processes live, and whether messages wait that it should take."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from celery.worker import state
from kombu.exceptions import KombuError

from complyq_workers import vital_signs
from complyq_workers.coordination import Coordination, CoordinationError
from complyq_workers.vital_signs import Signs

log = structlog.get_logger(__name__)

SHOW_SECONDS = 10.0
"""How often a worker shows that it lives."""
COUNT_SECONDS = 30.0
"""How often it asks its broker what waits, while it takes nothing."""
COUNTED_SECONDS = 45.0
"""For how long its processes count as alive in the metrics."""
REST_SECONDS = 60.0
"""For how long a Redis that did not answer is left alone: the main loop stands still while it asks."""


@dataclass(slots=True)
class Since:
    """For how long something has been so without a break."""

    now: Callable[[], float] = time.monotonic
    _begin: float | None = None

    def note(self, *, is_so: bool) -> float:
        """Note whether it is so now; return for how many seconds it has been."""
        if not is_so:
            self._begin = None
            return 0.0
        if self._begin is None:
            self._begin = self.now()
        return self.now() - self._begin


class SelfExamination:
    """Runs in the main process of a worker, from its timers."""

    def __init__(self, consumer: Any, coordination: Coordination) -> None:
        """Prepare.

        Args:
            consumer: Celery's.
            coordination: where processes are counted for the metrics. It must be the main process's own.
        """
        self._consumer = consumer
        self._coordination = coordination
        self._short, self._unread = Since(), Since()
        self._taken = -1
        self._waiting, self._unread_seconds = 0, 0.0
        self._rest_until = 0.0

    def show(self, *, connected: bool = True) -> None:
        """Show a sign of life."""
        if not connected:
            self._waiting, self._unread_seconds = 0, self._unread.note(is_so=False)
        living, wanted = self._processes(), self._consumer.pool.num_processes
        signs = Signs(
            pid=os.getpid(),
            connected=connected,
            processes=wanted,
            living=len(living),
            short_seconds=self._short.note(is_so=len(living) < wanted),
            unread=self._waiting,
            unread_seconds=self._unread_seconds,
        )
        vital_signs.show(self._consumer.hostname, signs)
        self._show_to_metrics(living)

    def count_unread(self) -> None:
        """Ask the broker what waits, if nothing was taken since the last time although a process was free."""
        taken, self._taken = self._taken, self._consumer.taken
        is_free = len(state.active_requests) < self._consumer.pool.num_processes
        self._waiting = self._ask_broker() if is_free and taken == self._consumer.taken else 0
        self._unread_seconds = self._unread.note(is_so=self._waiting > 0)

    def _processes(self) -> list[int]:
        return [process.pid for process in self._consumer.pool._pool._pool if process.exitcode is None]  # noqa: SLF001 - there is no other way

    def _ask_broker(self) -> int:
        """Count the messages in this worker's queues; 0 where that cannot be told, which is no reason to start anew."""
        try:
            with self._consumer.app.producer_or_acquire() as producer:
                channel = producer.connection.default_channel
                return sum(_length(channel, name) for name in self._consumer.app.amqp.queues.consume_from)
        except (KombuError, OSError, *self._consumer.connection_errors, *self._consumer.channel_errors) as error:
            log.debug("queue_not_counted", error=str(error))
            return 0

    def _show_to_metrics(self, living: Sequence[int]) -> None:
        if time.monotonic() < self._rest_until:
            return
        name = self._consumer.hostname
        try:
            processes = [f"{name}/{pid}" for pid in living]
            self._coordination.show_alive(vital_signs.role_of(name), processes, COUNTED_SECONDS)
        except CoordinationError as error:
            log.debug("processes_not_counted", error=str(error))
            self._rest_until = time.monotonic() + REST_SECONDS


def _length(channel: Any, queue: str) -> int:
    """Count what waits in a queue. On Redis kombu does not find it by its name, since it forgets the prefix there."""
    size = getattr(channel, "_size", None)
    return int(size(queue) if size else channel.queue_declare(queue, passive=True).message_count)
