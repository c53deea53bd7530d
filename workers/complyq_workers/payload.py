"""The bytes that a job uploads: one or several stored objects, read one after another from any offset."""

from __future__ import annotations

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
        """Open the payload for reading from an offset to its end; a read may give less than was asked for."""
        with ExitStack() as stack:
            yield cast("BinaryIO", _Chain(self._store, self._remaining(offset), stack))

    def _remaining(self, offset: int) -> list[tuple[str, int]]:
        """Return the objects that hold the bytes from `offset` on, each with where to start in it."""
        remaining = []
        for key, size in self._objects:
            if offset < size:
                remaining.append((key, max(0, offset)))
            offset -= size
        return remaining


class _Chain:
    """Reads several objects as one stream, opening each when its turn comes."""

    def __init__(self, store: ObjectStore, objects: list[tuple[str, int]], stack: ExitStack) -> None:
        self._store = store
        self._objects = objects
        self._stack = stack
        self._current: BinaryIO | None = None

    def read(self, size: int) -> bytes:
        """Give at most `size` bytes, all of one object; empty at the end of the last one."""
        while self._current is not None or self._objects:
            if self._current is None:
                self._current = self._stack.enter_context(self._store.open(*self._objects.pop(0)))
            if data := self._current.read(size):
                return data
            self._stack.pop_all().close()
            self._current = None
        return b""
