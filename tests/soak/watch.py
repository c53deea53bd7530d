"""Looks on at the results queue, past the bad network: which batches have ended, and which are parked."""

import json
import threading
from contextlib import suppress
from typing import Self

import redis

from soak.evidence import ENDS
from support.redis_server import RedisServer

_LOOK_SECONDS = 0.3


class Watch:
    """A thread that reads the stream; its sets and counts may be read by others at any time."""

    def __init__(self, server: RedisServer, stream: str) -> None:
        self.ended: set[str] = set()
        self.parked: dict[str, str] = {}
        """Batches by the ids of the events that say so."""
        self.ids: set[str] = set()
        self._stream = stream
        self._client = redis.Redis.from_url(server.url, socket_timeout=5)
        self._last = b"0"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def bodies(self) -> list[bytes]:
        """Return all events on the queue, in order."""
        return [fields[b"event"] for _, fields in self._client.xrange(self._stream)]  # type: ignore[union-attr]

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            with suppress(redis.RedisError):
                self._look()

    def _look(self) -> None:
        for entry, fields in self._client.xrange(self._stream, min=b"(" + self._last if self._last != b"0" else b"-"):  # type: ignore[union-attr]
            self._last = entry
            self._note(json.loads(fields[b"event"]))

    def _note(self, event: dict[str, str]) -> None:
        kind = event["type"].split(".")[2]
        self.ids.add(event["id"])
        if kind in ENDS:
            self.ended.add(event["subject"])
        elif kind != "results":
            self.parked[event["id"]] = event["subject"]
