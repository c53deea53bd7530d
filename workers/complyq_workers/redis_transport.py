"""Kombu's Redis transport, which survives what others put into its lists.

The original decodes an entry while the worker's event loop reads it: one that is not kombu's own ends the worker, and
is lost with it. Here such an entry becomes a message that says so, and goes the way of all malformed messages.
"""

from __future__ import annotations

import base64
from functools import partial
from typing import Any, Literal

import msgspec
import uuid_utils
from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from complyq_workers.messages import UNREADABLE


class _DeliveryInfo(msgspec.Struct):
    exchange: str
    routing_key: str


class _Properties(msgspec.Struct):
    delivery_tag: str
    delivery_info: _DeliveryInfo
    body_encoding: Literal["base64"]


class _Entry(msgspec.Struct, rename="kebab"):
    """What kombu needs of an entry; msgspec checks the base64 of bytes."""

    body: bytes
    properties: _Properties
    headers: dict[str, Any]
    content_type: str | None = None
    content_encoding: str | None = None


def readable(queue: str, entry: bytes) -> bytes:
    """Return an entry as it is, or wrapped into one that says why kombu could not read it."""
    try:
        msgspec.convert(loads(bytes_to_str(entry)), _Entry)  # decoded as kombu will do
    except Exception as error:  # noqa: BLE001 - whatever it is, the event loop would die of it
        return _wrapped(queue, entry, error)
    return entry


def _wrapped(queue: str, entry: bytes, error: Exception) -> bytes:
    delivery = {"exchange": queue, "routing_key": queue}
    return msgspec.json.encode(
        {
            "body": base64.b64encode(entry).decode(),
            "content-type": "application/octet-stream",
            "content-encoding": "binary",
            "headers": {UNREADABLE: str(error)},
            "properties": {
                "delivery_tag": str(uuid_utils.uuid4()),
                "delivery_info": delivery,
                "body_encoding": "base64",
            },
        }
    )


class Client(redis.PrefixedStrictRedis):  # type: ignore[misc] # kombu ships no types
    """Hands out readable entries only."""

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """Read an answer."""
        answer = super().parse_response(connection, command_name, **options)
        if command_name == "BRPOP" and answer:
            queue, entry = answer
            return queue, readable(queue.decode(), entry)
        return answer


class _Reading:
    """Reads through our client."""

    global_keyprefix: str

    def _get_client(self) -> Any:
        return partial(Client, global_keyprefix=self.global_keyprefix)


class Channel(_Reading, redis.Channel):  # type: ignore[misc] # kombu ships no types
    """Of a server that the URL names."""


class SentinelChannel(_Reading, redis.SentinelChannel):  # type: ignore[misc] # kombu ships no types
    """Of the server that Sentinels name."""


class Transport(redis.Transport):  # type: ignore[misc] # kombu ships no types
    """What URLs with the schemes redis and rediss mean in a worker."""

    Channel = Channel


class SentinelTransport(redis.SentinelTransport):  # type: ignore[misc] # kombu ships no types
    """What URLs with the scheme sentinel mean in a worker."""

    Channel = SentinelChannel


def use_in_this_process() -> None:
    """Take over these schemes. As `broker_transport` it would not know that rediss means TLS."""
    for scheme, transport in (("redis", Transport), ("rediss", Transport), ("sentinel", SentinelTransport)):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{transport.__name__}"
