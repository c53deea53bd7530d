"""Enqueue batches of Post or user IDs for compliance checks, follow them, and listen for their results."""

from complyq_producer.client import Batch, Producer
from complyq_producer.model import BatchState
from complyq_producer.status import BatchStatus

__all__ = ["Batch", "BatchState", "BatchStatus", "Producer"]
