"""The results queue as a Redis Stream: one entry for each event, its field `event` holds the JSON."""

import secrets
from typing import cast
from uuid import UUID

import redis
import uuid_utils

from complyq_producer.errors import EventsError
from complyq_producer.listening import LOOKING_GROUP, StreamAddress
from complyq_producer.listening.stream_groups import unhandled
from complyq_producer.live import connect_redis
from complyq_producer.model import BatchId
from complyq_producer.redis_keys import RedisKeys
from complyq_workers.events.published import SECONDS_AN_HOUR
from complyq_workers.events.stream_life import LIFE, WAS_LOST

# Looking, publishing and remembering are one step: a publisher whose reply was lost may ask again, and two
# publishers of the same event put it on the stream once.
#
# A stream that was deleted must not look like the old one once it has entries again: `stream_life` would not notice.
#
# Then what every group has acknowledged goes, once it is older than what is remembered: otherwise the stream would fill
# Redis. Groups that only look (ARGV[4]) have no say. Without a group nothing goes.
PUBLISH = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
if redis.call('XLEN', KEYS[2]) == 0 and was_lost(KEYS[3], KEYS[2]) then redis.call('DEL', KEYS[3]) end
local entry = redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], '1')
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[3], 'last', entry)

local oldest = redis.call('TIME')[1] * 1000 - ARGV[3] * 1000
local groups = 0
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if string.sub(group['name'] .. '@', 1, #ARGV[4] + 1) ~= ARGV[4] .. '@' then
    local first = group['last-delivered-id']
    if group['pending'] > 0 then first = redis.call('XPENDING', KEYS[2], group['name'])[2] end
    oldest = math.min(oldest, tonumber(string.match(first, '^%d+')))
    groups = groups + 1
  end
end
if groups > 0 then redis.call('XTRIM', KEYS[2], 'MINID', '~', string.format('%.0f', oldest)) end
return 1
"""
_PROBE_SECONDS = 60


class RedisStreamPublisher:
    """Implements `EventPublisher`. Connects on first use; a forked process gets connections of its own."""

    def __init__(self, url: str, namespace: str, *, replay_hours: int = 168) -> None:
        """Prepare to publish.

        Args:
            url: `redis://host/0?stream=complyq.events`, or rediss or unix.
            namespace: whose events they are.
            replay_hours: how long it is remembered that an event of a batch was published, since the batch's last one;
                for so long an event stays on the stream at least.

        Raises:
            ConfigurationError: the URL cannot be used.
        """
        address = StreamAddress.parse(url)
        self._stream = address.stream
        self._keys = RedisKeys(namespace)
        self._remembered_seconds = replay_hours * SECONDS_AN_HOUR
        self._client = connect_redis(address.url)
        self._script = self._client.register_script(WAS_LOST + PUBLISH)
        self._life = self._client.register_script(WAS_LOST + LIFE)

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
            self._client.delete(stream, guard, self._keys.life(stream))
            kind = self._client.type(self._stream)
        except redis.RedisError as error:
            raise self._refused(error) from error
        if kind not in {b"none", b"stream"}:
            raise EventsError(
                f"{self._stream} is in use and no stream: set ?stream= in COMPLYQ_EVENTS_URL to another name."
            )

    def backlog(self) -> int:
        """Count what the group that is furthest behind has not acknowledged; raises EventsError.

        Without a group it is the whole stream: somebody will have to read it from the start.
        """
        try:
            return unhandled(self._client, self._stream)
        except redis.RedisError as error:
            raise self._refused(error) from error

    def life(self) -> str:
        """Name the life of the stream, see `stream_life`; raises EventsError."""
        key = self._keys.life(self._stream)
        try:
            life = cast("bytes", self._life(keys=[key, self._stream], args=[str(uuid_utils.uuid7())])).decode()
            return str(UUID(life))
        except redis.RedisError as error:
            raise self._refused(error) from error
        except ValueError as error:
            raise EventsError(f"{key} in the Redis of COMPLYQ_EVENTS_URL holds no life of ours: delete it") from error

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._client.close()

    def _run(self, guard: str, stream: str, event_id: str, body: bytes, seconds: int) -> bool:
        try:
            return bool(
                self._script(
                    keys=[guard, stream, self._keys.life(stream)], args=[event_id, body, seconds, LOOKING_GROUP]
                )
            )
        except redis.RedisError as error:
            raise self._refused(error) from error

    def _refused(self, error: redis.RedisError) -> EventsError:
        return EventsError(f"The results queue (COMPLYQ_EVENTS_URL, stream {self._stream}) cannot be written: {error}")
