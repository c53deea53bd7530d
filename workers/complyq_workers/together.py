"""Does the same for many things: at once where waiting for others is what takes time."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")

THREADS = 16
"""Requests to a store that are under way at once. A store answers them side by side, Python hardly computes meanwhile."""


COMPUTING = 2
"""Threads that compute: a third one would mostly wait for the interpreter's lock."""


class Together(Protocol):
    """Does some work for each item, in no particular order."""

    def __call__(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return what came of each item, in the order of the items; raise what the first one that failed raised."""


def ahead(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Compute two at once; return what came of each item, in the order of the items, as it is asked for.

    For work that mostly runs without the interpreter's lock. No more than four items or results are there at once.
    """
    coming = iter(items)
    first = list(islice(coming, 2))
    if len(first) < 2:
        yield from one_by_one(work, first)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(COMPUTING) as threads:
        try:
            for item in chain(first, coming):
                waiting.append(threads.submit(copy_context().run, work, item))
                if len(waiting) > COMPUTING:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)


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
