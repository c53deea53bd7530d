"""What was published, for queues that do not know it themselves."""

from __future__ import annotations

from typing import cast

import redis

from complyq_producer.errors import EventsError
from complyq_producer.live import connect_redis
from complyq_producer.model import BatchId
from complyq_producer.redis_keys import RedisKeys

SECONDS_AN_HOUR = 3_600


class PublishedEvents:
    """Remembers in Redis which events of a batch are on the queue. Losing it costs copies, never events."""

    def __init__(self, redis_url: str, namespace: str, *, replay_hours: int) -> None:
        """Prepare to remember.

        Args:
            redis_url: where the locks are.
            namespace: whose events they are.
            replay_hours: how long the events of a batch are remembered, since the batch's last one.
        """
        self._client = connect_redis(redis_url)
        self._keys = RedisKeys(namespace)
        self._remembered_seconds = replay_hours * SECONDS_AN_HOUR

    def has(self, batch_id: str, event_id: str) -> bool:
        """Whether an event was published; raises EventsError."""
        try:
            return cast("bool", self._client.hexists(self._keys.published(BatchId(batch_id)), event_id))
        except redis.RedisError as error:
            raise _unknown(error) from error

    def add(self, batch_id: str, event_id: str) -> None:
        """Remember that an event is on the queue; raises EventsError, and then a copy may follow."""
        key = self._keys.published(BatchId(batch_id))
        try:
            with self._client.pipeline() as pipe:
                pipe.hset(key, event_id, "1")
                pipe.expire(key, self._remembered_seconds)
                pipe.execute()
        except redis.RedisError as error:
            raise _unknown(error) from error

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._client.close()


def _unknown(error: redis.RedisError) -> EventsError:
    return EventsError(f"Which events were published cannot be told (COMPLYQ_REDIS_URL): {error}")
