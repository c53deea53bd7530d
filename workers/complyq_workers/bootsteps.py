"""A timer in every worker that hints at a sweep, even while all its slots are busy, and shows that it is alive."""

from __future__ import annotations

import os
import signal
from typing import Any

import structlog
from celery import bootsteps
from celery.worker import state

from complyq_config.amqp_transport import NOT_SENT
from complyq_config.settings import load_settings
from complyq_producer import task_names
from complyq_workers import preemption, vital_signs
from complyq_workers.coordination import RedisCoordination
from complyq_workers.failpoints import reach
from complyq_workers.leftovers import LOOK_SECONDS, remove_leftovers
from complyq_workers.self_examination import COUNT_SECONDS, SHOW_SECONDS, SelfExamination
from complyq_workers.supervisor import is_orphan

log = structlog.get_logger(__name__)


class SweepTimer(bootsteps.StartStopStep):  # type: ignore[misc] # Celery ships no types
    """Publishes the hint from the worker's main loop; a control worker does the sweep. No thread is needed.

    It belongs to the consumer, which is started anew after each loss of the broker: Celery then clears all timers.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        settings = load_settings()
        coordination = RedisCoordination(settings.redis_url.get_secret_value(), settings.namespace)
        parent.examination = SelfExamination(parent, coordination)
        self._timers: list[Any] = []

    def start(self, parent: Any) -> None:
        """Hint once now, for what the last worker left behind, and then again and again."""
        settings = load_settings()
        seconds = settings.sweep_seconds
        self._timers = [
            parent.timer.call_repeatedly(SHOW_SECONDS, parent.examination.show),
            parent.timer.call_repeatedly(COUNT_SECONDS, parent.examination.count_unread),
            parent.timer.call_repeatedly(1.0, leave_with_supervisor),
            parent.timer.call_after(1.0, remove_leftovers, (settings.spool_dir,)),
            parent.timer.call_repeatedly(LOOK_SECONDS, remove_leftovers, (settings.spool_dir,)),
            parent.timer.call_repeatedly(seconds, hint_at_sweep, (parent.app, seconds)),
            parent.timer.call_after(0.1, hint_at_sweep, (parent.app, seconds)),
        ]
        parent.examination.show()

    def stop(self, parent: Any) -> None:
        """End the timers. A worker that only lost its broker still lives."""
        for timer in self._timers:
            timer.cancel()
        if state.should_stop is not None or state.should_terminate is not None:
            vital_signs.hide(parent.hostname)
        else:
            parent.examination.show(connected=False)


def hint_at_sweep(app: Any, seconds: float) -> None:
    """Ask for a sweep. The message expires, so that none pile up while no control worker runs."""
    try:
        app.send_task(task_names.SWEEP, expires=seconds, retry=False)
        reach("messages.sweep")
    except NOT_SENT as error:
        log.warning("sweep_not_hinted", error=str(error))


def leave_with_supervisor() -> None:
    """End like after SIGTERM, if the process that ran several workers as one was killed."""
    if is_orphan() and not preemption.has_begun():
        os.kill(os.getpid(), signal.SIGTERM)
