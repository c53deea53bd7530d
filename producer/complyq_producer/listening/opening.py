"""Chooses the reader by the URL of the queue. What only one kind of queue needs is imported only for it."""

from dataclasses import dataclass

from complyq_producer.listening.addresses import ExchangeAddress, SqsAddress, address_of
from complyq_producer.listening.groups import group_name
from complyq_producer.listening.reader import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """How to listen; see `listen` for what each means."""

    group: str
    namespace: str
    consumer: str
    block_seconds: float
    claim_seconds: float
    from_start: bool

    @property
    def group_name(self) -> str:
        """The group, as the queue knows it."""
        return group_name(self.group, self.namespace)


def open_reader(url: str, how: Listening) -> Reader:
    """Return the reader of a results queue; nothing is contacted yet. Raises ConfigurationError for a wrong URL."""
    address = address_of(url)
    if isinstance(address, SqsAddress):
        from complyq_producer.listening.sqs_reader import SqsReader  # noqa: PLC0415 - boto3 takes long to import

        return SqsReader(address, how.block_seconds, how.claim_seconds)
    if isinstance(address, ExchangeAddress):
        from complyq_producer.listening.rabbitmq_reader import RabbitReader  # noqa: PLC0415 - so does kombu

        return RabbitReader(address, how.group_name, how.consumer, how.block_seconds)
    from complyq_producer.listening.stream_reader import StreamReader  # noqa: PLC0415 - for symmetry

    return StreamReader(
        address, how.group_name, how.consumer, how.block_seconds, how.claim_seconds, from_start=how.from_start
    )
