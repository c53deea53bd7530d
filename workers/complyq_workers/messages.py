"""What a message must be before Celery touches it. Celery's main process dies of some that are not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from complyq_config.errors import ComplyqError
from complyq_producer.facts import utc_now
from complyq_workers.pipeline import Hint
from complyq_workers.pipeline.arguments import MalformedHintError, arguments_of

if TYPE_CHECKING:
    from kombu import Message

LONGEST_WAIT = timedelta(days=1)
"""No step asks to come back so late, on any clock. On Redis a message that waits for years is handed out each half
hour, and each worker keeps what it was handed."""
UNREADABLE = "complyq-unreadable"
"""A header: what the transport could not read, and why."""

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Headers(msgspec.Struct):
    """What Celery's main process uses of a message's headers: its protocol, version 2."""

    task: str
    id: str
    eta: _Time | None = None
    expires: _Time | None = None
    retries: Annotated[int, msgspec.Meta(ge=0)] = 0
    timelimit: tuple[None, None] | None = None
    shadow: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group: None = None
    stamped_headers: list[str] | None = None


_NoArguments = Annotated[dict[str, Any], msgspec.Meta(max_length=0)]
_Body = tuple[list[str | int], _NoArguments, dict[str, None]]
"""Positional arguments, keyword arguments, and what else Celery is to call."""


class MalformedMessageError(ComplyqError):
    """A message that no version of Complyq sends."""


def fault_of(message: Message) -> str | None:
    """Return why no task can be run for a message, or None if one can."""
    try:
        _check(message)
    except (MalformedHintError, MalformedMessageError, msgspec.MsgspecError, RecursionError) as error:
        return str(error)
    return None


def _check(message: Message) -> None:
    if UNREADABLE in message.headers:
        raise MalformedMessageError(f"it cannot be read: {message.headers[UNREADABLE]}")
    if (message.content_type, message.content_encoding) != ("application/json", "utf-8"):
        raise MalformedMessageError(
            f"it is {message.content_type!r} in {message.content_encoding!r}, not JSON in UTF-8"
        )
    headers = msgspec.convert(message.headers, _Headers)
    if headers.eta and headers.eta > utc_now() + LONGEST_WAIT:
        raise MalformedMessageError(f"it is to wait until {headers.eta}")
    arguments, _, _ = msgspec.json.decode(message.body or b"", type=_Body)
    arguments_of(Hint(headers.task, tuple(arguments)))
