"""Celery's consumer, which looks at each message before Celery does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from celery.worker import consumer

from complyq_config.celery_settings import dead_letter_queue
from complyq_config.settings import load_settings
from complyq_producer.declaring import declare_queues
from complyq_workers.dead_letters import bury, dead_letter
from complyq_workers.messages import fault_of
from complyq_workers.self_examination import SHOW_SECONDS, SelfExamination

if TYPE_CHECKING:
    from kombu import Connection, Message

log = logging.getLogger(__name__)


class Consumer(consumer.Consumer):  # type: ignore[misc] # Celery ships no types
    """Buries malformed messages. Celery would drop some, and die of others, which a broker then hands to the next.

    Attributes:
        taken: how many messages it was given.
        examination: shows that the worker lives; it belongs to one of the consumer's steps.
    """

    taken = 0
    examination: SelfExamination | None = None

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect, however long that takes. A worker that waits for its broker lives, and shows it.

        Raises:
            QueueRefusedError: the broker is there and will never give us our queues. Celery would ask again for ever.
        """
        connect = conn.ensure_connection
        beat = _at_most_each(SHOW_SECONDS, self._show_waiting)

        def watched(errback: object, max_retries: int | None, callback: Callable[[], None]) -> Connection:
            def each_second() -> None:
                callback()
                beat()

            return connect(errback, max_retries, callback=each_second)

        conn.ensure_connection = watched
        try:
            connected = super().ensure_connected(conn)
        finally:
            conn.ensure_connection = connect
        declare_queues(connected, load_settings())
        return connected

    def _show_waiting(self) -> None:
        if self.examination is not None:
            self.examination.show(connected=False)

    def create_task_handler(self) -> Callable[[Message], None]:
        """Return what each message is given to."""
        handle = super().create_task_handler()

        def on_task_received(message: Message) -> None:
            self.taken += 1
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


def _at_most_each(seconds: float, do: Callable[[], None]) -> Callable[[], None]:
    """Have something done no more often than so."""
    due = [0.0]

    def maybe() -> None:
        if time.monotonic() >= due[0]:
            due[0] = time.monotonic() + seconds
            do()

    return maybe
