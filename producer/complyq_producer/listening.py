"""Listening for events on the results queue.

Each event is handled by one listener of a group and is taken off only when the loop asks for the next one. A
listener that dies in between leaves its event to the others: delivery is at least once.
"""

import os
import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from complyq_config.errors import ConfigurationError
from complyq_config.settings import DEFAULT_STREAM, Settings, load_settings
from complyq_producer.errors import EventsError

log = structlog.get_logger(__name__)

_Fields = dict[bytes, bytes]
_Entry = tuple[bytes, _Fields]

_REMEMBERED_EVENTS = 10_000
_LONGEST_PAUSE_SECONDS = 10.0
_DEAD_CONSUMER_MILLISECONDS = 86_400_000
# A consumer that is removed takes what is pending with it, so looking and removing are one step.
_REMOVE_IDLE_CONSUMER = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event: a CloudEvents 1.0 envelope around `data`.

    Attributes:
        specversion: "1.0".
        id: the same for every copy of the event.
        source: `/complyq/<namespace>`.
        type: for example `complyq.batch.completed.v1`.
        subject: the batch id.
        time: when it happened.
        data: the event's own fields; later versions may add some.
        datacontenttype: "application/json".
        dataschema: names the shape of `data`.
        traceparent: the trace it belongs to, where known.
    """

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any]
    datacontenttype: str = "application/json"
    dataschema: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """A Redis Stream: the server's URL (which may hold a password), and the name of the stream."""

    url: str
    stream: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Split `redis://host/0?stream=complyq.events`; raises ConfigurationError without showing the URL."""
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ConfigurationError(
                f"COMPLYQ_EVENTS_URL: only redis, rediss and unix are streams, not {parts.scheme!r}."
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        stream = options.pop("stream", DEFAULT_STREAM)
        if not stream:
            raise ConfigurationError("COMPLYQ_EVENTS_URL: ?stream= names no stream.")
        return cls(urlunsplit(parts._replace(query=urlencode(options))), stream)


def listen(
    url: str | None = None,
    *,
    group: str = "complyq",
    consumer: str | None = None,
    namespace: str | None = None,
    settings: Settings | None = None,
    block_seconds: float = 5,
    claim_seconds: float = 300,
    from_start: bool = True,
) -> Iterator[Event]:
    """Yield events for ever; each is acknowledged when the next one is asked for.

    Leaving the loop, or raising in it, leaves the last event to be delivered again. Copies of an event that this
    listener handled lately are left out; handle an event so that doing it twice does no harm all the same.

    Args:
        url: the results queue, by default `COMPLYQ_EVENTS_URL`.
        group: listeners of one group share the events; each group gets them all.
        consumer: name of this listener, unique in its group; one that is stable gets its unfinished events back at once.
        namespace: whose events, by default `COMPLYQ_NAMESPACE`.
        settings: read from the environment if not given.
        block_seconds: how long one request waits for an event.
        claim_seconds: an event that another listener has had for so long is taken over. Must exceed the
            longest time that the body of the loop takes.
        from_start: a group that is new gets the events that are on the stream already.

    Raises:
        ConfigurationError: the URL or a setting is wrong.
        EventsError: the queue refuses us. One that does not answer is waited for.
    """
    if url is None or namespace is None:
        settings = settings or load_settings()
        url = url or settings.effective_events_url.get_secret_value()
        namespace = namespace or settings.namespace
    consumer = consumer or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    reader = _GroupReader(StreamAddress.parse(url), group, consumer, block_seconds, claim_seconds, from_start)
    return _events(reader, f"/complyq/{namespace}")


def _events(reader: "_GroupReader", source: str) -> Iterator[Event]:
    handled: OrderedDict[str, None] = OrderedDict()
    try:
        while True:
            entry_id, fields = reader.next_entry()
            event = _decode(entry_id, fields)
            if event and event.source == source and event.id not in handled:
                yield event
                handled[event.id] = None
                if len(handled) > _REMEMBERED_EVENTS:
                    handled.popitem(last=False)
            reader.acknowledge(entry_id)
    finally:
        reader.close()


def _decode(entry_id: bytes, fields: _Fields) -> Event | None:
    """An entry's event, or None if it holds none: that is skipped, or it would stop everything behind it."""
    try:
        return msgspec.json.decode(fields[b"event"], type=Event)
    except (KeyError, ValueError) as error:
        log.warning("malformed_event_skipped", entry=entry_id.decode(), error=repr(error))
        return None


class _GroupReader:
    """Takes entries from a stream for one consumer of a group, one at a time, through any outage."""

    def __init__(
        self,
        address: StreamAddress,
        group: str,
        consumer: str,
        block_seconds: float,
        claim_seconds: float,
        from_start: bool,  # noqa: FBT001 - made in one place
    ) -> None:
        self._stream = address.stream
        self._group = group
        self._consumer = consumer
        self._block = max(1, round(block_seconds * 1000))
        self._claim_seconds = claim_seconds
        self._start = "0" if from_start else "$"
        self._joined = False
        self._pending_after: bytes | None = None
        self._claim_due = 0.0
        self._failures = 0
        # The library's own retries would hide that a reply was lost, and with it an entry that is ours by now.
        self._client = redis.Redis.from_url(
            address.url,
            socket_timeout=block_seconds + 5,
            socket_connect_timeout=3,
            socket_keepalive=True,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 0),
        )

    def next_entry(self) -> _Entry:
        """Wait for the next entry: first unfinished ones of ours, then those of dead consumers, then new ones."""
        while True:
            try:
                entry = self._look()
                self._failures = 0
            except redis.RedisError as error:
                self._recover(error)
                continue
            if entry:
                return entry

    def acknowledge(self, entry_id: bytes) -> None:
        """Take an entry off. If that fails the entry comes back, and is recognised by its event's id."""
        try:
            self._client.xack(self._stream, self._group, entry_id)
        except redis.RedisError as error:
            self._recover(error)

    def close(self) -> None:
        """Leave the group if nothing of ours is unfinished."""
        try:
            if self._joined:
                self._remove(self._consumer)
        except redis.RedisError as error:
            log.debug("consumer_not_removed", consumer=self._consumer, error=str(error))
        finally:
            self._client.close()

    def _look(self) -> _Entry | None:
        if not self._joined:
            self._join()
        return self._read_own() or self._claim() or self._read_new()

    def _join(self) -> None:
        try:
            self._client.xgroup_create(self._stream, self._group, self._start, mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        self._remove_dead()
        self._joined, self._pending_after, self._claim_due = True, b"0", 0.0

    def _read_own(self) -> _Entry | None:
        """Entries delivered to us whose reply or acknowledgement was lost, until there is none left."""
        if self._pending_after is None:
            return None
        entry = self._read(self._pending_after, None)
        self._pending_after = entry[0] if entry else None
        return entry

    def _read_new(self) -> _Entry | None:
        return self._read(b">", self._block)

    def _read(self, after: bytes, block: int | None) -> _Entry | None:
        answer = self._client.xreadgroup(self._group, self._consumer, {self._stream: after}, count=1, block=block)
        streams = cast("list[tuple[bytes, list[tuple[bytes, _Fields | None]]]]", answer)
        for _, entries in streams or []:
            for entry_id, fields in entries:
                return entry_id, fields or {}
        return None

    def _claim(self) -> _Entry | None:
        """An entry that a consumer has had for too long; looked for every half of that time, until there is none."""
        if time.monotonic() < self._claim_due:
            return None
        cursor = b"0-0"
        while True:
            idle = round(self._claim_seconds * 1000)
            answer = self._client.xautoclaim(self._stream, self._group, self._consumer, idle, cursor, count=1)
            cursor, entries = cast("list[Any]", answer)[:2]
            if entries:
                log.info("event_taken_over", entry=entries[0][0].decode())
                return entries[0][0], entries[0][1] or {}
            if cursor == b"0-0":
                self._claim_due = time.monotonic() + self._claim_seconds / 2
                return None

    def _remove_dead(self) -> None:
        for consumer in cast("list[dict[str, Any]]", self._client.xinfo_consumers(self._stream, self._group)):
            if consumer["pending"] == 0 and consumer["idle"] > _DEAD_CONSUMER_MILLISECONDS:
                self._remove(consumer["name"])

    def _remove(self, consumer: str | bytes) -> None:
        self._client.eval(_REMOVE_IDLE_CONSUMER, 1, self._stream, self._group, consumer)  # type: ignore[arg-type] # bytes are fine

    def _recover(self, error: redis.RedisError) -> None:
        """Pause and start again with what is ours; raises EventsError where waiting does not help."""
        if _is_final(error):
            raise EventsError(
                f"The results queue (COMPLYQ_EVENTS_URL, stream {self._stream}) refuses: {error}"
            ) from error
        if str(error).startswith(("NOGROUP", "UNBLOCKED")):
            self._start = "0"  # the stream was lost: whatever stands in it now was published since
        pause = min(_LONGEST_PAUSE_SECONDS, 0.1 * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        self._joined = False
        log.warning("events_unavailable", stream=self._stream, error=str(error), retry_in_seconds=pause)
        time.sleep(pause)


def _is_final(error: redis.RedisError) -> bool:
    """Whether an operator must act: a wrong password, missing rights, a key that is no stream."""
    refusals = redis.AuthenticationError | redis.exceptions.AuthorizationError | redis.exceptions.NoPermissionError
    return isinstance(error, refusals) or str(error).startswith("WRONGTYPE")
