"""The `aws` command, looking at what Complyq wrote to S3."""

import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from complyq_producer.store import open_store
from support.bytes_of_jobs import IDS, flagged_ids, ids_in
from support.inline_workers import inline_workers
from support.s3_server import S3Server
from support.simulator_process import running_simulator
from support.world import World

PREFIX = "compliance"
INLINE_MAX = 100


@dataclass(frozen=True, slots=True)
class Aws:
    """Runs `aws` as an operator does; everything it needs is in the environment."""

    bucket: str

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> bytes:
        """Return what a command prints; raises CalledProcessError where it fails."""
        command = [sys.executable, "-m", "awscli", *map(str, arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout

    def api(self, operation: str, **options: str) -> dict[str, Any]:
        """Return the answer to one call of the S3 API."""
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        answer: dict[str, Any] = json.loads(self("s3api", operation, "--bucket", self.bucket, "--output=json", *flags))
        return answer

    def keys(self) -> set[str]:
        """Return the keys below our prefix, without it."""
        listed = self("s3", "ls", "--recursive", f"s3://{self.bucket}/{PREFIX}/").decode()
        return {line.split()[-1].removeprefix(f"{PREFIX}/") for line in listed.splitlines()}


@pytest.fixture(scope="module")
def done(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Aws, dict[str, Any]]]:
    """A batch that was completed in S3, and its last event."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        for name, value in {**s3_server.environment, "AWS_PAGER": ""}.items():
            patch.setenv(name, value)
        aws = Aws(s3_server.bucket)
        aws("s3", "rm", "--recursive", f"s3://{aws.bucket}/{PREFIX}/")  # other modules' tests may come in between
        with _world(f"s3://{s3_server.bucket}/{PREFIX}", tmp_path_factory.mktemp("spool")) as world:
            batch = world.producer.enqueue(IDS.tolist(), "tweets", key="seen by aws")
            world.finish(batch.id)
            yield aws, world.events()[-1]["data"]


@contextmanager
def _world(store_url: str, spool: Path) -> Iterator[World]:
    with running_simulator() as simulator, inline_workers(open_store(store_url), simulator, spool) as workers:
        workers.change_limits(results_format="both", events_inline_max=INLINE_MAX)
        yield World(workers)


def test_it_lists_what_the_event_names(done: tuple[Aws, dict[str, Any]]) -> None:
    """The stored results of a batch are the objects of its last event, and no others."""
    aws, event = done
    prefix = f"s3://{aws.bucket}/{PREFIX}/"
    named = {item["url"].removeprefix(prefix) for item in event["objects"]}
    keys = aws.keys()
    assert {key for key in keys if key.startswith(f"results/{event['batch_id']}/")} == named
    assert f"batches/{event['batch_id']}/outcome.json" in keys
    assert not [key for key in keys if key.startswith("open/batches/")]


def test_it_copies_results_that_are_what_the_event_says(done: tuple[Aws, dict[str, Any]], tmp_path: Path) -> None:
    """Size, SHA-256, and the IDs that X flagged."""
    aws, event = done
    for number, item in enumerate(event["objects"]):
        copied = tmp_path / str(number)
        aws("s3", "cp", item["url"], copied)
        content = copied.read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (item["bytes"], item["sha256"])
        if item["format"] == "jsonl.gz":
            assert ids_in(gzip.decompress(content).decode()) == flagged_ids()


def test_it_streams_results_through_a_pipe(done: tuple[Aws, dict[str, Any]]) -> None:
    """`aws s3 cp URL - | gunzip`: a person can look without Complyq."""
    aws, event = done
    [url] = [item["url"] for item in event["objects"] if item["format"] == "jsonl.gz"]
    lines = gzip.decompress(aws("s3", "cp", url, "-")).splitlines()
    assert len(lines) == event["flagged"]


@pytest.mark.parametrize("name", ["batch.json", "outcome.json", "ids/00000.txt"])
def test_it_cannot_create_a_key_of_ours_again(done: tuple[Aws, dict[str, Any]], tmp_path: Path, name: str) -> None:
    """A conditional put is refused, and what was there stays: facts are created once, whoever writes."""
    aws, event = done
    store, key = open_store(f"s3://{aws.bucket}/{PREFIX}"), f"batches/{event['batch_id']}/{name}"
    before = store.read(key).body
    other = tmp_path / "other"
    other.write_bytes(b"{}")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        aws.api("put-object", key=f"{PREFIX}/{key}", body=str(other), if_none_match="*")
    assert b"PreconditionFailed" in refused.value.stderr
    assert store.read(key).body == before


def test_what_it_created_first_is_not_overwritten(done: tuple[Aws, dict[str, Any]], tmp_path: Path) -> None:
    """The other way round: our store leaves an object that an operator put there."""
    aws, _ = done
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    key = "keys/put-by-aws.json"
    aws.api("put-object", key=f"{PREFIX}/{key}", body=str(theirs), if_none_match="*")
    store = open_store(f"s3://{aws.bucket}/{PREFIX}")
    assert store.create(key, b"ours") is False
    assert store.read(key).body == b"theirs"
