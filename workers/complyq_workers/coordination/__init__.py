"""Who works on what right now: leases, due times, rate limits and live state. All of it may vanish at any instant."""

from complyq_workers.coordination.memory import MemoryCoordination
from complyq_workers.coordination.port import NOT_DUE, Coordination, CoordinationError, Unsettled
from complyq_workers.coordination.quota import Quota
from complyq_workers.coordination.redis_server import RedisCoordination
from complyq_workers.coordination.tally import Counter, Histogram

__all__ = [
    "NOT_DUE",
    "Coordination",
    "CoordinationError",
    "Counter",
    "Histogram",
    "MemoryCoordination",
    "Quota",
    "RedisCoordination",
    "Unsettled",
]
