"""What is noted of each step that a worker runs: processor time, and requests to the store by operation."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from botocore import handlers

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = "COSTING_NOTES"
"""The environment variable that names the file to which workers append."""


class StepNote(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a step. One whose hint was dropped has no requests."""

    task: str
    seconds: float
    cpu_seconds: float
    requests: dict[str, int]


class StoreRequests:
    """The requests that this process has sent to the store, by S3's names of operations, each attempt of them."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def count_all(self) -> None:
        """Count from now on, whatever client sends them."""
        handlers.BUILTIN_HANDLERS.append(("before-send.s3", self._count))

    def _count(self, event_name: str, **_: Any) -> None:
        self.sent[event_name.rsplit(".", 1)[1]] += 1


class Stretch:
    """A stretch of a process's life: what it took of time and processor, and what it asked of the store."""

    def __init__(self, requests: StoreRequests) -> None:
        self._requests = requests
        self._before = Counter(requests.sent)
        self._seconds, self._cpu_seconds = time.perf_counter(), time.process_time()

    def note(self, task: str) -> StepNote:
        """Tell what it was up to now."""
        return StepNote(
            task=task,
            seconds=time.perf_counter() - self._seconds,
            cpu_seconds=time.process_time() - self._cpu_seconds,
            requests=dict(self._requests.sent - self._before),
        )


def append(note: StepNote) -> None:
    """Add a note to the file; a line is short enough not to be mixed with another process's."""
    line = msgspec.json.encode(note) + b"\n"
    descriptor = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read_notes(path: Path) -> list[StepNote]:
    """Read all notes; none if no step has run."""
    return msgspec.json.Decoder(StepNote).decode_lines(path.read_bytes()) if path.exists() else []


class StepCost(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of a step together; `idle_runs` of them asked nothing of the store: their hints were dropped."""

    runs: int
    idle_runs: int
    cpu_seconds: float
    requests: dict[str, int]


def sums(notes: Iterable[StepNote]) -> dict[str, StepCost]:
    """Add up notes by task."""
    grouped: dict[str, list[StepNote]] = {}
    for note in notes:
        grouped.setdefault(note.task, []).append(note)
    return {task: _sum(some) for task, some in sorted(grouped.items())}


def _sum(notes: list[StepNote]) -> StepCost:
    requests: Counter[str] = Counter()
    for note in notes:
        requests.update(note.requests)
    return StepCost(
        runs=len(notes),
        idle_runs=sum(not note.requests for note in notes),
        cpu_seconds=sum(note.cpu_seconds for note in notes),
        requests=dict(requests),
    )
