"""What is true of work in a second thread."""

import threading
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from complyq_producer.ids.background import Background

PATIENCE = 30


def test_things_are_done_one_after_another_in_one_other_thread() -> None:
    """In the order in which they were given, and all of them before the context is left."""
    done: list[tuple[int, threading.Thread]] = []
    with Background() as background:
        for number in range(20):
            background.run(lambda number: done.append((number, threading.current_thread())), number)
    assert [number for number, _ in done] == list(range(20))
    (thread,) = {thread for _, thread in done}
    assert thread is not threading.current_thread()
    assert not thread.is_alive()


def test_the_owner_is_never_two_ahead() -> None:
    """Who gives the next thing knows that the one before is done, so that its memory can be used again."""
    may_end, ended = threading.Event(), []

    def slow() -> None:
        assert may_end.wait(PATIENCE)
        ended.append("slow")

    with Background() as background:
        background.run(slow)
        assert not ended
        may_end.set()
        background.run(ended.append, "next")
        assert ended[0] == "slow"
    assert ended == ["slow", "next"]


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("then", [lambda background: background.run(print), Background.wait, lambda _: None])
def test_a_failure_reaches_the_owner(apart: bool, then: Callable[[Background], None]) -> None:  # noqa: FBT001 - a parameter of the test
    """With the next thing, at the wait, or at the end of the context: never is it lost."""

    def fail() -> None:
        raise KeyError("there")

    def work() -> None:
        with Background(apart=apart) as background:
            background.run(fail)
            then(background)

    with pytest.raises(KeyError, match="there"):
        work()


def test_the_owners_own_failure_waits_for_what_is_under_way() -> None:
    """Whoever cleans up behind the context undoes all of it."""
    under_way, done = threading.Event(), []

    def slow() -> None:
        under_way.set()
        threading.Event().wait(0.05)
        done.append("slow")

    def work() -> None:
        with Background() as background:
            background.run(slow)
            assert under_way.wait(PATIENCE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["slow"]


def test_context_variables_are_those_of_the_owner() -> None:
    """Log lines and traces from the other thread belong to the same request."""
    tenant: ContextVar[str] = ContextVar("tenant")
    tenant.set("a")
    seen: list[str] = []
    with Background() as background:
        background.run(lambda: seen.append(tenant.get()))
    assert seen == ["a"]


def test_without_another_thread_all_is_done_at_once() -> None:
    """Little work is not worth a thread."""
    done: list[threading.Thread] = []
    with Background(apart=False) as background:
        background.run(lambda: done.append(threading.current_thread()))
        assert done == [threading.current_thread()]
