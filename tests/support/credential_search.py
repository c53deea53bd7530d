"""Looks for credentials wherever a system may have left them, in clear, in part, encoded or compressed."""

import base64
import gzip
import re
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import redis

_FRAGMENT = 16
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
_DEEPEST = 3

Places = Iterable[tuple[str, bytes]]
"""Where something was found, and what."""


class CredentialSearch:
    """Knows credentials, and the ways in which they may be written."""

    def __init__(self, credentials: Iterable[str]) -> None:
        self._owners: dict[bytes, str] = {}
        for credential in credentials:
            self._owners |= dict.fromkeys(_spellings(credential), credential)

    def leaks(self, places: Places) -> set[str]:
        """Name the places that hold a credential, or 31 characters of one, and what they hold."""
        return {
            f"{place}: {self._owners[spelling]}"
            for place, data in places
            for layer in _layers(data)
            for spelling in self._owners
            if spelling in layer
        }


def files_under(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Give the names and contents of all files below a folder."""
    for path in folder.rglob("*"):
        yield f"name of {path}", str(path.relative_to(folder)).encode()
        if path.is_file():
            yield str(path), path.read_bytes()


def redis_contents(url: str) -> Iterator[tuple[str, bytes]]:
    """Give the names and values of all keys of a database, whatever their type."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(count=1000):
            name = key.decode(errors="replace")
            yield f"name of {name}", key
            for value in _values(client, key):
                yield name, value


@contextmanager
def monitored(url: str, into: Path) -> Iterator[None]:
    """Write down every command that a Redis is sent, with its arguments."""
    parts = urlsplit(url)
    with closing(socket.create_connection((parts.hostname, parts.port))) as connection:
        connection.sendall(f"AUTH {parts.password}\r\nMONITOR\r\n".encode())
        assert connection.recv(10).startswith(b"+OK")
        thread = threading.Thread(target=_copy, args=(connection, into))
        thread.start()
        try:
            yield
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            thread.join()


def _copy(connection: socket.socket, into: Path) -> None:
    with into.open("wb") as file, suppress(OSError):
        while data := connection.recv(1 << 16):
            file.write(data)


def _values(client: Any, key: bytes) -> Iterator[bytes]:
    """What a key holds. The client is untyped: its stubs know text keys only."""
    kind = client.type(key)
    readers: dict[bytes, Callable[[], Iterable[bytes | None]]] = {
        b"string": lambda: [client.get(key)],
        b"list": lambda: client.lrange(key, 0, -1),
        b"hash": lambda: [part for pair in client.hgetall(key).items() for part in pair],
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"stream": lambda: [part for _, fields in client.xrange(key) for pair in fields.items() for part in pair],
        b"none": list,
    }
    yield from (value for value in readers[kind]() if value is not None)


def _spellings(credential: str) -> Iterator[bytes]:
    """Pieces of 16 characters, so that also a part is found; and the whole as URLs and other layers write it."""
    plain = credential.encode()
    for start in range(0, max(len(plain) - _FRAGMENT, 0) + 1, _FRAGMENT):
        yield plain[start : start + _FRAGMENT]
    yield from {quote(credential, safe="").encode(), plain.hex().encode()}
    for shift in range(3):
        # The first and last characters of base64 depend on what stands around.
        encoded = base64.b64encode(bytes(shift) + plain)[(0, 2, 3)[shift] : -4]
        yield from {encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))}


def _layers(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """The data, and what comes out where it is compressed or encoded."""
    yield data
    if depth == _DEEPEST:
        return
    if data.startswith(b"\x1f\x8b"):
        with suppress(OSError, EOFError, zlib.error):
            yield from _layers(gzip.decompress(data), depth + 1)
    for run in set(_BASE64_RUN.findall(data)) if len(data) < 1 << 20 else ():
        with suppress(ValueError):
            decoded = base64.b64decode(
                run + b"=" * (-len(run) % 4), altchars=b"-_" if b"-" in run or b"_" in run else None
            )
            yield from _layers(decoded, depth + 1) if decoded.startswith((b"\x1f\x8b", b"{", b"[")) else [decoded]
