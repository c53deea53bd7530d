"""Many threads that do something at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")

CROWD = 64


def all_at_once(action: Callable[[int], T], count: int = CROWD) -> list[T]:
    """Call `action` with 0 … `count` - 1 in as many threads, none before all are there; return what each returned."""
    barrier = Barrier(count)

    def act(number: int) -> T:
        barrier.wait()
        return action(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(act, range(count)))
