"""Listens to the results queue while the demo runs, as a service would."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, cast

from complyq_producer.errors import EventsError
from complyq_producer.listening import Event, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from complyq_config.settings import Settings

ENDS = ("complyq.batch.completed.v1", "complyq.batch.failed.v1", "complyq.batch.cancelled.v1")
_WAIT_SECONDS = 60.0


class EventCollector:
    """Keeps every event that comes, in a thread, since listening waits for events without end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events: list[Event] = []
        self._news = threading.Condition()

    @classmethod
    def start(cls, settings: Settings) -> EventCollector:
        """Begin to listen."""
        collector = cls(settings)
        threading.Thread(target=collector._collect, name="demo-listener", daemon=True).start()
        return collector

    def until_ended(self, batch_ids: set[str], check: Callable[[], None]) -> list[Event]:
        """Wait for the last event of each batch, calling `check` meanwhile, and return all events in their order.

        Raises:
            EventsError: they did not come.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        with self._news:
            while not batch_ids <= {event.subject for event in self._events if event.type in ENDS}:
                check()
                if time.monotonic() > deadline:
                    raise EventsError(f"the events of {len(batch_ids)} batches did not come in {_WAIT_SECONDS:.0f} s")
                self._news.wait(0.2)
            return list(self._events)

    def _collect(self) -> None:
        events = cast("Generator[Event]", listen(settings=self._settings, group="demo", block_seconds=1))
        with closing(events):
            for event in events:
                with self._news:
                    self._events.append(event)
                    self._news.notify()
