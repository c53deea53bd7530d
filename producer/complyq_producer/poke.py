"""Tells the workers that there is something to do: one Celery message with identifiers, worth nothing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from celery import Celery

from complyq_config.amqp_transport import NOT_SENT
from complyq_config.celery_settings import celery_settings, has_delayed_delivery
from complyq_producer.errors import QueueUnavailableError

if TYPE_CHECKING:
    from complyq_config.settings import Settings


ONCE_MORE: dict[str, Any] = {"retry": True, "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0}}


class Poke(Protocol):
    """Sends hints."""

    def poke(self, task: str, *args: str | int) -> None:
        """Ask the workers to look at something.

        Raises:
            QueueUnavailableError: if the broker cannot be reached; the workers' sweep will find the work.
        """


class CeleryPoke:
    """Sends hints through the broker, with one retry at most: a hint is not worth waiting for."""

    def __init__(self, settings: Settings) -> None:
        # Not the current app: the calling service may have a Celery app of its own.
        self._app = Celery("complyq-producer", set_as_current=False, config_source=celery_settings(settings))
        # RabbitMQ, or a proxy before it, may have ended the connection of a service that enqueues now and then, which
        # shows when it is used. Kombu's Redis looks before it sends.
        self._retry = ONCE_MORE if has_delayed_delivery(settings) else {"retry": False}

    def poke(self, task: str, *args: str | int) -> None:
        """Send one hint.

        Raises:
            QueueUnavailableError: if the broker cannot be reached.
        """
        try:
            self._app.send_task(task, args=args, **self._retry)
        except NOT_SENT as error:
            raise QueueUnavailableError(f"the broker cannot be reached: {error}") from error
