"""The search for leaked credentials finds what is there."""

import base64
import gzip
import json
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from support.credential_search import CredentialSearch, files_under, redis_contents

SECRET = "q7Zr/2vN+1xKd9TtWm4Lb8Yc0Hs5Gf3JpEaUoViRn6"
URL = f"https://storage.googleapis.com/b/o?X-Goog-Signature={quote(SECRET, safe='')}"
MESSAGE = json.dumps({"body": base64.b64encode(json.dumps([URL]).encode()).decode()}).encode()


@pytest.fixture
def search() -> CredentialSearch:
    """A search for one credential."""
    return CredentialSearch([SECRET])


@pytest.mark.parametrize(
    "data",
    [
        SECRET.encode(),
        URL.encode(),
        SECRET[5:40].encode(),
        MESSAGE,
        gzip.compress(URL.encode(), mtime=0),
        json.dumps({"body": base64.b64encode(gzip.compress(b"x" + SECRET.encode(), mtime=0)).decode()}).encode(),
        SECRET.encode().hex().encode(),
        base64.urlsafe_b64encode(b"xy" + SECRET.encode() + b"z"),
        b"\x80\x00" + SECRET.encode() + b"\xff",
    ],
)
def test_a_credential_is_found_however_it_is_written(search: CredentialSearch, data: bytes) -> None:
    """In clear, in a URL, in part, in a broker's message, compressed, and in other notations."""
    assert search.leaks([("here", data)]) == {f"here: {SECRET}"}


@pytest.mark.parametrize("data", [b"", SECRET[:12].encode(), gzip.compress(b"harmless", mtime=0), MESSAGE[:40]])
def test_what_holds_none_is_clean(search: CredentialSearch, data: bytes) -> None:
    """A few characters of one open nothing."""
    assert search.leaks([("here", data)]) == set()


def test_files_are_searched_with_their_names(search: CredentialSearch, tmp_path: Path) -> None:
    """A credential in a file's name is one on disk."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "results.gz").write_bytes(gzip.compress(SECRET.encode(), mtime=0))
    (tmp_path / f"session-{SECRET[9:]}").touch()
    assert len(search.leaks(files_under(tmp_path))) == 2


def test_every_kind_of_redis_value_is_searched(search: CredentialSearch, redis_server: str) -> None:
    """Strings, lists, hashes (fields too), sets, sorted sets, streams, and keys' names."""
    with redis.Redis.from_url(redis_server.replace("/0", "/7")) as client:
        client.set("string", SECRET)
        client.rpush("list", "x", MESSAGE)
        client.hset("hash", "field", SECRET)
        client.hset("fields", SECRET, "value")
        client.sadd("set", SECRET)
        client.zadd("zset", {SECRET: 1.0})
        client.xadd("stream", {"event": SECRET})
        client.set(f"key:{SECRET}", "x")
        found = search.leaks(redis_contents(redis_server.replace("/0", "/7")))
        client.flushdb()
    named = {"string", "list", "hash", "fields", "set", "zset", "stream", f"name of key:{SECRET}"}
    assert found == {f"{name}: {SECRET}" for name in named}
