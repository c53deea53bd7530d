"""The operator of a soak: whatever is parked, because its process was killed so often, is looked at and released."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Self

from complyq_producer import Producer
from complyq_producer.errors import NothingParkedError, StoreError
from soak.saying import say

_LOOK_SECONDS = 0.5


class Attendant:
    """A thread that releases parked batches; `parked` tells them by the ids of their events."""

    def __init__(self, producer: Producer, parked: Callable[[], Mapping[str, str]]) -> None:
        self.counts: Counter[str] = Counter()
        self._producer = producer
        self._parked = parked
        self._done: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attendant", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            for event_id, batch_id in dict(self._parked()).items():
                if event_id not in self._done:
                    self._release(event_id, batch_id)

    def _release(self, event_id: str, batch_id: str) -> None:
        try:
            released = self._producer.release(batch_id)
        except StoreError:
            return  # the next look tries again
        except NothingParkedError:
            self.counts["parked and gone on by itself"] += 1
        else:
            self.counts["parked work released"] += len(released)
        say(f"{event_id} is parked, and released")
        self._done.add(event_id)
