"""A real S3 server over the wire, as a process of its own on a free loopback port."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_START_SECONDS = 60
_BUCKET = "complyq-tests"


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where the server listens; `environment` is what a process needs to reach it, `bucket` exists."""

    endpoint: str
    bucket: str
    environment: dict[str, str]


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server that keeps its data in `folder`, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=_server_environment(port, folder),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        server = S3Server(f"http://127.0.0.1:{port}", _BUCKET, client_environment(port))
        _make_bucket(server, process, folder / "s3.log")
        yield server
    finally:
        end(process)


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _server_environment(port: int, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "SERVICES": "s3",
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "objects"),
        "STATE_DIR": str(folder / "state"),
    }


def client_environment(port: int) -> dict[str, str]:
    """Return what a process needs to reach an AWS server on this port, and nothing of the machine's own AWS settings."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def _make_bucket(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id="tests",
        aws_secret_access_key="tests",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10, proxies={}),
    )
    deadline = time.monotonic() + _START_SECONDS
    with closing(client):
        while True:
            try:
                client.create_bucket(Bucket=server.bucket)
                return
            except (BotoCoreError, ClientError) as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the S3 server did not start: {log.read_text()[-2000:]}") from error
            time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a server that has a process group of its own."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
