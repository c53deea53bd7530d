"""Reads an SQS queue, which is a group of listeners by itself: whatever is taken off is taken from all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import structlog

from complyq_producer.errors import EventsError, EventsRefusedError
from complyq_producer.listening.reader import Delivery, Patience
from complyq_producer.listening.sqs_client import (
    LONGEST_INVISIBLE_SECONDS,
    LONGEST_WAIT_SECONDS,
    SqsQueue,
    translated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from complyq_producer.listening.addresses import SqsAddress

log = structlog.get_logger(__name__)

_ASIDE_SECONDS = 60


class SqsReader:
    """Takes messages one at a time; one that is not acknowledged in `claim_seconds` SQS hands out again."""

    def __init__(self, address: SqsAddress, block_seconds: float, claim_seconds: float) -> None:
        self._address = address
        self._wait = min(LONGEST_WAIT_SECONDS, math.ceil(block_seconds))
        self._claim = min(LONGEST_INVISIBLE_SECONDS, max(1, math.ceil(claim_seconds)))
        self._queue = SqsQueue(address, wait_seconds=self._wait)
        self._patience = Patience(str(address))
        self._in_hand: str | None = None

    def next(self) -> Delivery:
        """Wait for the next message."""
        while True:
            try:
                found = self._receive()
                self._patience.end()
            except EventsError as error:
                self._recover(error)
                continue
            if found:
                return found

    def acknowledge(self, delivery: Delivery) -> None:
        """Delete the message. If that fails it comes back, and is recognised by its event's id."""
        self._in_hand = None
        self._tell(delivery, lambda client, message: client.delete_message(**message))

    def set_aside(self, delivery: Delivery) -> None:
        """Leave the message on the queue, out of sight for a minute: deleting it would take it from whose it is."""
        log.warning("foreign_event_left", queue=self._address.queue, again_in_seconds=_ASIDE_SECONDS)
        self._release(delivery.receipt, _ASIDE_SECONDS)

    def close(self) -> None:
        """Give back what is in our hands, so that another listener gets it at once."""
        try:
            if self._in_hand:
                self._release(self._in_hand, 0)
        except EventsError as error:
            log.debug("message_not_given_back", error=str(error))
        finally:
            self._queue.close()

    def _receive(self) -> Delivery | None:
        client, url = self._queue.open()
        with translated("read", self._address):
            answer = client.receive_message(
                QueueUrl=url, MaxNumberOfMessages=1, WaitTimeSeconds=self._wait, VisibilityTimeout=self._claim
            )
        for message in answer.get("Messages", ()):
            self._in_hand = message["ReceiptHandle"]
            return Delivery(self._in_hand, message["Body"].encode())
        return None

    def _release(self, receipt: str, seconds: int) -> None:
        self._in_hand = None
        self._tell(
            Delivery(receipt, b""),
            lambda client, message: client.change_message_visibility(**message, VisibilityTimeout=seconds),
        )

    def _tell(self, delivery: Delivery, tell: Callable[[Any, dict[str, str]], object]) -> None:
        try:
            client, url = self._queue.open()
            with translated("acknowledge on", self._address):
                tell(client, {"QueueUrl": url, "ReceiptHandle": delivery.receipt})
        except EventsRefusedError:
            raise
        except EventsError as error:  # too late, or SQS is away: then the message comes again
            log.warning("event_not_acknowledged", queue=self._address.queue, error=str(error))

    def _recover(self, error: EventsError) -> None:
        if isinstance(error, EventsRefusedError):
            raise error
        self._patience.wait(error)
