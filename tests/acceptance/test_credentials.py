"""After a run in which everything goes wrong no credential lies anywhere, whatever is logged.

Real workers at debug level and a real Redis, whose every command is written down, in both contracts. Looked through are
log lines, Redis keys and values, broker messages, events, stored objects, spooled and temporary files, and command
lines. What the credentials are the simulator says, which handed them out.
"""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import redis

from complyq_producer.model import BatchState
from complyq_workers.sealing import Sealer
from support.credential_search import CredentialSearch, files_under, monitored, redis_contents
from support.real_workers import Installation, installation, kill_group, wait_for_end, wait_until
from support.redis_server import running_redis_server
from support.s3_server import S3Server
from support.simulator_process import Simulator, running_simulator

POSTS = range(10**18, 10**18 + 400_000)
"""Eight megabytes."""
USERS = range(1, 20_000)
ELSEWHERE = "https://storage.googleapis.com.evil.example"
WINDOW_SECONDS = 16 * 60
SECRETS = {name: secrets.token_urlsafe(48) for name in ("token", "api_key", "api_secret", "seal_key", "redis", "proxy")}
AWS_SECRETS = {name: secrets.token_urlsafe(48) for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")}

CLOUD_FAULTS: list[dict[str, object]] = [
    {"on": "create", "fault": "lost_answer"},
    {"on": "list", "fault": "status", "status": 401},
    {"on": "session", "fault": "status", "status": 503},
    {"on": "session", "fault": "redirect", "location": f"{ELSEWHERE}/o?X-Goog-Signature=lured"},
    {"on": "upload", "fault": "disconnect", "after_bytes": 300_000},
    {"on": "query", "fault": "status", "status": 503, "times": 2},
    {"on": "upload", "fault": "status", "status": 500, "after_bytes": 300_000},
    {"on": "query", "fault": "dead_session", "skip": 1},
    {"on": "upload", "fault": "stall", "after_bytes": 3_000_000},
]
"""Up to the kill of the first worker."""
DIRECT_FAULTS: list[dict[str, object]] = [
    {"on": "token", "fault": "status", "status": 503},
    {"on": "create", "fault": "lost_answer", "skip": 1},
    {"on": "upload", "fault": "disconnect", "after_bytes": 300_000},
    {"on": "get", "fault": "status", "status": 401},
    {"on": "upload", "fault": "status", "status": 500, "after_bytes": 300_000},
    {"on": "upload", "fault": "stall", "after_bytes": 3_000_000},
]
LATER_FAULTS: list[dict[str, object]] = [
    {"on": "list", "fault": "redirect", "location": f"{ELSEWHERE}/jobs?token=lured"},
    {"on": "get", "fault": "redirect", "location": f"{ELSEWHERE}/jobs?token=lured"},
    {"on": "get", "fault": "rate_limit", "seconds": 1},
    {"on": "get", "fault": "status", "status": 500},
    {"on": "get", "fault": "foreign_url", "origin": ELSEWHERE},
    {"on": "download", "fault": "redirect", "location": f"{ELSEWHERE}/o?X-Goog-Signature=lured"},
    {"on": "download", "fault": "disconnect", "after_bytes": 50_000},
    {"on": "download", "fault": "truncate"},
    {"on": "download", "fault": "status", "status": 503},
]


@dataclass
class Run:
    """An installation and all around it."""

    running: Installation
    simulator: Simulator
    redis_url: str
    folder: Path

    def search(self) -> CredentialSearch:
        """Know all credentials of the run so far."""
        return CredentialSearch([*SECRETS.values(), *AWS_SECRETS.values(), *self.simulator.credentials()])

    def events(self) -> list[Any]:
        """The results queue."""
        with redis.Redis.from_url(self.redis_url) as client:
            return [json.loads(fields[b"event"]) for _, fields in client.xrange("complyq.events")]

    def arm(self, faults: list[dict[str, object]]) -> None:
        """Arm faults, once each where they do not say otherwise."""
        for fault in faults:
            self.simulator.arm(fault)


@contextmanager
def run_of(folder: Path, contract: str, settings: dict[str, str]) -> Iterator[Run]:
    """Start a simulator, a Redis with a password, and lay out an installation that logs all it can."""
    (folder / "tmp").mkdir()
    keys = {name: SECRETS[name] for name in ("token", "api_key", "api_secret")}
    with (
        running_redis_server() as server,
        running_simulator(contract=contract, processing_seconds=0.3, rate_limit=100_000, **keys) as simulator,
    ):
        url = with_password(server.url)
        everything = {
            "COMPLYQ_LOG_LEVEL": "DEBUG",
            "COMPLYQ_SEAL_KEY": SECRETS["seal_key"],
            "COMPLYQ_PROXY_URL": f"http://user:{SECRETS['proxy']}@127.0.0.1:9",
            "TMPDIR": str(folder / "tmp"),
            **settings,
        }
        with monitored(url, folder / "redis.log"), installation(folder, url, simulator, everything) as running:
            yield Run(running, simulator, url, folder)


def with_password(redis_url: str) -> str:
    """Give a Redis a password, and return the URL that holds it."""
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("requirepass", SECRETS["redis"])
    return redis_url.replace("redis://", f"redis://:{SECRETS['redis']}@")


def fail_in_every_way(run: Run, faults: list[dict[str, object]], creates: int) -> None:
    """Two batches through all faults, with a worker killed in mid-upload; what lies about then is searched, too.

    Args:
        run: The installation.
        faults: What strikes until the kill.
        creates: How many requests it takes to create a job.
    """
    run.arm(faults)
    worker = run.running.start_worker()
    producer = run.running.producer()
    posts = producer.enqueue(POSTS, "tweets", key="archive")
    wait_until(lambda: run.simulator.armed() == [], 90)
    assert command_lines(run, worker.pid) == set()
    kill_group(worker)
    assert run.search().leaks(redis_contents(run.redis_url)) == set()
    run.arm(LATER_FAULTS)
    run.running.start_worker()
    run.simulator.arm({"on": "create", "fault": "foreign_url", "origin": ELSEWHERE, "times": creates})
    users = producer.enqueue(USERS, "users")
    wait_until(lambda: "evil.example" in run.running.log() and "upload_abandoned" in run.running.log())
    run.simulator.advance_clock(WINDOW_SECONDS)
    for batch in (posts, users):
        assert wait_for_end(producer, batch.id, 120).state is BatchState.COMPLETED
    wait_until(lambda: sum(event["type"].endswith("completed.v1") for event in run.events()) == 2)
    assert run.simulator.armed() == []


def command_lines(run: Run, pid: int) -> set[str]:
    """What the command lines of a worker's processes reveal."""
    process = psutil.Process(pid)
    processes = [process, *process.children(recursive=True)]
    assert len(processes) > 4
    return run.search().leaks((f"process {each.pid}", " ".join(each.cmdline()).encode()) for each in processes)


def assert_thorough(run: Run) -> None:
    """The search would have found something: all is there to be searched, at its most talkative."""
    log = run.running.log()
    assert all(json.loads(line)["event"] for line in log.splitlines() if line.startswith("{"))
    assert '"level": "debug"' in log
    assert "/upload?***" in log or "/submission/" in log
    assert '"exception": "Traceback' in log
    assert "lured" not in log
    assert b"complyq.upload_job" in (run.folder / "redis.log").read_bytes()
    assert {event["type"] for event in run.events()} == {"complyq.batch.results.v1", "complyq.batch.completed.v1"}


@pytest.mark.redis_broker  # which shows all that it is told
@pytest.mark.timeout(300)
def test_cloud_storage_leaves_no_credential(tmp_path: Path) -> None:
    """Bearer, signed URLs and session URIs: in no log line, Redis value, event, file or command line."""
    with run_of(tmp_path, "cloud-storage", {}) as run:
        fail_in_every_way(run, CLOUD_FAULTS, creates=1)
        search = run.search()
        assert search.leaks(redis_contents(run.redis_url)) == set()
        run.running.stop()
        assert search.leaks(files_under(tmp_path)) == set()
        assert_thorough(run)
        sealed = json.loads((tmp_path / "store/jobs/tweets/00000001/session-000.json").read_bytes())["sealed_uri"]
        opened = Sealer(SECRETS["seal_key"]).unseal(sealed)
        assert search.leaks([("unsealed", opened.encode())]) != set()


@pytest.mark.redis_broker  # which shows all that it is told
@pytest.mark.timeout(300)
def test_the_direct_contract_leaves_no_credential(tmp_path: Path, s3_server: S3Server) -> None:
    """The same with a key and a secret exchanged for the bearer, tokens in URLs, and everything in S3."""
    settings = {
        **s3_server.environment,
        **AWS_SECRETS,
        "COMPLYQ_STORE_URL": f"s3://{s3_server.bucket}/credentials-{time.monotonic_ns()}",
        "COMPLYQ_BEARER_TOKEN": "",
        "COMPLYQ_API_KEY": SECRETS["api_key"],
        "COMPLYQ_API_SECRET": SECRETS["api_secret"],
    }
    with run_of(tmp_path, "direct", settings) as run, pytest.MonkeyPatch.context() as patch:
        for name, value in run.running.environment.items():
            patch.setenv(name, value)
        fail_in_every_way(run, DIRECT_FAULTS, creates=2)
        search = run.search()
        assert search.leaks(redis_contents(run.redis_url)) == set()
        run.running.stop()
        assert search.leaks(files_under(tmp_path)) == set()
        assert search.leaks(objects_of(settings["COMPLYQ_STORE_URL"])) == set()
        assert_thorough(run)


def objects_of(store_url: str) -> Iterator[tuple[str, bytes]]:
    """Give the keys and contents of all objects of a store in S3."""
    bucket, _, prefix = store_url.removeprefix("s3://").partition("/")
    objects = list(boto3.resource("s3").Bucket(bucket).objects.filter(Prefix=prefix))
    assert len(objects) > 20
    for item in objects:
        yield f"name of {item.key}", item.key.encode()
        yield item.key, item.get()["Body"].read()
