"""Looks whether Celery's broker takes a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery import Celery
from kombu.exceptions import OperationalError

from complyq_config.celery_settings import celery_settings
from complyq_config.redaction import redact
from complyq_producer.cli.checks.finding import Finding, failed, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_config.settings import Settings


def check_broker(settings: Settings) -> Iterator[Finding]:
    """Open a connection with the settings that producers and workers use."""
    url = settings.broker_url.get_secret_value()
    app = Celery("complyq-doctor", set_as_current=False, config_source=celery_settings(settings))
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)
    except (OperationalError, OSError) as error:
        mend = "Start it, or correct COMPLYQ_BROKER_URL. What is enqueued meanwhile is safe and starts later."
        yield failed("Broker", redact(f"{url}: {error}"), mend)
    else:
        yield ok("Broker", redact(url))
    finally:
        app.close()
