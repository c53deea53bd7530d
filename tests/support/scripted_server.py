"""A real HTTP server on loopback whose answers a test scripts, down to cutting the connection in the middle."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

_PHRASES = {200: "OK", 201: "Created", 206: "Partial Content", 302: "Found", 308: "Resume Incomplete"}


class Exchange:
    """One request and the way to answer it; the connection ends with it."""

    def __init__(self, connection: socket.socket, stream: BinaryIO, method: str, target: str) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers: dict[str, str] = {}
        self._connection = connection
        self._stream = stream
        self._left = 0

    def read_head(self) -> None:
        """Read the headers, their names in lower case."""
        while line := self._stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            self.headers[name.lower()] = value.strip()
        self._left = int(self.headers.get("content-length", "0"))

    def read(self, size: int = -1) -> bytes:
        """Read the body, or at most `size` bytes of it."""
        block = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(block)
        return block

    def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Read what is left of the body and answer, by default with the answer's length."""
        self.read()
        self.answer_early(status, headers, body)

    def answer_early(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Answer without reading the body."""
        fields = {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
        head = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Status')}"]
        head += [f"{name}: {value}" for name, value in fields.items() if value]
        self.send_raw("\r\n".join([*head, "", ""]).encode() + body)

    def send_raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._connection.sendall(data)

    def cut(self) -> None:
        """Reset the connection, as a network that fails does."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Script = Callable[[Exchange], None]


class ScriptedServer:
    """Keeps what was asked, and answers as the script says."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self.script = script
        self._context = context
        self.seen: list[Exchange] = []
        self.failures: list[BaseException] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def settle(self) -> None:
        """Wait until every connection so far is closed."""
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Stop, and close every socket."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self.settle()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with self._secured(connection) as secured, secured.makefile("rb") as stream:
                self._exchange(secured, stream)
        except OSError:
            return  # the client went away, as some tests want it to
        except BaseException as error:  # noqa: BLE001 -- shown by the test, whatever it is
            self.failures.append(error)

    def _secured(self, connection: socket.socket) -> socket.socket:
        """Shake hands where the server speaks TLS; a failed handshake closes the connection."""
        if self._context is None:
            return connection
        with connection:
            return self._context.wrap_socket(connection, server_side=True)

    def _exchange(self, connection: socket.socket, stream: BinaryIO) -> None:
        words = stream.readline().decode("latin-1").split()
        if len(words) == 3:
            exchange = Exchange(connection, stream, words[0], words[1])
            exchange.read_head()
            self.seen.append(exchange)
            self.script(exchange)


@contextmanager
def scripted_server(script: Script, context: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server for the length of a block; a script that raised fails it."""
    server = ScriptedServer(script, context)
    try:
        yield server
    finally:
        server.close()
    assert not server.failures, server.failures


def in_turn(*scripts: Script) -> Script:
    """Answer each request with the next script, the last one over and over."""
    waiting = list(scripts)

    def answer(exchange: Exchange) -> None:
        script = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        script(exchange)

    return answer


def answering(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Script:
    """Answer every request alike."""
    return lambda exchange: exchange.answer(status, headers, body)
