"""Listening for events on the results queue: one iterator, and a reader for each kind of queue."""

from complyq_producer.listening.addresses import (
    Address,
    ExchangeAddress,
    SqsAddress,
    StreamAddress,
    address_of,
)
from complyq_producer.listening.event import Event
from complyq_producer.listening.groups import DEFAULT_GROUP, LOOKING_GROUP
from complyq_producer.listening.listener import Listener, listen

__all__ = [
    "DEFAULT_GROUP",
    "LOOKING_GROUP",
    "Address",
    "Event",
    "ExchangeAddress",
    "Listener",
    "SqsAddress",
    "StreamAddress",
    "address_of",
    "listen",
]
