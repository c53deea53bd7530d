"""The simulated X and the S3 server of a run, each a process of its own that no competitor pays for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from complyq_producer.embedded.processes import ChildProcess, child_process
from complyq_producer.embedded.redis_server import free_port
from racing.inputs import SEED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from racing.inputs import Input

TOKEN = "simulated"  # noqa: S105 - opens nothing but the simulator
_BUCKET = "complyq-bench"
_BENCHMARKS = Path(__file__).parent.parent
_MANY_REQUESTS = 1_000_000


@dataclass(frozen=True, slots=True)
class SimulatedX:
    """Where it listens, and which process it is."""

    api_url: str
    storage_url: str
    pid: int


@dataclass(frozen=True, slots=True)
class Store:
    """Where results go, and what the environment of a process must hold to reach it."""

    url: str
    environment: dict[str, str]


@contextmanager
def simulated_x(folder: Path, questions: Sequence[Input], rate: float) -> Iterator[SimulatedX]:
    """Run an X that completes each job at once: it knows the answers to these IDs, see `racing.prepared_x`."""
    temporary = folder / "x"
    temporary.mkdir()
    options = {"port": 0, "token": TOKEN, "processing-seconds": 0, "flagged-rate": rate, "seed": SEED}
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "racing.prepared_x", str(_prepared(questions, rate)), *flags]
    command.append(f"--rate-limit={_MANY_REQUESTS}")
    with child_process(command, ours() | {"TMPDIR": str(temporary)}, folder / "x.log") as child:
        child.wait_ready(lambda: bool(announced(child)))
        yield SimulatedX(**announced(child), pid=child.pid)


def _prepared(questions: Sequence[Input], rate: float) -> Path:
    """Have the answers worked out, once; in a process of its own, since that takes much memory."""
    first = questions[0].path
    description = first.with_name(f"{first.stem}-{rate:g}.json")
    if not description.exists():
        files = [(str(given.path), ",".join(map(str, given.upload_sizes()))) for given in questions]
        arguments = ["prepare", str(description), str(rate), *(text for file in files for text in file)]
        subprocess.run([sys.executable, "-m", "racing.prepared_x", *arguments], env=ours(), check=True)  # noqa: S603 - ours
    return description


def ours() -> dict[str, str]:
    """Return an environment without settings of Complyq, in which these modules are found."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("COMPLYQ_")}
    return theirs | {"PYTHONPATH": str(_BENCHMARKS), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def directory(folder: Path) -> Store:
    """Use a folder as the store."""
    return Store((folder / "store").as_uri(), {})


@contextmanager
def s3_server(folder: Path) -> Iterator[Store]:
    """Run an S3 server on this machine, with a bucket."""
    port = free_port()
    with child_process(
        [sys.executable, "-m", "ministack"], _server_environment(port, folder), folder / "s3.log"
    ) as child:
        environment = _client_environment(port)
        child.wait_ready(lambda: _has_bucket(environment))
        yield Store(f"s3://{_BUCKET}/bench", environment)


def announced(child: ChildProcess) -> dict[str, str]:
    """Return where a simulator listens; nothing as long as it has not said so."""
    for line in child.log_path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            return dict(json.loads(line))
    return {}


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


def _client_environment(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _has_bucket(environment: dict[str, str]) -> bool:
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10, proxies={}),
    )
    try:
        client.create_bucket(Bucket=_BUCKET)
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True
