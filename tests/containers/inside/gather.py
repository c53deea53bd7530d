"""Runs in a container: writes what store, results queue and simulator hold to standard output, as a tar archive.

It asks their servers, past the code under test.
"""

import io
import os
import sys
import tarfile
from collections.abc import Iterator

import boto3
import redis
import requests

BUCKET, _, PREFIX = os.environ["COMPLYQ_STORE_URL"].removeprefix("s3://").partition("/")


def objects() -> Iterator[tuple[str, bytes]]:
    """Yield every object of the store."""
    client = boto3.session.Session().client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{PREFIX}/"):
        for key in [entry["Key"] for entry in page.get("Contents", [])]:
            body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            yield "store/" + key.removeprefix(f"{PREFIX}/"), body


def stream() -> bytes:
    """Return the events as they are on the stream."""
    entries = redis.Redis.from_url(os.environ["COMPLYQ_REDIS_URL"]).xrange("complyq.events")
    return b"".join(fields[b"event"] + b"\n" for _, fields in entries)  # type: ignore[union-attr]


def journal() -> bytes:
    """Return what the simulator saw."""
    return requests.get(f"{os.environ['COMPLYQ_API_URL']}/_simulator/journal", timeout=60).content


with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    for name, body in [("stream.jsonl", stream()), ("journal.jsonl", journal()), *objects()]:
        entry = tarfile.TarInfo(name)
        entry.size = len(body)
        archive.addfile(entry, io.BytesIO(body))
