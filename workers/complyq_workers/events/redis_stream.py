"""The results queue as a Redis Stream: one entry for each event, its field `event` holds the JSON."""

import secrets

import redis

from complyq_producer.errors import EventsError
from complyq_producer.listening import StreamAddress
from complyq_producer.live import connect_redis
from complyq_producer.model import BatchId
from complyq_producer.redis_keys import RedisKeys

# Looking, publishing and remembering are one step: a publisher whose reply was lost may ask again, and two
# publishers of the same event put it on the stream once.
PUBLISH = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], '1')
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
_SECONDS_AN_HOUR = 3_600
_PROBE_SECONDS = 60


class RedisStreamPublisher:
    """Implements `EventPublisher`. Connects on first use; a forked process gets connections of its own."""

    def __init__(self, url: str, namespace: str, *, replay_hours: int = 168) -> None:
        """Prepare to publish.

        Args:
            url: `redis://host/0?stream=complyq.events`, or rediss or unix.
            namespace: whose events they are.
            replay_hours: how long it is remembered that an event of a batch was published, since the batch's last one.

        Raises:
            ConfigurationError: the URL cannot be used.
        """
        address = StreamAddress.parse(url)
        self._stream = address.stream
        self._keys = RedisKeys(namespace)
        self._remembered_seconds = replay_hours * _SECONDS_AN_HOUR
        self._client = connect_redis(address.url)
        self._script = self._client.register_script(PUBLISH)

    def publish(self, batch_id: str, event_id: str, body: bytes) -> bool:
        """Append an event to the stream unless it was published before; raises EventsError."""
        guard = self._keys.published(BatchId(batch_id))
        return self._run(guard, self._stream, event_id, body, self._remembered_seconds)

    def verify(self) -> None:
        """Publish to a stream beside the real one, and remove it; raises EventsError."""
        # The names are always the same, so that what a broken connection leaves behind is removed the next time.
        stream, guard = (f"{self._keys.prefix}probe:{name}" for name in ("stream", "guard"))
        self._run(guard, stream, secrets.token_hex(8), b"{}", _PROBE_SECONDS)
        try:
            self._client.delete(stream, guard)
            kind = self._client.type(self._stream)
        except redis.RedisError as error:
            raise self._refused(error) from error
        if kind not in {b"none", b"stream"}:
            raise EventsError(
                f"{self._stream} is in use and no stream: set ?stream= in COMPLYQ_EVENTS_URL to another name."
            )

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._client.close()

    def _run(self, guard: str, stream: str, event_id: str, body: bytes, seconds: int) -> bool:
        try:
            return bool(self._script(keys=[guard, stream], args=[event_id, body, seconds]))
        except redis.RedisError as error:
            raise self._refused(error) from error

    def _refused(self, error: redis.RedisError) -> EventsError:
        return EventsError(f"The results queue (COMPLYQ_EVENTS_URL, stream {self._stream}) cannot be written: {error}")
