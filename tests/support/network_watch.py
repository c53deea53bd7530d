"""Sees every host that this process looks up or connects to, whichever library does it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_watching: list[set[tuple[str, int]]] = []


@contextmanager
def watched_network() -> Iterator[set[tuple[str, int]]]:
    """Collect the hosts and ports that are looked up or connected to within the block."""
    seen: set[tuple[str, int]] = set()
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)


def addresses(*urls: str) -> set[tuple[str, int]]:
    """Give the hosts and ports of URLs."""
    return {(parts.hostname or "", parts.port or 0) for parts in map(urlsplit, urls)}


def _note(event: str, args: tuple[object, ...]) -> None:
    if not _watching:
        return
    address = {"socket.getaddrinfo": args[:2], "socket.connect": args[1:2] and args[1]}.get(event)
    if isinstance(address, tuple) and len(address) >= 2:
        for seen in _watching:
            seen.add((str(address[0]), int(str(address[1] or 0))))


sys.addaudithook(_note)  # for the life of the process: Python takes none away
