"""Celery's consumer, which looks at each message before Celery does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from celery.worker import consumer

from complyq_config.celery_settings import dead_letter_queue
from complyq_config.settings import load_settings
from complyq_workers.dead_letters import bury, dead_letter
from complyq_workers.messages import fault_of

if TYPE_CHECKING:
    from kombu import Message

log = logging.getLogger(__name__)


class Consumer(consumer.Consumer):  # type: ignore[misc] # Celery ships no types
    """Buries malformed messages. Celery would drop some, and die of others, which a broker then hands to the next."""

    def create_task_handler(self) -> Callable[[Message], None]:
        """Return what each message is given to."""
        handle = super().create_task_handler()

        def on_task_received(message: Message) -> None:
            fault = fault_of(message)
            if fault is None:
                handle(message)
            else:
                self._bury(message, fault)

        return on_task_received

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Bury a message that kombu cannot unpack."""
        self._bury(message, f"it cannot be unpacked: {exc}")

    def _bury(self, message: Message, reason: str) -> None:
        with self.app.producer_or_acquire() as producer:
            bury(producer, dead_letter_queue(load_settings()), dead_letter(message, reason))
        message.ack_log_error(log, self.connection_errors)
