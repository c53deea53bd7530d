"""Servers that speak the protocol of Amazon SQS, over the wire, as processes of their own on free loopback ports."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from support.s3_server import client_environment, end, free_port

_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class SqsServer:
    """Where the server listens; `environment` is what a process needs to reach it."""

    endpoint: str
    environment: dict[str, str]

    def client(self) -> Any:
        """Return a client of our own, without what may come between a publisher and the server."""
        return boto3.session.Session().client(
            "sqs",
            endpoint_url=self.endpoint,
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=30, proxies={}),
        )

    def make_queue(self, name: str, **attributes: str) -> str:
        """Make a queue, a FIFO one where its name says so, and return its URL."""
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        with closing(self.client()) as client:
            return str(client.create_queue(QueueName=name, Attributes={**fifo, **attributes})["QueueUrl"])


@contextmanager
def running_ministack(folder: Path) -> Iterator[SqsServer]:
    """Run ministack's SQS, which is as strict about contents and lengths as Amazon's."""
    port = free_port()
    state = {"STATE_DIR": str(folder / "state"), "SERVICES": "sqs", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    with _running([sys.executable, "-m", "ministack"], state, port, folder) as server:
        yield server


@contextmanager
def running_moto(folder: Path) -> Iterator[SqsServer]:
    """Run moto's SQS: another implementation, by other people."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, {}, port, folder) as server:
        yield server


@pytest.fixture(scope="session")
def ministack_sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsServer]:
    """A server for the whole session, shared: use queues of your own."""
    with running_ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsServer]:
    """A server for the whole session, shared: use queues of your own."""
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@contextmanager
def _running(command: list[str], environment: dict[str, str], port: int, folder: Path) -> Iterator[SqsServer]:
    with (folder / "out.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        server = SqsServer(f"http://127.0.0.1:{port}", client_environment(port))
        _await(server, process, folder / "out.log")
        yield server
    finally:
        end(process)


def _await(server: SqsServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with closing(server.client()) as client:
        while True:
            try:
                client.list_queues()
                return
            except (BotoCoreError, ClientError) as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the SQS server did not start: {log.read_text()[-2000:]}") from error
            time.sleep(0.1)
