"""Where the results queue is: what COMPLYQ_EVENTS_URL says, for each kind of queue."""

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from complyq_config.amqp_address import AMQP_SCHEMES, AmqpAddress
from complyq_config.errors import ConfigurationError
from complyq_config.redis_address import REDIS_SCHEMES, RedisAddress
from complyq_config.settings import DEFAULT_STREAM
from complyq_producer.listening.groups import DEFAULT_GROUP, group_name

_STREAM_SCHEMES = REDIS_SCHEMES | {"unix"}
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
_ACCOUNT = re.compile(r"\d{12}")


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """A Redis Stream: the server's URL (which may hold a password), and the name of the stream."""

    url: str = field(repr=False)
    stream: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Split `redis://host/0?stream=complyq.events`; raises ConfigurationError without showing the URL."""
        parts = urlsplit(url)
        if parts.scheme not in _STREAM_SCHEMES:
            raise _wrong(f"only redis, rediss, sentinel(s) and unix are streams, not {parts.scheme!r}.")
        options = _options(parts)
        stream = options.pop("stream", DEFAULT_STREAM)
        if not stream:
            raise _wrong("?stream= names no stream.")
        server = _with_options(parts, options)
        try:
            RedisAddress.parse(server)
        except ValueError as error:
            raise _wrong(f"{error}.") from None
        return cls(server, stream)

    def __str__(self) -> str:
        return f"stream {self.stream}"


@dataclass(frozen=True, slots=True)
class SqsAddress:
    """A queue of Amazon SQS, or of a server that speaks its protocol. Region, credentials and endpoint are AWS's variables.

    Attributes:
        queue: its name; one that ends in `.fifo` is a FIFO queue.
        account: whose queue it is, 12 digits; None: that of the credentials.
    """

    queue: str
    account: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Split `sqs://queue` or `sqs://account/queue`; raises ConfigurationError without showing the URL."""
        parts = urlsplit(url)
        if parts.scheme != "sqs" or parts.query or parts.fragment or "@" in parts.netloc:
            raise _wrong("an SQS queue is sqs://<queue>; credentials, region and endpoint come from the AWS variables.")
        names = [parts.netloc, *filter(None, parts.path.split("/"))]
        account = names.pop(0) if len(names) == 2 and _ACCOUNT.fullmatch(names[0]) else None
        if len(names) != 1 or not _QUEUE.fullmatch(names[0]):
            raise _wrong(
                f"{'/'.join(names)!r} cannot be an SQS queue; use sqs://<queue> or sqs://<12 digits of its account>/<queue>."
            )
        return cls(names[0], account)

    @property
    def is_fifo(self) -> bool:
        """Whether it is a FIFO queue: SQS tells them by their names."""
        return self.queue.endswith(".fifo")

    def __str__(self) -> str:
        return f"SQS queue {self.queue}"


@dataclass(frozen=True, slots=True)
class ExchangeAddress:
    """An exchange of RabbitMQ.

    Attributes:
        server: where RabbitMQ is.
        exchange: the name of the exchange.
        queues: those named in the URL, whose length tells how many events wait; see `watched`.
    """

    server: AmqpAddress
    exchange: str
    queues: tuple[str, ...]

    @classmethod
    def parse(cls, url: str) -> Self:
        """Split `amqp://host/vhost?exchange=complyq.events&queue=a,b`; raises ConfigurationError without showing the URL."""
        options = {"exchange": DEFAULT_STREAM}
        nodes = [_without(node, options, ("exchange", "queue")) for node in url.split(";")]
        exchange = options["exchange"]
        if not exchange:
            raise _wrong("?exchange= names no exchange.")
        try:
            server = AmqpAddress.parse(";".join(nodes))
        except ValueError as error:
            raise _wrong(f"{error}; beside exchange and queue.") from None
        return cls(server, exchange, tuple(filter(None, options.get("queue", "").split(","))))

    @property
    def url(self) -> str:
        """The URLs of the server's nodes, which may hold a password, as kombu reads them."""
        return self.server.kombu_url(self.server.nodes[0].scheme)

    def watched(self, namespace: str) -> tuple[str, ...]:
        """Name the queues whose length counts: those of the URL, or else that of the installation's usual listeners."""
        return self.queues or (queue_of(self.exchange, group_name(DEFAULT_GROUP, namespace)),)

    def __str__(self) -> str:
        return f"exchange {self.exchange}"


Address = StreamAddress | SqsAddress | ExchangeAddress


def address_of(url: str) -> Address:
    """Read the address of a results queue; raises ConfigurationError without showing the URL."""
    scheme = urlsplit(url).scheme
    if scheme == "sqs":
        return SqsAddress.parse(url)
    return ExchangeAddress.parse(url) if scheme in AMQP_SCHEMES else StreamAddress.parse(url)


def queue_of(exchange: str, group: str) -> str:
    """Name the queue in RabbitMQ that a group of listeners shares."""
    return f"{exchange}.{group}"


def _options(parts: SplitResult) -> dict[str, str]:
    return dict(parse_qsl(parts.query, keep_blank_values=True))


def _with_options(parts: SplitResult, options: dict[str, str]) -> str:
    return urlunsplit(parts._replace(query=urlencode(options)))


def _without(url: str, options: dict[str, str], ours: tuple[str, ...]) -> str:
    """Take those options that are ours out of a URL."""
    parts = urlsplit(url)
    found = _options(parts)
    options.update((name, found.pop(name)) for name in ours if name in found)
    return _with_options(parts, found)


def _wrong(why: str) -> ConfigurationError:
    return ConfigurationError(f"COMPLYQ_EVENTS_URL: {why}")
