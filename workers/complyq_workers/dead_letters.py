"""Keeps the newest malformed messages in a queue of their own, where an operator can look at them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from complyq_config.celery_settings import MAX_DEAD_LETTERS
from complyq_config.redaction import redact, redact_value
from complyq_producer.facts import utc_now
from complyq_workers.failpoints import reach

if TYPE_CHECKING:
    from kombu import Message, Producer, Queue

log = structlog.get_logger(__name__)

MAX_CHARACTERS = 4_000
"""How much is kept of a body, and of each header."""
LOGGED_CHARACTERS = 200


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that no task can be run for, without credentials and cut short."""

    reason: str
    recorded_at: datetime
    queue: str
    content_type: str | None
    headers: dict[str, Any]
    properties: dict[str, Any]
    body: str


def dead_letter(message: Message, reason: str) -> DeadLetter:
    """Describe a malformed message."""
    return DeadLetter(
        reason=_safe(reason),
        recorded_at=utc_now(),
        queue=str(message.delivery_info.get("routing_key")),
        content_type=_safe(str(message.content_type)),
        headers=_safe_fields(message.headers),
        properties=_safe_fields(message.properties),
        body=_safe(_text(message.body)),
    )


def bury(producer: Producer, queue: Queue, letter: DeadLetter) -> None:
    """Log a dead letter and add it to the queue of dead letters, from which the oldest go.

    Never raises: a message that cannot be buried is dropped, with its log line. Redelivered it would loop.
    """
    log.error("message_malformed", reason=letter.reason, queue=letter.queue, body=letter.body[:LOGGED_CHARACTERS])
    try:
        producer.publish(msgspec.json.encode(letter), routing_key=queue.name, exchange="", declare=[queue], retry=False,
                         content_type="application/json", content_encoding="utf-8")  # fmt: skip
        reach("messages.bury")
        _drop_oldest(queue(producer.channel))
    except Exception:
        log.exception("dead_letter_not_kept")


def _drop_oldest(queue: Queue) -> None:
    """Bound a queue of Redis. RabbitMQ does so itself."""
    if queue.queue_arguments:
        return
    for _ in range(queue.queue_declare().message_count - MAX_DEAD_LETTERS):
        queue.get(no_ack=True)


def _safe_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {_safe(str(name)): _safe(str(redact_value(value))) for name, value in fields.items()}


def _text(body: object) -> str:
    return bytes(body).decode(errors="backslashreplace") if isinstance(body, bytes | memoryview) else str(body)


def _safe(text: str) -> str:
    return redact(text[: 2 * MAX_CHARACTERS])[:MAX_CHARACTERS]
