"""Does the same for many things: at once where waiting for others is what takes time."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from itertools import chain, islice
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")

_BEAT_SECONDS = 1.0

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


def at_once(
    mine: Callable[[], R], theirs: Callable[[], S], *, beat: Callable[[], None], stop: Callable[[], None]
) -> tuple[R, S]:
    """Work here while another process does: return what came of both.

    Args:
        mine: is done here.
        theirs: waits for the other process, in a thread.
        beat: called while that has to be waited for; may end it by raising.
        stop: ends the other process, so that nobody waits for it any more.
    """
    with ThreadPoolExecutor(1) as thread:
        other = thread.submit(copy_context().run, theirs)
        try:
            result = mine()
            while not wait([other], _BEAT_SECONDS).done:
                beat()
        except BaseException:
            stop()
            raise
        return result, other.result()


def shared(
    mine: Callable[[T], R],
    theirs: Callable[[T], R],
    items: Iterable[T],
    *,
    beat: Callable[[], None],
    stop: Callable[[], None],
) -> list[R]:
    """Do the work for each item here or in another process, whichever is free: see `at_once`.

    Return what came of each item, in the order of the items; raise what the first one that failed raised.
    """
    sharing: _Sharing[T, R] = _Sharing(items)
    at_once(partial(sharing.work, mine), partial(sharing.work, theirs), beat=beat, stop=stop)
    return sharing.results()


class _Sharing(Generic[T, R]):
    """Items that are taken by two."""

    def __init__(self, items: Iterable[T]) -> None:
        self._coming = enumerate(items)
        self._lock = Lock()
        self._done: dict[int, R] = {}
        self._failed: dict[int, Exception] = {}

    def work(self, work: Callable[[T], R]) -> None:
        """Work as long as there are items, and none has failed."""
        while taken := self._next():
            number, item = taken
            try:
                self._done[number] = work(item)
            except Exception as error:  # noqa: BLE001 - raised by `results`
                self._failed[number] = error

    def results(self) -> list[R]:
        if self._failed:
            raise self._failed[min(self._failed)]
        return [self._done[number] for number in sorted(self._done)]

    def _next(self) -> tuple[int, T] | None:
        with self._lock:
            return None if self._failed else next(self._coming, None)


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
