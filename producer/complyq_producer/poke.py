"""Tells the workers that there is something to do: one Celery message with identifiers, worth nothing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from celery import Celery
from kombu.exceptions import OperationalError

from complyq_config.celery_settings import celery_settings
from complyq_producer.errors import QueueUnavailableError

if TYPE_CHECKING:
    from complyq_config.settings import Settings


class Poke(Protocol):
    """Sends hints."""

    def poke(self, task: str, *args: str | int) -> None:
        """Ask the workers to look at something.

        Raises:
            QueueUnavailableError: if the broker cannot be reached; the workers' sweep will find the work.
        """


class CeleryPoke:
    """Sends hints through the broker, without retries: a hint is not worth waiting for."""

    def __init__(self, settings: Settings) -> None:
        # Not the current app: the calling service may have a Celery app of its own.
        self._app = Celery("complyq-producer", set_as_current=False, config_source=celery_settings(settings))

    def poke(self, task: str, *args: str | int) -> None:
        """Send one hint.

        Raises:
            QueueUnavailableError: if the broker cannot be reached.
        """
        try:
            self._app.send_task(task, args=args, retry=False)
        except (OperationalError, OSError) as error:
            raise QueueUnavailableError(f"the broker cannot be reached: {error}") from error
