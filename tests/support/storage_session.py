"""One resumable upload at a storage, with the faults that networks and servers have."""

import base64
import hashlib
from collections.abc import Callable

import google_crc32c

from support.scripted_server import Exchange

CHUNK_UNIT = 256 * 1024
Fault = Callable[["StorageSession", Exchange, int], None]


class StorageSession:
    """Answers like Cloud Storage. Each PUT with bytes first meets the next fault, if one is left."""

    def __init__(self, total: int, *faults: Fault) -> None:
        self.total = total
        self.stored = bytearray()
        self.finished = False
        self.gone = 0
        self.faults = list(faults)
        self.ranges: list[str] = []

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        if exchange.method == "POST":
            return exchange.answer(201, {"Location": f"http://{exchange.headers['host']}/b/o?upload_id=ADPsession"})
        content_range = exchange.headers["content-range"]
        self.ranges.append(content_range)
        if self.gone:
            return exchange.answer_early(self.gone)
        if content_range.startswith("bytes */"):
            return self.tell(exchange)
        first = int(content_range.removeprefix("bytes ").partition("-")[0])
        fault = self.faults.pop(0) if self.faults else take_all
        return fault(self, exchange, first)

    def keep(self, first: int, data: bytes) -> None:
        """Persist bytes at their place; a real storage refuses a gap."""
        assert first <= len(self.stored), "a gap was sent"
        self.stored[first:] = data

    def tell(self, exchange: Exchange) -> None:
        """Say how much is there, or that it is all there."""
        if len(self.stored) == self.total:
            self.finished = True
            exchange.answer(200, {"x-goog-hash": self.hashes(), "x-goog-stored-content-length": str(self.total)})
        else:
            exchange.answer(308, {"Range": f"bytes=0-{len(self.stored) - 1}"} if self.stored else {})

    def hashes(self) -> str:
        """Give the checksums of what is there."""
        crc32c = google_crc32c.value(bytes(self.stored)).to_bytes(4, "big")
        md5 = hashlib.md5(self.stored, usedforsecurity=False).digest()
        return f"crc32c={base64.b64encode(crc32c).decode()},md5={base64.b64encode(md5).decode()}"


def take_all(session: StorageSession, exchange: Exchange, first: int) -> None:
    """Keep all of a request, as it should be."""
    session.keep(first, exchange.read())
    session.tell(exchange)


def take_part_and_tell(keep: int) -> Fault:
    """Read everything, but persist only `keep` bytes of it."""

    def fault(session: StorageSession, exchange: Exchange, first: int) -> None:
        session.keep(first, exchange.read()[:keep])
        session.tell(exchange)

    return fault


def cut_after(read: int, keep: int) -> Fault:
    """Reset the connection after `read` bytes, of which `keep` were persisted."""

    def fault(session: StorageSession, exchange: Exchange, first: int) -> None:
        session.keep(first, exchange.read(read)[:keep])
        exchange.cut()

    return fault


def answer_lost(session: StorageSession, exchange: Exchange, first: int) -> None:
    """Persist everything, and lose the answer."""
    session.keep(first, exchange.read())
    exchange.cut()


def refuse(status: int) -> Fault:
    """Answer with a status after reading everything, and persist nothing."""
    return lambda _session, exchange, _first: exchange.answer(status)


def die_early(status: int) -> Fault:
    """End the session and say so after few bytes, while the client still sends."""

    def fault(session: StorageSession, exchange: Exchange, first: int) -> None:
        exchange.read(1000)
        session.gone = status
        exchange.answer_early(status)

    return fault


def tell_range(value: str) -> Fault:
    """Read everything, persist nothing, and claim this Range."""
    return lambda _session, exchange, _first: exchange.answer(308, {"Range": value})
