"""Events: what they say (pure builders), and the results queue they go to (a port and its adapters)."""

from complyq_workers.events.builders import (
    BatchInfo,
    BatchTally,
    BuiltEvent,
    EventContentError,
    ParkedInfo,
    ResultsRef,
    StoredObjectInfo,
    cancelled_event,
    completed_event,
    end_data,
    end_event,
    failed_event,
    parked_event,
    results_event,
)
from complyq_workers.events.memory import MemoryPublisher
from complyq_workers.events.opening import open_publisher
from complyq_workers.events.publisher import EventPublisher
from complyq_workers.events.redis_stream import RedisStreamPublisher

__all__ = [
    "BatchInfo",
    "BatchTally",
    "BuiltEvent",
    "EventContentError",
    "EventPublisher",
    "MemoryPublisher",
    "ParkedInfo",
    "RedisStreamPublisher",
    "ResultsRef",
    "StoredObjectInfo",
    "cancelled_event",
    "completed_event",
    "end_data",
    "end_event",
    "failed_event",
    "open_publisher",
    "parked_event",
    "results_event",
]
