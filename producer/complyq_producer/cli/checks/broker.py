"""Looks whether Celery's broker takes a connection, and whether workers put messages aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery import Celery
from kombu.exceptions import OperationalError

from complyq_config.celery_settings import celery_settings, dead_letter_queue
from complyq_config.redaction import redact
from complyq_producer.cli.checks.finding import Finding, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kombu import Connection

    from complyq_config.settings import Settings


def check_broker(settings: Settings) -> Iterator[Finding]:
    """Open a connection with the settings that producers and workers use, and count the dead letters."""
    url = settings.broker_url.get_secret_value()
    app = Celery("complyq-doctor", set_as_current=False, config_source=celery_settings(settings))
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)
            yield ok("Broker", redact(url))
            yield _dead_letters(settings, connection)
    except (OperationalError, OSError) as error:
        mend = "Start it, or correct COMPLYQ_BROKER_URL. What is enqueued meanwhile is safe and starts later."
        yield failed("Broker", redact(f"{url}: {error}"), mend)
    finally:
        app.close()


def _dead_letters(settings: Settings, connection: Connection) -> Finding:
    queue = dead_letter_queue(settings)(connection.default_channel)
    count = queue.queue_declare().message_count
    if not count:
        return ok("Dead letters", "none")
    mend = (
        f"Somebody sends what workers do not understand: read the queue {queue.name}, then empty it. No work is lost."
    )
    return warning("Dead letters", f"{count} malformed messages in {queue.name}", mend)
