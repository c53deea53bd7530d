"""What Redis knows of work in progress, for status and progress bars. Losing it costs only the display."""

from __future__ import annotations

from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import msgspec
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from complyq_config.redis_address import RedisAddress
from complyq_producer.estimates import JobDuration
from complyq_producer.model import BatchId
from complyq_producer.redis_keys import RedisKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from complyq_producer.model import ComplianceType

T = TypeVar("T")

log = structlog.get_logger(__name__)

ENDPOINTS = ("create", "get", "list", "cancel")
"""What is asked of X, each with a request budget of its own."""


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


class LivePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a waiting batch stands."""

    batch_id: BatchId
    place: int
    """In the queue, from 1."""
    jobs_ahead: int
    """How many jobs run before the one that carries it, as far as can be told."""


class LiveQueue(msgspec.Struct, frozen=True, kw_only=True):
    """What waits of a type."""

    batches: int
    ids: int
    oldest: datetime | None
    """When the batch that waits longest was accepted."""
    late: int
    """How many batches may miss their deadline."""
    jobs: int = 0
    """How many jobs it takes to carry all of it; 0 in what a worker of an older version shows."""
    shown_at: datetime
    places: list[LivePlace] = msgspec.field(default_factory=list)
    """Of the first batches, in order; left out where only the queue as a whole is asked for."""


class LiveBudget(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of X's budget of requests for one endpoint."""

    limit: int | None = None
    """Requests in a window; None while the window is not known."""
    remaining: int | None = None
    """Requests that may still be sent in this window."""
    seconds_left: float = 0.0
    """Seconds until the next window."""
    seconds_blocked: float = 0.0
    """For so long X refuses requests."""


class LiveView(Protocol):
    """Reads the live state of the workers."""

    def answers(self) -> bool:
        """Whether there is anybody to ask: where not, nothing is known, and asking may take seconds each time."""

    def job(self, type_: ComplianceType) -> LiveJob | None:
        """Return what the slot of a type is doing, or None if that is not known."""

    def queue(self, type_: ComplianceType) -> LiveQueue | None:
        """Return what waits, without the places, or None if that is not known."""

    def position(self, type_: ComplianceType, batch_id: BatchId) -> LivePlace | None:
        """Return where a waiting batch stands, or None if it does not wait or that is not known."""

    def durations(self, type_: ComplianceType) -> list[JobDuration]:
        """Return how long the last jobs of the type took, newest first; empty if that is not known."""

    def budgets(self) -> dict[str, LiveBudget]:
        """Return what is known of X's request budgets, by endpoint."""


class RedisLiveView:
    """The live state as the workers keep it in Redis. An unreachable Redis knows nothing; it is no error."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._redis = client
        self._keys = RedisKeys(namespace)

    def answers(self) -> bool:
        """Whether Redis can be reached."""
        return self._known(lambda: bool(self._redis.ping()), unknown=False)

    def job(self, type_: ComplianceType) -> LiveJob | None:
        """Return what the slot of a type is doing, or None if that is not known."""
        return self._known(lambda: _decoded(self._redis.get(self._keys.live(type_)), LiveJob), None)

    def queue(self, type_: ComplianceType) -> LiveQueue | None:
        """Return what waits, without the places, or None if that is not known."""
        return self._known(lambda: _decoded(self._redis.get(self._keys.queue(type_)), LiveQueue), None)

    def position(self, type_: ComplianceType, batch_id: BatchId) -> LivePlace | None:
        """Return where a waiting batch stands, or None if it does not wait or that is not known."""
        return self._known(lambda: _decoded(self._redis.hget(self._keys.places(type_), batch_id), LivePlace), None)

    def durations(self, type_: ComplianceType) -> list[JobDuration]:
        """Return how long the last jobs of the type took, newest first; empty if that is not known."""
        return self._known(lambda: read_durations(self._redis, self._keys, type_), [])

    def budgets(self) -> dict[str, LiveBudget]:
        """Return what is known of X's request budgets, by endpoint."""
        return self._known(lambda: read_budgets(self._redis, self._keys), {})

    @staticmethod
    def _known(question: Callable[[], T], unknown: T) -> T:
        try:
            return question()
        except (redis.RedisError, msgspec.DecodeError) as error:  # a newer version may show it in another way
            log.debug("live_state_unknown", error=str(error))
            return unknown


def read_durations(client: redis.Redis, keys: RedisKeys, type_: ComplianceType) -> list[JobDuration]:
    """Read how long the last jobs of a type took, newest first."""
    bodies = cast("list[bytes]", client.lrange(keys.durations(type_), 0, -1))
    return [msgspec.json.decode(body, type=JobDuration) for body in bodies]


def usual_seconds(durations: Sequence[JobDuration]) -> float | None:
    """Return how long a job took lately: the median, None if there was none."""
    return median(duration.most for duration in durations) if durations else None


def read_budgets(client: redis.Redis, keys: RedisKeys) -> dict[str, LiveBudget]:
    """Read what is known of X's request budgets, by endpoint."""
    with client.pipeline() as pipe:
        for endpoint in ENDPOINTS:
            pipe.hmget(keys.budget(endpoint), ["limit", "left"])
            pipe.pttl(keys.budget(endpoint))
            pipe.pttl(keys.blocked(endpoint))
        told = pipe.execute()
    budgets = dict(zip(ENDPOINTS, map(_budget, told[0::3], told[1::3], told[2::3]), strict=True))
    return {endpoint: budget for endpoint, budget in budgets.items() if budget != LiveBudget()}


def _budget(numbers: list[bytes | None], ends_in: int, blocked: int) -> LiveBudget:
    """Put a budget together; a negative time in milliseconds says that there is none."""
    blocked_seconds = max(0, blocked) / 1000
    limit, left = numbers
    if limit is None or left is None or ends_in < 0:
        return LiveBudget(seconds_blocked=blocked_seconds)
    return LiveBudget(
        limit=int(limit), remaining=max(0, int(left)), seconds_left=ends_in / 1000, seconds_blocked=blocked_seconds
    )


def _decoded(body: object, type_: type[T]) -> T | None:
    return msgspec.json.decode(body, type=type_) if isinstance(body, bytes) else None


def connect_redis(url: str, *, answer_seconds: float = 5, retries: int = 1) -> redis.Redis:
    """Return a client that connects on first use and waits at most seconds, not minutes. All our clients are made here.

    Where a connection breaks, a command is sent once more: whatever is sent must be safe to repeat.

    Args:
        url: of a server, or of the Sentinels that know which one is the master.
        answer_seconds: how long an answer may take.
        retries: how often a command is sent once more.

    Raises:
        ValueError: the URL cannot be used.
    """
    address = RedisAddress.parse(url)
    waits: dict[str, Any] = {
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 15,
        # Not after a timeout, which would only double it.
        "retry": Retry(NoBackoff(), retries, (redis.ConnectionError,)),
    }
    if not address.sentinels:
        return redis.Redis.from_url(address.url, **waits, **(address.tls or {}))
    waits |= {"ssl": True, **address.tls} if address.tls else {}
    # A Sentinel that does not answer is passed over for the next one, and sooner than an answer of the master is due.
    asked = {**waits, "socket_timeout": 3, "retry": Retry(NoBackoff(), 0), **address.sentinel_login}
    watch = Sentinel(address.sentinels, sentinel_kwargs=asked, **waits, **address.login)  # type: ignore[no-untyped-call]
    master: redis.Redis = watch.master_for(address.master)  # type: ignore[no-untyped-call]
    return master
