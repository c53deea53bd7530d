"""Enqueue batches of Post or user IDs for compliance checks, follow them, and listen for their results."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from complyq_producer.client import Batch, Producer
    from complyq_producer.listening import Event, listen
    from complyq_producer.model import BatchState
    from complyq_producer.overview import Overview
    from complyq_producer.results import Result
    from complyq_producer.schemas import event_schemas
    from complyq_producer.status import BatchStatus

__all__ = ["Batch", "BatchState", "BatchStatus", "Event", "Overview", "Producer", "Result", "event_schemas", "listen"]

_MODULES = {
    "Batch": "client",
    "BatchState": "model",
    "BatchStatus": "status",
    "Event": "listening",
    "Overview": "overview",
    "Producer": "client",
    "Result": "results",
    "event_schemas": "schemas",
    "listen": "listening",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `complyq --help` needs neither Celery nor numpy."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
