"""The results queue in Amazon SQS: one message for each event, its body is the JSON."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from complyq_producer.listening.sqs_client import SqsQueue, translated, waiting_on

if TYPE_CHECKING:
    from complyq_producer.listening import SqsAddress

# What SQS takes as MessageDeduplicationId:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_DEDUPLICATION_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")


class SqsEventQueue:
    """Implements `EventQueue`. A FIFO queue keeps the order within a batch, and drops copies of the last five minutes."""

    def __init__(self, address: SqsAddress) -> None:
        self._address = address
        self._queue = SqsQueue(address)

    def send(self, batch_id: str, event_id: str, body: bytes) -> None:
        """Send the event; raises EventsError."""
        client, url = self._queue.open()
        with translated("publish to", self._address):
            client.send_message(QueueUrl=url, MessageBody=message_text(body), **self._order(batch_id, event_id))

    def verify(self) -> None:
        """Look whether the queue takes events of their full length, and whether we may send; raises EventsError."""
        self._queue.prove_publishing()

    def backlog(self) -> int:
        """Count the messages that are not handled yet, as far as SQS knows; raises EventsError."""
        return waiting_on(self._queue.attributes())

    def close(self) -> None:
        """Close the connections of this process."""
        self._queue.close()

    def _order(self, batch_id: str, event_id: str) -> dict[str, Any]:
        """Name group and copy for a FIFO queue. What a replay publishes once more is no copy of what was there before."""
        if not self._address.is_fifo:
            return {}
        batch, _, replay = batch_id.partition("@")
        copy = f"{event_id}@{replay}" if replay else event_id
        return {"MessageGroupId": batch, "MessageDeduplicationId": deduplication_id(copy)}


def deduplication_id(event_id: str) -> str:
    """Return the id by which SQS knows copies: the event's own, or its hash where SQS does not take that."""
    return event_id if _DEDUPLICATION_ID.fullmatch(event_id) else hashlib.sha256(event_id.encode()).hexdigest()


def message_text(body: bytes) -> str:
    r"""Return the JSON as SQS takes it: it refuses two characters, which JSON may write as \ufffe and \uffff."""
    return body.decode().replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
