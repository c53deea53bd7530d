"""Work that is done two at a time, and asked for one by one."""

import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import count, islice
from threading import Event, Thread, Timer, get_ident

import pytest

from complyq_workers.together import ahead, at_once, shared

LONG_ENOUGH = 30.0
Threads = Callable[[], set[Thread]]
context: ContextVar[str] = ContextVar("context", default="none")


class FailedError(Exception):
    """What some work raises."""


@pytest.fixture
def threads() -> Threads:
    """Tell which threads there are that were not there before."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) - before


def test_results_come_in_the_order_of_the_items() -> None:
    """Also where a later one is there first: two are computed at once."""
    second = Event()

    def work(item: int) -> int:
        if item == 0:
            assert second.wait(LONG_ENOUGH)
        if item == 1:
            second.set()
        return item * item

    assert list(ahead(work, range(50))) == [item * item for item in range(50)]


@pytest.mark.parametrize("items", [0, 1])
def test_a_single_item_needs_no_thread(items: int) -> None:
    """Most jobs are small: their work is done where it is asked for."""
    assert list(ahead(lambda _: get_ident(), range(items))) == [get_ident()] * items


def test_no_more_than_four_are_there_at_once() -> None:
    """Items that were taken and results that nobody took are few, however many follow: each may be megabytes."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    most = 0
    for received, _ in enumerate(ahead(lambda item: item, items())):
        most = max(most, taken - received)
    assert taken == 100
    assert most <= 4


def test_what_failed_first_in_order_is_raised_where_it_stands() -> None:
    """What came before it is returned, and what comes behind it is not begun, but for what was taken ahead."""
    begun: list[int] = []
    later = Event()

    def work(item: int) -> int:
        begun.append(item)
        if item == 4:
            assert later.wait(LONG_ENOUGH)
            raise FailedError("4")
        if item == 5:
            later.set()
            raise FailedError("5")
        return item

    results = ahead(work, count())
    assert list(islice(results, 4)) == [0, 1, 2, 3]
    with pytest.raises(FailedError, match="4"):
        next(results)
    assert max(begun) <= 6


def test_items_that_cannot_be_had_are_an_error(threads: Threads) -> None:
    """The file that they are read from may break off."""

    def items() -> Iterator[int]:
        yield from range(5)
        raise FailedError("no more")

    with pytest.raises(FailedError, match="no more"):
        list(ahead(lambda item: item, items()))
    assert not threads()


def test_who_stops_early_leaves_no_thread_behind(threads: Threads) -> None:
    """What was begun is waited for, and nothing else is."""
    begun, ended = [], []
    go_on = Event()

    def work(item: int) -> int:
        begun.append(item)
        if item:
            assert go_on.wait(LONG_ENOUGH)
        ended.append(item)
        return item

    results = ahead(work, count())
    assert next(results) == 0
    assert threads()
    timer = Timer(0.05, go_on.set)
    timer.start()
    results.close()  # type: ignore[attr-defined]  # it is a generator
    timer.join()
    assert sorted(begun) == sorted(ended)
    assert set(begun) <= {0, 1, 2}
    assert not threads()


def test_a_loop_that_raises_leaves_no_thread_behind(threads: Threads) -> None:
    """A worker that lost its lease raises between two results."""

    def loop() -> None:
        for _ in ahead(lambda item: item, range(9)):
            raise FailedError("lease")

    with pytest.raises(FailedError):
        loop()
    assert not threads()


def test_work_knows_what_its_caller_knows() -> None:
    """The context, by which log lines tell their job, is that of who asks; what work sets stays with it."""

    def work(item: int) -> str:
        seen = context.get()
        context.set(f"of {item}")
        return seen

    token = context.set("of the caller")
    try:
        assert list(ahead(work, range(6))) == ["of the caller"] * 6
        assert context.get() == "of the caller"
    finally:
        context.reset(token)


def nothing() -> None:
    """Neither stop nor do anything."""


def test_items_are_shared_by_whoever_is_free() -> None:
    """While one is held up the other goes on, and what came of each item is in order."""
    held_up, by_other = Event(), []

    def mine(item: int) -> int:
        assert held_up.wait(LONG_ENOUGH)
        return item

    def theirs(item: int) -> int:
        by_other.append(item)
        if len(by_other) == 9:
            held_up.set()
        return item

    assert shared(mine, theirs, range(10), beat=nothing, stop=nothing) == list(range(10))
    assert len(by_other) >= 9


def test_the_first_of_shared_items_that_failed_is_told() -> None:
    """Also where a later one failed before; nothing is begun after a failure."""
    both, failed = Event(), Event()
    begun: list[int] = []

    def mine(item: int) -> None:
        begun.append(item)
        both.set()
        assert failed.wait(LONG_ENOUGH)
        raise FailedError(f"mine {item}")

    def theirs(item: int) -> None:
        begun.append(item)
        assert both.wait(LONG_ENOUGH)
        failed.set()
        raise FailedError(f"theirs {item}")

    with pytest.raises(FailedError, match="0"):
        shared(mine, theirs, range(9), beat=nothing, stop=nothing)
    assert set(begun) <= {0, 1}


def test_who_waits_for_another_process_can_stop(threads: Threads) -> None:
    """The other one is ended, so that nobody waits for it any more."""
    ended = Event()

    def beat() -> None:
        raise FailedError("lease")

    with pytest.raises(FailedError, match="lease"):
        at_once(lambda: 1, lambda: ended.wait(LONG_ENOUGH), beat=beat, stop=ended.set)
    assert ended.is_set()
    assert not threads()


def test_what_fails_here_ends_the_other_process() -> None:
    """And what failed first is raised."""
    ended = Event()

    def mine() -> None:
        raise FailedError("here")

    with pytest.raises(FailedError, match="here"):
        at_once(mine, lambda: ended.wait(LONG_ENOUGH), beat=nothing, stop=ended.set)
    assert ended.is_set()
