"""A TCP proxy between a client and a real server, through which a test makes the network fail.

It knows no protocol. A request is what a client sends between two replies; both Redis and HTTP clients take turns.
All controls may be used from any thread, and have taken effect when they return.
"""

import asyncio
import socket
import struct
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")

_HOST = "127.0.0.1"
_BLOCK_BYTES = 64 << 10
_INTERIM = b"HTTP/1.1 100"  # says that a request may go on; it is no reply
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class _Fault:
    marker: bytes
    after_forwarding: bool


@dataclass(slots=True)
class _Network:
    """What is wrong with the network just now."""

    delay: float = 0.0
    faults: list[_Fault] = field(default_factory=list)

    def strike(self, request: bytes) -> _Fault | None:
        """Take the first fault that these bytes of a request meet."""
        fault = next((fault for fault in self.faults if fault.marker in request), None)
        if fault is not None:
            self.faults.remove(fault)
        return fault


class TcpProxy:
    """Listens on a free loopback port and forwards every connection to one server.

    Attributes:
        port: where it listens, the same from `start` on; 0 before.
    """

    def __init__(self, host: str, port: int) -> None:
        """Prepare a proxy before the server at `host` and `port`; nothing listens yet."""
        self.port = 0
        self._upstream = (host, port)
        self._network = _Network()
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)

    @classmethod
    def before(cls, url: str) -> Self:
        """Prepare a proxy before the server of a URL that names host and port."""
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"{url!r} does not name a host and a port")
        return cls(parts.hostname, parts.port)

    def url(self, original: str) -> str:
        """Return a URL of the server with the proxy's host and port in it; user, path and query stay."""
        parts = urlsplit(original)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}{_HOST}:{self.port}"))

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._await(self._listen())

    def stop(self) -> None:
        """Stop listening and reset all connections. A stopped proxy cannot be started again."""
        self.refuse(True)
        self._await(_settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lose_next_reply(self, marker: bytes = b"", *, times: int = 1) -> None:
        """Forward the next request, let the server act on it, then reset the connection instead of replying.

        Args:
            marker: only a request that contains these bytes counts (a Redis command, an HTTP method and path).
            times: so many requests meet with this, one after another.
        """
        self._arm(_Fault(marker, after_forwarding=True), times)

    def lose_next_request(self, marker: bytes = b"", *, times: int = 1) -> None:
        """Reset the connection when the next request comes; the server never sees it. See `lose_next_reply`."""
        self._arm(_Fault(marker, after_forwarding=False), times)

    def faults_left(self) -> int:
        """Return how many lost replies and requests are still to come."""
        return self._do(lambda: len(self._network.faults))

    def forget_faults(self) -> None:
        """Lose no more replies and requests."""
        self._do(self._network.faults.clear)

    def delay(self, seconds: float) -> None:
        """Hold each reply back for so long before its first byte; 0 ends it."""
        self._do(lambda: setattr(self._network, "delay", seconds))

    def refuse(self, refused: bool) -> None:  # noqa: FBT001 - a switch
        """Refuse new connections and reset the present ones, or listen again on the same port."""
        if refused:
            self._do(self._close_server)
            self.reset_connections()
        elif self._server is None:
            self._await(self._listen())

    def reset_connections(self) -> int:
        """Reset all connections now, on both sides; return how many there were. New ones are accepted."""
        return self._do(self._reset_all)

    def _arm(self, fault: _Fault, times: int) -> None:
        self._do(lambda: self._network.faults.extend([fault] * times))

    def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _do(self, action: Callable[[], T]) -> T:
        async def act() -> T:
            done = action()
            await asyncio.sleep(0)  # transports close when the loop goes round
            return done

        return self._await(act())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, _HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _close_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _reset_all(self) -> int:
        for connection in self._connections:
            connection.reset()
        return len(self._connections)

    async def _accept(self, requests: StreamReader, client: StreamWriter) -> None:
        connection = _Connection(self._network, client)
        self._connections.add(connection)
        try:
            if self._server is not None:  # else it came just before new ones were refused
                await connection.serve(requests, self._upstream)
        except OSError:
            pass  # a side went away, as tests want it to
        finally:
            connection.reset()
            self._connections.remove(connection)


class _Connection:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, network: _Network, client: StreamWriter) -> None:
        self._network = network
        self._writers = [client]
        self._reply_is_due = False
        self._loses_reply = False

    async def serve(self, requests: StreamReader, upstream: tuple[str, int]) -> None:
        """Forward both ways until one side ends; OSError where a fault ends it."""
        replies, server = await asyncio.open_connection(*upstream)
        [client] = self._writers
        self._writers.append(server)
        ways = [
            asyncio.ensure_future(self._forward_requests(requests, server)),
            asyncio.ensure_future(self._forward_replies(replies, client)),
        ]
        ended, others = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in others:
            way.cancel()
        await asyncio.wait(ways)
        for way in ended:
            way.result()
        await self._close()

    def reset(self) -> None:
        """Reset what is still open of both sides."""
        for writer in self._writers:
            if not writer.transport.is_closing():
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    async def _close(self) -> None:
        """End both sides in order: what was written still arrives."""
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def _forward_requests(self, requests: StreamReader, server: StreamWriter) -> None:
        while block := await requests.read(_BLOCK_BYTES):
            fault = self._network.strike(block)
            if fault is not None and not fault.after_forwarding:
                raise ConnectionResetError("the request is lost")
            self._reply_is_due = True
            self._loses_reply |= fault is not None
            server.write(block)
            await server.drain()

    async def _forward_replies(self, replies: StreamReader, client: StreamWriter) -> None:
        while block := await replies.read(_BLOCK_BYTES):
            interim, reply = _split(block)
            client.write(interim)
            if reply:
                await self._hold_back()
                client.write(reply)
            await client.drain()

    async def _hold_back(self) -> None:
        if self._loses_reply:
            raise ConnectionResetError("the reply is lost")
        if self._reply_is_due:
            self._reply_is_due = False
            await asyncio.sleep(self._network.delay)


def _split(block: bytes) -> tuple[bytes, bytes]:
    """Tell an interim answer at the beginning from what comes behind it."""
    if not block.startswith(_INTERIM):
        return b"", block
    head, end, reply = block.partition(b"\r\n\r\n")
    return head + end, reply


async def _settle() -> None:
    """Let all connections come to their end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def running_tcp_proxy(url: str) -> Iterator[TcpProxy]:
    """Run a proxy before the server of a URL for the length of a block."""
    proxy = TcpProxy.before(url)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
