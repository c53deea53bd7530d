"""Ends a worker on SIGTERM or SIGINT: it takes no more messages, and its running steps end, checkpoint or are cut.

Celery knows a warm shutdown, which waits for steps without end, and a soft one, which always sleeps out its whole
time-out and acknowledges nothing meanwhile. This is a warm one, with an alarm clock that makes it a cold one.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

import billiard.pool
import structlog
from celery import bootsteps
from celery.worker import state

from complyq_config.settings import load_settings
from complyq_workers import preemption

log = structlog.get_logger(__name__)

RESULT_TENTHS = 20
"""How long a process waits until its last result is read, in tenths of a second."""


class GracefulStop(bootsteps.StartStopStep):  # type: ignore[misc] # Celery ships no types
    """Puts our handlers in the place of Celery's, which it has just installed."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        # Celery forgets a message that it hands to a process just when the signal comes, and then does not read that
        # the step has ended. Billiard's processes would wait 30 s for that to be read before they end.
        billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = RESULT_TENTHS

    def start(self, parent: Any) -> None:  # noqa: ARG002 - as bootsteps are called
        """Watch for the signals that end a worker."""
        handler = _Handler(float(load_settings().shutdown_seconds))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handler.stop)
        signal.signal(signal.SIGALRM, handler.cut)

    def close(self, parent: Any) -> None:
        """Say so, once it is no signal's handler that speaks."""
        log.info("worker_stopping", worker=parent.hostname, grace_seconds=load_settings().shutdown_seconds)


class _Handler:
    """What the main process does on a signal. A child that is just being forked leaves it to its parent."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._pid = os.getpid()

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Begin to shut down; cut the running steps if that was asked for before."""
        if os.getpid() != self._pid:
            return
        if preemption.has_begun():
            self.cut(number, frame)
            return
        preemption.begin(self._grace_seconds)
        signal.setitimer(signal.ITIMER_REAL, max(self._grace_seconds, 0.001))
        state.should_stop = os.EX_OK

    def cut(self, _number: int, _frame: FrameType | None) -> None:
        """Celery's cold shutdown: running steps get SystemExit, and their messages go back to the broker."""
        os.kill(self._pid, signal.SIGQUIT)
