"""What Redis knows of work in progress, for status and progress bars. Losing it costs only the display."""

from __future__ import annotations

from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Protocol, cast

import msgspec
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from complyq_producer.redis_keys import RedisKeys

if TYPE_CHECKING:
    from complyq_producer.model import BatchId, ComplianceType

log = structlog.get_logger(__name__)


class LiveJob(msgspec.Struct, frozen=True, kw_only=True):
    """What the slot of a type is doing."""

    plan: int
    phase: str
    """planned, waiting_for_slot, uploading, processing, collecting, …: the worker's own word."""
    since: datetime
    """When the plan was made, which is when the slot's time began."""
    remote_id: str | None = None
    bytes_done: int = 0
    bytes_total: int = 0


class LiveView(Protocol):
    """Reads the live state of the workers."""

    def job(self, type_: ComplianceType) -> LiveJob | None:
        """Return what the slot of a type is doing, or None if that is not known."""

    def position(self, type_: ComplianceType, batch_id: BatchId) -> int | None:
        """Return a waiting batch's place in the queue, from 1, or None if it does not wait or that is not known."""

    def job_seconds(self, type_: ComplianceType) -> float | None:
        """Return how many seconds a job of the type took lately (the median), or None if that is not known."""


class RedisLiveView:
    """The live state as the workers keep it in Redis. An unreachable Redis knows nothing; it is no error."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._redis = client
        self._keys = RedisKeys(namespace)

    def job(self, type_: ComplianceType) -> LiveJob | None:
        """Return what the slot of a type is doing, or None if that is not known."""
        try:
            body = self._redis.get(self._keys.live(type_))
        except redis.RedisError as error:
            _log_unknown(error)
            return None
        return msgspec.json.decode(body, type=LiveJob) if isinstance(body, bytes) else None

    def position(self, type_: ComplianceType, batch_id: BatchId) -> int | None:
        """Return a waiting batch's place in the queue, from 1, or None if that is not known."""
        try:
            place = self._redis.hget(self._keys.queue(type_), batch_id)
        except redis.RedisError as error:
            _log_unknown(error)
            return None
        return int(place) if isinstance(place, bytes) else None

    def job_seconds(self, type_: ComplianceType) -> float | None:
        """Return how many seconds a job of the type took lately (the median), or None if that is not known."""
        try:
            seconds = cast("list[bytes]", self._redis.lrange(self._keys.durations(type_), 0, -1))
        except redis.RedisError as error:
            _log_unknown(error)
            return None
        return median(map(float, seconds)) if seconds else None


def _log_unknown(error: redis.RedisError) -> None:
    log.debug("live_state_unknown", error=str(error))


def connect_redis(url: str) -> redis.Redis:
    """Return a client that connects on first use and waits at most seconds, not minutes.

    Where a connection breaks, a command is sent once more: whatever is sent must be safe to repeat.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=5,
        socket_connect_timeout=3,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 1, (redis.ConnectionError,)),  # not after a timeout, which would only double it
    )
