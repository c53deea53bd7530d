"""A timer in every worker that hints at a sweep, even while all its slots are busy, and shows that it is alive."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import structlog
from celery import bootsteps
from celery.worker import state
from kombu.exceptions import OperationalError

from complyq_config.settings import load_settings
from complyq_producer import task_names
from complyq_workers import preemption
from complyq_workers.failpoints import reach
from complyq_workers.supervisor import is_orphan

log = structlog.get_logger(__name__)

ALIVE_SECONDS = 10.0
"""How often a worker's event loop shows that it turns."""
MAX_SILENCE_SECONDS = 90.0
"""A worker that was silent for longer hangs: longer than its broker connection may take to fail."""


class SweepTimer(bootsteps.StartStopStep):  # type: ignore[misc] # Celery ships no types
    """Publishes the hint from the worker's main loop; a control worker does the sweep. No thread is needed.

    It belongs to the consumer, which is started anew after each loss of the broker: Celery then clears all timers.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timers: list[Any] = []

    def start(self, parent: Any) -> None:
        """Hint once now, for what the last worker left behind, and then again and again."""
        seconds = load_settings().sweep_seconds
        self._timers = [
            parent.timer.call_repeatedly(ALIVE_SECONDS, show_alive, (parent.hostname,)),
            parent.timer.call_repeatedly(1.0, leave_with_supervisor),
            parent.timer.call_repeatedly(seconds, hint_at_sweep, (parent.app, seconds)),
            parent.timer.call_after(0.1, hint_at_sweep, (parent.app, seconds)),
        ]
        show_alive(parent.hostname)

    def stop(self, parent: Any) -> None:
        """End the timers. A worker that only lost its broker still lives."""
        for timer in self._timers:
            timer.cancel()
        if state.should_stop is not None or state.should_terminate is not None:
            alive_file(parent.hostname).unlink(missing_ok=True)


def hint_at_sweep(app: Any, seconds: float) -> None:
    """Ask for a sweep. The message expires, so that none pile up while no control worker runs."""
    try:
        app.send_task(task_names.SWEEP, expires=seconds, retry=False)
        reach("messages.sweep")
    except (OperationalError, OSError) as error:
        log.warning("sweep_not_hinted", error=str(error))


def leave_with_supervisor() -> None:
    """End like after SIGTERM, if the process that ran several workers as one was killed."""
    if is_orphan() and not preemption.has_begun():
        os.kill(os.getpid(), signal.SIGTERM)


def alive_file(hostname: str) -> Path:
    """Return the file whose age tells how long a worker's main loop has been silent."""
    return Path(gettempdir()) / f"complyq-{os.getuid()}-{hostname}.alive"


def show_alive(hostname: str) -> None:
    """Show that the main loop turns. A sign of life must not end a worker."""
    try:
        alive_file(hostname).touch()
    except OSError as error:
        log.warning("alive_not_shown", error=str(error))


def seconds_silent(hostname: str) -> float | None:
    """Return for how long a worker has shown no life, or None if it never did."""
    try:
        return max(0.0, time.time() - alive_file(hostname).stat().st_mtime)
    except FileNotFoundError:
        return None
