"""A proxy before an S3 server, through which a soak makes it answer 503, slowly, or act without answering."""

import http.client
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length", "date", "server"}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Weather:
    """How the server is just now: shares from 0 to 1, seconds for each request."""

    busy: float = 0.0
    """Share of requests that are answered 503 and do nothing."""
    mute: float = 0.0
    """Share of requests that do what they should, and whose connection is reset instead of an answer."""
    seconds: float = 0.0
    struck: int = 0
    _dice: random.Random = field(default_factory=random.Random)

    def calm(self) -> None:
        """Be a good server again."""
        self.busy = self.mute = self.seconds = 0.0

    def hits(self, share: float) -> bool:
        """Decide for one request."""
        hit = self._dice.random() < share
        self.struck += hit
        return hit


@contextmanager
def running_s3_proxy(endpoint: str, weather: Weather) -> Iterator[str]:
    """Run a proxy for the length of a block; yields its endpoint."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.upstream, server.weather = urlsplit(endpoint).netloc, weather
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    upstream: str
    weather: Weather
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients are killed, and the server may be gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        """All methods are forwarded alike: `do_GET`, `do_PUT` and so on."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self._forward

    def _forward(self) -> None:
        weather = self.server.weather
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        time.sleep(weather.seconds)
        if weather.hits(weather.busy):
            self._answer(503, {"Content-Type": "application/xml"}, b"" if self.command == "HEAD" else _BUSY)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        self._upstream.request(self.command, self.path, body, headers)
        answer = self._upstream.getresponse()
        content = answer.read()
        if weather.hits(weather.mute):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close_connection = True
            return
        fields = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
        self._answer(answer.status, fields, content, answer.getheader("Content-Length"))

    def _answer(self, status: int, fields: dict[str, str], content: bytes, length: str | None = None) -> None:
        self.send_response_only(status)
        for name, value in fields.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(content)))
        self.end_headers()
        self.wfile.write(content)
