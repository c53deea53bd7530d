"""Answers and requests that are lost on the way to the object store: a fact is there once, and its writer knows it."""

import io
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from botocore.config import Config

from complyq_producer.errors import StoreUnavailableError
from complyq_producer.facts import FactStore, Published
from complyq_producer.store import DirectoryStore, MemoryStore, ObjectStore, s3
from complyq_producer.store.s3 import S3Store
from support.lost_answers import LostAnswers, Network, until_answered
from support.s3_server import S3Server
from support.tcp_proxy import TcpProxy, running_tcp_proxy

LARGE = bytes(9_000_000)
LOSSES = [("reply", 1), ("reply", 3), ("request", 1)]


@dataclass
class Lossy:
    """A store on a bad line, and the same store where nothing is lost, which S3's is as soon as all was lost."""

    store: ObjectStore
    sure: ObjectStore
    network: Network

    def lose(self, what: str, times: int) -> None:
        """Lose the next answers or requests."""
        lose = self.network.lose_next_reply if what == "reply" else self.network.lose_next_request
        lose(times=times)

    def settle(self) -> None:
        """See to it that all was lost that was to be."""
        assert self.network.faults_left() == 0


@contextmanager
def s3_lossy(server: S3Server, monkeypatch: pytest.MonkeyPatch, attempts: int) -> Iterator[tuple[S3Store, TcpProxy]]:
    """A store in S3 through a proxy; the client sends each request up to `attempts` times."""
    config = s3._CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": attempts}))
    monkeypatch.setattr(s3, "_CONFIG", config)
    with running_tcp_proxy(server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url(server.endpoint))
        with closing(S3Store(server.bucket, f"lossy/{uuid4().hex}")) as store:
            assert store.info("nothing") is None  # connects through the proxy
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
            yield store, proxy


@pytest.fixture(params=["memory", "directory", "s3"])
def lossy(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lossy]:
    """Each store in turn. Lost once, boto3 asks S3 again by itself; lost three times, the caller must."""
    if request.param == "s3":
        with s3_lossy(request.getfixturevalue("s3_environment"), monkeypatch, 2) as (store, proxy):
            yield Lossy(store, store, proxy)
        return
    local = MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "store")
    network = LostAnswers(StoreUnavailableError("the answer was lost"))
    yield Lossy(network.before(local), local, network)


@pytest.mark.parametrize(("what", "times"), LOSSES)
def test_an_object_whose_answer_was_lost_is_ours(lossy: Lossy, what: str, times: int) -> None:
    """Created again until there is an answer, it is there as its writer wrote it, and nobody else creates it."""
    lossy.lose(what, times)
    until_answered(lambda: lossy.store.create("fact.json", b"mine"), StoreUnavailableError)
    lossy.settle()
    assert not lossy.sure.create("fact.json", b"yours")
    assert lossy.sure.read("fact.json").body == b"mine"


@pytest.mark.parametrize(("what", "times"), LOSSES)
def test_a_file_whose_answer_was_lost_is_ours(lossy: Lossy, what: str, times: int) -> None:
    """The same for files, from the position where they stood."""
    lossy.lose(what, times)
    until_answered(lambda: lossy.store.create_from("payload", _behind_header(b"mine")), StoreUnavailableError)
    lossy.settle()
    assert not lossy.sure.create_from("payload", io.BytesIO(b"yours"))
    assert lossy.sure.read("payload").body == b"mine"


@pytest.mark.parametrize(("what", "times"), LOSSES)
def test_a_deleted_object_is_gone_when_the_answer_was_lost(lossy: Lossy, what: str, times: int) -> None:
    """Deleting again is no error."""
    lossy.sure.create("open/marker", b"")
    lossy.lose(what, times)
    until_answered(lambda: lossy.store.delete("open/marker"), StoreUnavailableError)
    lossy.settle()
    assert lossy.sure.info("open/marker") is None


@pytest.mark.parametrize(("what", "times"), LOSSES)
def test_a_fact_whose_answer_was_lost_is_known_as_ours(lossy: Lossy, what: str, times: int) -> None:
    """Its writer is told that it stands, and that it is his; another writer is told that it is not."""
    mine = Published(messages=1)
    lossy.lose(what, times)
    standing, ours = until_answered(lambda: FactStore(lossy.store).create("fact.json", mine), StoreUnavailableError)
    lossy.settle()
    assert (standing.nonce, ours) == (mine.nonce, True)
    seen, ours = FactStore(lossy.sure).create("fact.json", Published(messages=2))
    assert (seen, ours) == (standing, False)


@pytest.mark.parametrize(("what", "times"), LOSSES)
def test_a_fact_of_another_writer_is_known_as_his(lossy: Lossy, what: str, times: int) -> None:
    """An answer that was lost never makes another's fact one's own."""
    his, _ = FactStore(lossy.sure).create("fact.json", Published(messages=2))
    lossy.lose(what, times)
    mine = Published(messages=1)
    found = until_answered(lambda: FactStore(lossy.store).create("fact.json", mine), StoreUnavailableError)
    assert found == (his, False)


@pytest.mark.parametrize("what", ["reply", "request"])
def test_what_is_read_is_right_when_answers_are_lost(lossy: Lossy, what: str) -> None:
    """Reading, looking up and listing give what is there, or our own error."""
    for number in range(3):
        lossy.sure.create(f"facts/{number}", b"%d" % number)
    for call, expected in (
        (lambda: lossy.store.read("facts/1").body, b"1"),
        (lambda: _size(lossy.store, "facts/1"), 1),
        (lambda: _size(lossy.store, "facts/9"), None),
        (lambda: [info.key for info in lossy.store.list("facts/", after="facts/0")], ["facts/1", "facts/2"]),
    ):
        lossy.lose(what, 1)
        assert until_answered(call, StoreUnavailableError) == expected


@pytest.mark.parametrize("what", ["reply", "request"])
@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize(
    "request_of", [b"HEAD ", b"?uploads", b"partNumber=1 ", b"partNumber=2 ", b"<CompleteMultipartUpload"]
)
def test_a_large_object_survives_the_loss_of_any_answer(
    s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch, what: str, attempts: int, request_of: bytes
) -> None:
    """Whichever of its requests meets with it, the object is there once and whole, and known as ours or as there."""
    with s3_lossy(s3_environment, monkeypatch, attempts) as (store, proxy):
        lose = proxy.lose_next_reply if what == "reply" else proxy.lose_next_request
        lose(request_of)
        until_answered(lambda: store.create_from("payload", io.BytesIO(LARGE)), StoreUnavailableError)
        assert proxy.faults_left() == 0
        assert not store.create_from("payload", io.BytesIO(b"x" * len(LARGE)))
        assert store.read("payload").body == LARGE
        assert _parts_left(store, s3_environment.bucket) == []


CALLS: list[Callable[[ObjectStore], object]] = [
    lambda store: store.create("a", b""),
    lambda store: store.create_from("a", io.BytesIO(b"")),
    lambda store: store.create_from("a", io.BytesIO(LARGE)),
    lambda store: store.read("a"),
    lambda store: store.open("a").__enter__(),
    lambda store: store.info("a"),
    lambda store: list(store.list("")),
    lambda store: store.delete("a"),
    lambda store: store.verify(),
]


def test_every_way_to_fail_is_an_error_of_ours(s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, reset or lost: each method says so in our words, and works again when the network does."""
    with s3_lossy(s3_environment, monkeypatch, 1) as (store, proxy):
        for call in CALLS:
            proxy.lose_next_reply()
            with pytest.raises(StoreUnavailableError, match="AWS_ENDPOINT_URL"):
                call(store)
            proxy.refuse(True)
            with pytest.raises(StoreUnavailableError, match="AWS_ENDPOINT_URL"):
                call(store)
            proxy.refuse(False)
            assert store.info("nothing") is None


def test_a_stream_goes_on_where_connections_break(s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are reset while an object is read cost requests, never bytes."""
    body = b"".join(b"%d\n" % number for number in range(1_500_000))
    with s3_lossy(s3_environment, monkeypatch, 1) as (store, proxy):
        store.create_from("results", io.BytesIO(body))
        with store.open("results", 100) as stream:
            start = stream.read(1000)
            proxy.reset_connections()
            assert start + stream.read() == body[100:]


def _behind_header(body: bytes) -> io.BytesIO:
    source = io.BytesIO(b"header|" + body)
    source.seek(7)
    return source


def _size(store: ObjectStore, key: str) -> int | None:
    info = store.info(key)
    return info.size if info else None


def _parts_left(store: S3Store, bucket: str) -> list[int]:
    """List the parts of uploads that are not complete, which would be paid for."""
    client = store._client()
    uploads = client.list_multipart_uploads(Bucket=bucket, Prefix=store._root).get("Uploads", [])
    left = (client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]) for upload in uploads)
    return [part["PartNumber"] for parts in left for part in parts.get("Parts", [])]
