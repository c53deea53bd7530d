"""A RabbitMQ of our own, from the system's package: a private node that shares nothing with an installed one."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from kombu import Connection

_START_SECONDS = 120
# Debian's /usr/sbin/rabbitmq-server turns root into the user rabbitmq and wants the folders of the installed node.
_FOLDERS = ("/usr/lib/rabbitmq/bin", "/usr/local/opt/rabbitmq/sbin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/sbin")
_CONFIGURATION = """
loopback_users.guest = true
log.file.level = warning
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 1MB
"""


def program(name: str) -> str | None:
    """Return the path of a program of RabbitMQ, or None where it is not installed."""
    found = (Path(folder, name) for folder in _FOLDERS if Path(folder, name).exists())
    return next(map(str, found), None) or shutil.which(name)


@dataclass(slots=True)
class RabbitServer:
    """A node on the loopback interface, which may be killed and started again on the same port with what it kept.

    Attributes:
        folder: where it keeps everything, its cookie too.
        port: where it listens for AMQP.
    """

    folder: Path
    port: int
    _ports: tuple[int, int] = field(default=(0, 0), repr=False)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    @property
    def url(self) -> str:
        """Where the node is: the user guest, the virtual host /."""
        return self.url_of("guest", "guest")

    def url_of(self, user: str, password: str, vhost: str = "/") -> str:
        """Return the URL for another user or virtual host."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def start(self) -> None:
        """Start the node, empty or with what its folder holds, and wait until it takes connections."""
        self._ports = (free_port(), free_port())
        epmd = shutil.which("epmd") or "epmd"
        self._run([epmd, "-port", str(self._ports[0]), "-address", "127.0.0.1"])
        node = self._run([program("rabbitmq-server") or "rabbitmq-server"])
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if node.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"RabbitMQ did not start: {(self.folder / 'out.log').read_text()[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the node. What it confirmed is kept."""
        while self._processes:
            process = self._processes.pop()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl, which takes seconds, and return what it prints."""
        command = [program("rabbitmqctl") or "rabbitmqctl", "--quiet", *arguments]
        return subprocess.run(command, env=self._environment(), check=True, capture_output=True, text=True).stdout

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "out.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        names, distribution = map(str, self._ports)
        return mine | {
            "HOME": str(self.folder),  # where Erlang's cookie is
            "ERL_EPMD_PORT": names,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "complyq-tests@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": distribution,
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",  # one core, and none of it while it waits
        }

    def _answers(self) -> bool:
        with Connection(self.url, connect_timeout=2) as connection:
            try:
                connection.connect()
            except (*connection.connection_errors, *connection.channel_errors):
                return False
            return True


@contextmanager
def running_rabbitmq_server(folder: Path) -> Iterator[RabbitServer]:
    """Run a node that keeps its data in `folder` until the block ends; skip the test where there is no RabbitMQ."""
    if program("rabbitmq-server") is None or shutil.which("epmd") is None:
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rabbitmq.conf").write_text(_CONFIGURATION)
    (folder / "plugins").write_text("[].")
    server = RabbitServer(folder, free_port())
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """A node for the whole session, shared: use names of your own."""
    with running_rabbitmq_server(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
