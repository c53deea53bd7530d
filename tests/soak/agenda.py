"""What is to be done when."""

import heapq
import time
from collections.abc import Callable
from itertools import count


class Agenda:
    """Actions by the monotonic time at which they are due."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()

    def add(self, at: float, action: Callable[[], object]) -> None:
        """Have something done at a time."""
        heapq.heappush(self._entries, (at, next(self._order), action))

    def run_due(self) -> None:
        """Do what is due, in its order."""
        while self._entries and self._entries[0][0] <= time.monotonic():
            heapq.heappop(self._entries)[2]()
