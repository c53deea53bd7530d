"""Looks whether Celery's broker takes connections and holds our queues, and whether workers put messages aside."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from celery import Celery

from complyq_config.amqp_transport import NOT_SENT
from complyq_config.celery_settings import celery_settings, dead_letter_queue, has_delayed_delivery
from complyq_config.redaction import redact
from complyq_producer.cli.checks.finding import Finding, failed, ok, warning
from complyq_producer.declaring import declare_delayed_delivery, declare_queues
from complyq_producer.errors import QueueRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kombu import Connection

    from complyq_config.settings import Settings

MEND = "Start it, or correct COMPLYQ_BROKER_URL. What is enqueued meanwhile is safe and starts later."
OLDEST_RABBITMQ = (3, 10)
"""Its quorum queues are the first that let messages expire."""


def check_broker(settings: Settings) -> Iterator[Finding]:
    """Open a connection with the settings that producers and workers use, make the queues, and count the dead letters."""
    url = settings.broker_url.get_secret_value()
    app = Celery("complyq-doctor", set_as_current=False, config_source=celery_settings(settings))
    try:
        with closing(app), app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)
            yield _queues(settings, connection) if has_delayed_delivery(settings) else ok("Broker", redact(url))
            yield _dead_letters(settings, connection)
    except QueueRefusedError as error:
        yield failed("Broker", redact(str(error)), "Until then nothing is lost: what is enqueued starts later.")
    except NOT_SENT as error:
        yield failed("Broker", redact(f"{url}: {error}"), MEND)


def _queues(settings: Settings, connection: Connection) -> Finding:
    where = redact(settings.broker_url.get_secret_value())
    version = str(connection.connection.server_properties.get("version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    found = f"RabbitMQ {version} at {where}"
    if numbers < OLDEST_RABBITMQ:
        return failed("Broker", found, "Complyq needs RabbitMQ 3.10 or later.")
    declare_queues(connection, settings)
    declare_delayed_delivery(connection, settings)
    return ok("Broker", f"{found}, quorum queues and delayed delivery are there")


def _dead_letters(settings: Settings, connection: Connection) -> Finding:
    queue = dead_letter_queue(settings)(connection.default_channel)
    count = queue.queue_declare().message_count
    if not count:
        return ok("Dead letters", "none")
    mend = (
        f"Read the queue {queue.name}: what workers do not understand, or took their processes down. No work is lost."
    )
    return warning("Dead letters", f"{count} messages in {queue.name}", mend)
