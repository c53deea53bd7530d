"""Does the same for many things: at once where waiting for others is what takes time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")

THREADS = 16
"""Requests to a store that are under way at once. A store answers them side by side, Python hardly computes meanwhile."""


class Together(Protocol):
    """Does some work for each item, in no particular order."""

    def __call__(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return what came of each item, in the order of the items; raise what the first one that failed raised."""


def one_by_one(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do the work in order."""
    return [work(item) for item in items]


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do the work in a few threads, under the caller's log context. After a failure no more of it is begun."""
    waiting = list(items)
    if len(waiting) < 2:
        return one_by_one(work, waiting)
    with ThreadPoolExecutor(min(THREADS, len(waiting))) as threads:
        futures = [threads.submit(copy_context().run, work, item) for item in waiting]
        try:
            return [future.result() for future in futures]
        finally:
            threads.shutdown(cancel_futures=True)
