"""The words of the domain that are shared by every part: ids, types, states."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NewType

import uuid_utils

from complyq_producer.errors import InvalidArgumentError, UnknownTypeError

BatchId = NewType("BatchId", str)
"""A batch's UUIDv7 in its 36-character form; sorts by the time of staging on the producer's clock."""

EndState = Literal["completed", "failed", "cancelled"]
"""How a batch may end; the same words as in `BatchState`."""

JobId = NewType("JobId", str)
"""Our own random id of a job (32 hexadecimal digits), not X's: it travels in the remote job's name."""

ReplayId = NewType("ReplayId", str)
"""The UUIDv7 of a wish to have events published again."""

RemoteId = NewType("RemoteId", str)
"""X's id of a compliance job: up to 19 decimal digits, kept as text."""


class ComplianceType(StrEnum):
    """What the IDs of a batch identify. X runs one job at a time for each."""

    TWEETS = "tweets"
    USERS = "users"

    @classmethod
    def parse(cls, text: str) -> ComplianceType:
        """Turn "tweets" or "users" into the type.

        Raises:
            UnknownTypeError: for anything else.
        """
        try:
            return cls(text)
        except ValueError:
            raise UnknownTypeError(
                f"unknown type {text!r}: use 'tweets' for Post IDs or 'users' for user IDs"
            ) from None


class ObjectFormat(StrEnum):
    """How a results object is stored; the word that ends its key, and that facts and events have for it."""

    JSON_LINES = "jsonl.gz"
    PARQUET = "parquet"


class BatchState(StrEnum):
    """How far a batch is."""

    ACCEPTED = "accepted"
    """It is a fact in the store; no worker has looked at it yet."""
    WAITING = "waiting"
    """A worker has seen it; its turn has not come."""
    RUNNING = "running"
    """At least one of its parts is or was in a job, and it has not ended."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the batch has ended, so that this state will not change any more."""
        return self in {BatchState.COMPLETED, BatchState.FAILED, BatchState.CANCELLED}


class Priority(StrEnum):
    """How urgent a batch is: shifts its place in the queue, never starves the others."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @classmethod
    def parse(cls, text: str) -> Priority:
        """Turn the word into the priority.

        Raises:
            InvalidArgumentError: for a word that is none of them.
        """
        try:
            return cls(text)
        except ValueError:
            raise InvalidArgumentError(f"unknown priority {text!r}: use one of {', '.join(cls)}") from None


def checked_batch_id(text: str) -> BatchId:
    """Keep a mistyped id from becoming a strange key; raises InvalidArgumentError."""
    if not text or any(character not in "0123456789abcdef-" for character in text):
        raise InvalidArgumentError(f"{text!r} is no batch id: one looks like 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")
    return BatchId(text)


def new_batch_id() -> BatchId:
    """Return a fresh UUIDv7."""
    return BatchId(str(uuid_utils.uuid7()))


def new_replay_id() -> ReplayId:
    """Return a fresh UUIDv7."""
    return ReplayId(str(uuid_utils.uuid7()))


def new_job_id() -> JobId:
    """Return a fresh random job id."""
    return JobId(uuid_utils.uuid4().hex)
