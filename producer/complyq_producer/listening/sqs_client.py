"""An SQS queue as we use it: its client, its attributes, and what it reports, in our words.

The AWS variables, profiles and roles are read by boto3 as always (AWS_ENDPOINT_URL for other servers).
Limits: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, PartialCredentialsError

from complyq_producer.errors import EventsError, EventsRefusedError
from complyq_producer.listening.event import MAX_EVENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from types_boto3_sqs.client import SQSClient

    from complyq_producer.listening.addresses import SqsAddress

LONGEST_WAIT_SECONDS = 20
"""For so long SQS lets a request wait for a message, at most."""
LONGEST_INVISIBLE_SECONDS = 43_200
"""For so long SQS keeps a message in a listener's hands, at most."""
_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a role"
_PERMISSIONS = (
    "allow sqs:GetQueueUrl, sqs:GetQueueAttributes and, to workers, sqs:SendMessage, to listeners sqs:ReceiveMessage, "
    "sqs:DeleteMessage and sqs:ChangeMessageVisibility"
)
_NO_QUEUE = "create the queue, or correct COMPLYQ_EVENTS_URL and AWS_DEFAULT_REGION"
_REFUSALS = {
    "AWS.SimpleQueueService.NonExistentQueue": _NO_QUEUE,
    "QueueDoesNotExist": _NO_QUEUE,
    "AccessDenied": _PERMISSIONS,
    "AccessDeniedException": _PERMISSIONS,
    "InvalidClientTokenId": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": "renew the AWS credentials",
    "ExpiredTokenException": "renew the AWS credentials",
}
"""What waiting does not mend, and what does."""


class SqsQueue:
    """A queue. Connects on first use; a forked process gets connections of its own. Any thread may use it."""

    def __init__(self, address: SqsAddress, *, wait_seconds: float = 0) -> None:
        """Prepare to use the queue.

        Args:
            address: where it is.
            wait_seconds: for so long a request may rightly take without an answer.
        """
        self.address = address
        self._config = Config(
            connect_timeout=5,
            read_timeout=10 + wait_seconds,
            retries={"mode": "standard", "total_max_attempts": 3},
            tcp_keepalive=True,
        )
        self._of_process: dict[int, tuple[SQSClient, str]] = {}
        self._lock = threading.Lock()

    def open(self) -> tuple[SQSClient, str]:
        """Return the client and the queue's URL; raises EventsError."""
        opened = self._of_process.get(os.getpid())
        return opened or self._connect()

    def attributes(self) -> Mapping[str, str]:
        """Return all attributes of the queue; raises EventsError."""
        client, url = self.open()
        with translated("look at", self.address):
            answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return cast("Mapping[str, str]", answer.get("Attributes", {}))

    def prove_publishing(self) -> Mapping[str, str]:
        """Return the attributes of a queue that takes whole events, from us; raises EventsError."""
        attributes = self.attributes()
        longest = int(attributes.get("MaximumMessageSize", MAX_EVENT_BYTES))
        if longest < MAX_EVENT_BYTES:
            raise EventsRefusedError(
                f"The {self.address} (COMPLYQ_EVENTS_URL) takes messages of {longest:,} bytes, events have up to "
                f"{MAX_EVENT_BYTES:,}: raise its MaximumMessageSize."
            )
        self._send_nothing()
        return attributes

    def close(self) -> None:
        """Close the connections of this process; the next call opens new ones."""
        opened = self._of_process.pop(os.getpid(), None)
        if opened:
            opened[0].close()

    def _send_nothing(self) -> None:
        """SQS answers that nothing was sent, unless we may not send: then it says that."""
        client, url = self.open()
        with translated("publish to", self.address):
            try:
                client.send_message_batch(QueueUrl=url, Entries=[])
            except ClientError as error:
                if "EmptyBatchRequest" not in str(error.response.get("Error", {}).get("Code", "")):
                    raise

    def _connect(self) -> tuple[SQSClient, str]:
        with translated("reach", self.address):
            with self._lock:  # boto3's sessions are made by one thread at a time
                client = boto3.session.Session().client("sqs", config=self._config)
            url = client.get_queue_url(QueueName=self.address.queue, **_owner(self.address))["QueueUrl"]
        return self._of_process.setdefault(os.getpid(), (client, url))


def waiting_on(attributes: Mapping[str, str]) -> int:
    """Count the messages of a queue that are not handled yet, those in the hands of listeners too, as far as SQS knows."""
    kinds = ("", "NotVisible", "Delayed")
    return sum(int(attributes.get(f"ApproximateNumberOfMessages{kind}", 0)) for kind in kinds)


@contextmanager
def translated(verb: str, address: SqsAddress) -> Iterator[None]:
    """Turn what boto3 raises into EventsError and its kin."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise _translation(error, f"cannot {verb} the {address} (COMPLYQ_EVENTS_URL)") from error


def _owner(address: SqsAddress) -> dict[str, str]:
    return {"QueueOwnerAWSAccountId": address.account} if address.account else {}


def _translation(error: BotoCoreError | ClientError, what: str) -> EventsError:
    if isinstance(error, ClientError):
        return _answered(error, what)
    if isinstance(error, NoRegionError):
        return EventsRefusedError(f"{what}: {error}; set AWS_DEFAULT_REGION")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return EventsRefusedError(f"{what}: {error}; {_CREDENTIALS}")
    return EventsError(f"{what}: {error}; check the network and AWS_ENDPOINT_URL")


def _answered(error: ClientError, what: str) -> EventsError:
    answer = error.response.get("Error", {})
    code = str(answer.get("Code", ""))
    told = f"{what}: SQS answered {code}: {str(answer.get('Message', '')).rstrip('.')}"
    hint = _REFUSALS.get(code)
    if hint:
        return EventsRefusedError(f"{told}; {hint}")
    return EventsError(f"{told}; try again later, or check the server")
