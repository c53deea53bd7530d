"""One reading for all who look: computed only while somebody does, at most once in an interval."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import anyio.to_thread
import structlog

from complyq_config.errors import ComplyqError
from complyq_config.redaction import redact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

T = TypeVar("T")

log = structlog.get_logger(__name__)

Fragments = dict[str, str]
"""Pieces of HTML by the id of the element that they fill."""

MOST_THREADS = 4
"""So many readings run at once; what is asked for beyond waits."""
MOST_PAGES = 64
"""Readings of so many pages are kept."""
MOST_STREAMS = 200
"""So many browsers are kept up to date; others see the page as it was when they loaded it."""
STREAM_SECONDS = 3600.0
"""A browser connects again after so long, which asks for the credentials again."""
SILENT_SECONDS = 10.0
"""A stream says something at least this often, so that a browser that went away is noticed."""


class Shared(Generic[T]):
    """A value that is read anew when somebody asks and it is older than an interval; all who ask meanwhile wait for it."""

    def __init__(self, read: Callable[[], T], seconds: float, limiter: anyio.CapacityLimiter) -> None:
        """Share a reading.

        Args:
            read: reads the value; runs in a thread.
            seconds: for so long the value is given to whoever asks.
            limiter: how many threads may read at once.
        """
        self.seconds = seconds
        self._read = read
        self._limiter = limiter
        self._lock = asyncio.Lock()
        self._known: tuple[float, T] | None = None

    async def value(self) -> T:
        """Return the value."""
        async with self._lock:
            if self._known is None or time.monotonic() - self._known[0] >= self.seconds:
                value = await anyio.to_thread.run_sync(self._read, limiter=self._limiter)
                self._known = (time.monotonic(), value)
            return self._known[1]


class Readings(Generic[T]):
    """What is shown on pages, by their names; those that were looked at last."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(MOST_THREADS)
        self._pages: OrderedDict[str, Shared[T]] = OrderedDict()

    def of(self, name: str, read: Callable[[], T], seconds: float) -> Shared[T]:
        """Return the reading of a page, which is the same for all who look at it."""
        if name not in self._pages:
            self._pages[name] = Shared(read, seconds, self._limiter)
        self._pages.move_to_end(name)
        while len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        return self._pages[name]


class Streams:
    """Who is kept up to date. All streams end at once when the server stops."""

    def __init__(self) -> None:
        self._open = 0
        self._closing = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether nobody else can be kept up to date."""
        return self._open >= MOST_STREAMS

    def close(self) -> None:
        """End all streams."""
        self._closing.set()

    async def follow(self, fragments: Shared[Fragments]) -> AsyncIterator[bytes]:
        """Send what has changed, as server-sent events, until the server stops or an hour has passed."""
        self._open += 1
        try:
            async for event in self._events(fragments):
                yield event
        finally:
            self._open -= 1

    async def _events(self, fragments: Shared[Fragments]) -> AsyncIterator[bytes]:
        sent: Fragments = {}
        begun = spoken = time.monotonic()
        yield b"retry: 2000\n\n"
        while not self._closing.is_set() and time.monotonic() - begun < STREAM_SECONDS:
            now = await self._read(fragments, sent)
            changed = {name: html for name, html in now.items() if sent.get(name) != html}
            if changed or time.monotonic() - spoken >= SILENT_SECONDS:
                yield event("fragments", changed)
                sent, spoken = now, time.monotonic()
            await self._pause(fragments.seconds)

    @staticmethod
    async def _read(fragments: Shared[Fragments], sent: Fragments) -> Fragments:
        """Read what there is now; what was sent where it cannot be read: a store that is away for a while ends no stream."""
        try:
            return await fragments.value()
        except ComplyqError as error:
            log.debug("dashboard_not_refreshed", error=redact(str(error)))
            return sent

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._closing.wait()


def event(name: str, data: Mapping[str, object]) -> bytes:
    """Write a server-sent event; JSON holds no line break, so it is one line of data."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
