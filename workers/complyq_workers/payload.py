"""The bytes that a job uploads: one or several stored objects, read one after another from any offset."""

from __future__ import annotations

import io
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.facts import Plan
    from complyq_producer.store import ObjectStore


class Payload:
    """The IDs of a job as X gets them: `total` bytes of sorted decimal lines."""

    def __init__(self, store: ObjectStore, plan: Plan, total: int) -> None:
        self._store = store
        sizes = [part.bytes for part in plan.parts] if len(plan.payload) > 1 else [total]
        self._objects = list(zip(plan.payload, sizes, strict=True))
        self.total = total

    @contextmanager
    def open(self, offset: int = 0) -> Iterator[BinaryIO]:
        """Open the payload for reading from an offset to its end."""
        with ExitStack() as stack:
            yield cast("BinaryIO", io.BufferedReader(_Chain(self._store, self._remaining(offset), stack), 1 << 20))

    def _remaining(self, offset: int) -> list[tuple[str, int]]:
        """Return the objects that hold the bytes from `offset` on, each with where to start in it."""
        remaining = []
        for key, size in self._objects:
            if offset < size:
                remaining.append((key, max(0, offset)))
            offset -= size
        return remaining


class _Chain(io.RawIOBase):
    """Reads several objects as one stream, opening each when its turn comes."""

    def __init__(self, store: ObjectStore, objects: list[tuple[str, int]], stack: ExitStack) -> None:
        self._store = store
        self._objects = objects
        self._stack = stack
        self._current: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # a buffer of bytes is all we get
        while True:
            if self._current is None:
                if not self._objects:
                    return 0
                key, start = self._objects.pop(0)
                self._current = self._stack.enter_context(self._store.open(key, start))
            data = self._current.read(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            self._stack.pop_all().close()
            self._current = None
