"""Reads a Redis Stream as one consumer of a group."""

import time
from typing import Any, cast

import redis
import structlog

from complyq_producer.errors import EventsError
from complyq_producer.listening.addresses import StreamAddress
from complyq_producer.listening.reader import Delivery, Patience
from complyq_producer.live import connect_redis

log = structlog.get_logger(__name__)

_Fields = dict[bytes, bytes]
_Entry = tuple[bytes, _Fields]

_DEAD_CONSUMER_MILLISECONDS = 86_400_000
# A consumer that is removed takes what is pending with it, so looking and removing are one step.
_REMOVE_IDLE_CONSUMER = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class StreamReader:
    """Takes entries from a stream for one consumer of a group, one at a time, through any outage."""

    def __init__(
        self,
        address: StreamAddress,
        group: str,
        consumer: str,
        block_seconds: float,
        claim_seconds: float,
        *,
        from_start: bool,
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
        self._patience = Patience(str(address))
        # The library's own retries would hide that a reply was lost, and with it an entry that is ours by now.
        self._client = connect_redis(address.url, answer_seconds=block_seconds + 5, retries=0)

    def next(self) -> Delivery:
        """Wait for the next entry: first unfinished ones of ours, then those of dead consumers, then new ones."""
        while True:
            try:
                entry = self._look()
                self._patience.end()
            except redis.RedisError as error:
                self._recover(error)
                continue
            if entry:
                return Delivery(entry[0].decode(), entry[1].get(b"event", b""))

    def acknowledge(self, delivery: Delivery) -> None:
        """Take an entry off. If that fails the entry comes back, and is recognised by its event's id."""
        try:
            self._client.xack(self._stream, self._group, delivery.receipt)
        except redis.RedisError as error:
            self._recover(error)

    def set_aside(self, delivery: Delivery) -> None:
        """Pass over an entry. It stays on the stream, where every installation has groups of its own."""
        self.acknowledge(delivery)

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
        self._joined = False
        self._patience.wait(error)


def _is_final(error: redis.RedisError) -> bool:
    """Whether an operator must act: a wrong password, missing rights, a key that is no stream."""
    refusals = redis.AuthenticationError | redis.exceptions.AuthorizationError | redis.exceptions.NoPermissionError
    return isinstance(error, refusals) or str(error).startswith("WRONGTYPE")
