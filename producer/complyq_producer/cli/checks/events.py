"""Looks at the results queue."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis

from complyq_config.redaction import redact
from complyq_producer.cli.checks.finding import Finding, failed, ok, warning
from complyq_producer.listening import StreamAddress
from complyq_producer.live import connect_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_config.settings import Settings

MEND = "Start it, or correct COMPLYQ_EVENTS_URL."
_STREAM_TYPES = {b"stream", b"none"}


def check_events(settings: Settings) -> Iterator[Finding]:
    """Look whether the results queue can be reached and is what we take it for."""
    url = settings.effective_events_url.get_secret_value()
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        mend = "`complyq listen` shows whether events come."
        yield warning("Results queue", redact(f"{url} is not looked at: only Redis streams are"), mend)
        return
    address = StreamAddress.parse(url)
    yield _stream(address.url, address.stream)


def _stream(url: str, stream: str) -> Finding:
    where = redact(f"stream {stream} at {url}")
    try:
        with closing(connect_redis(url)) as client:
            kind: Any = client.type(stream)
            length: Any = client.xlen(stream) if kind == b"stream" else 0
    except (redis.RedisError, OSError, ValueError) as error:
        return failed("Results queue", redact(f"{where}: {error}"), MEND)
    if kind not in _STREAM_TYPES:
        found = f"{where} is a {kind.decode()}, no stream"
        return failed("Results queue", found, "Name another stream in COMPLYQ_EVENTS_URL (?stream=complyq.events).")
    return ok("Results queue", f"{where}, {length:,} events")
