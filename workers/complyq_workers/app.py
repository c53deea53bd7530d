"""The workers' Celery app. Settings are read from the environment when the app first needs them."""

from __future__ import annotations

import math

from celery import Celery
from celery.signals import setup_logging, worker_process_shutdown

from complyq_config.celery_settings import celery_settings
from complyq_config.logging import configure_logging, log_uncaught_exceptions
from complyq_config.settings import load_settings
from complyq_producer.tracing import stop_exporting
from complyq_workers import redis_transport
from complyq_workers.bootsteps import SweepTimer
from complyq_workers.shutdown import GracefulStop

redis_transport.use_in_this_process()
app = Celery("complyq", set_as_current=False, include=["complyq_workers.tasks"])
app.add_defaults(lambda: celery_settings(load_settings()) | {"worker_consumer": "complyq_workers.consumer:Consumer"})
app.steps["consumer"].add(SweepTimer)
app.steps["worker"].add(GracefulStop)
# A step comes back as often as it takes; `retry(max_retries=None)` would mean this default, which is 3.
app.Task.max_retries = None


@worker_process_shutdown.connect
def _send_last_spans(**_: object) -> None:
    """A process of the pool ends without what others do at their end."""
    stop_exporting()


def countdown(seconds: float) -> float:
    """Return after how many seconds a message is to come back, as the broker can keep it: RabbitMQ knows whole ones."""
    return math.ceil(seconds) if app.conf.worker_detect_quorum_queues else seconds


@setup_logging.connect
def _configure_logging(**_: object) -> None:
    """Take logging over from Celery."""
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    log_uncaught_exceptions()
