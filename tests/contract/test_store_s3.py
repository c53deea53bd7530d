"""What is true of S3 when it, or the network before it, misbehaves."""

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from multiprocessing import get_context

import pytest

from complyq_producer.errors import StoreError, StoreUnavailableError, UnfitStoreError
from complyq_producer.store import ObjectStore
from complyq_producer.store.s3 import S3Store
from support.misbehaving_s3 import Misbehaviour, misbehaving_s3
from support.s3_server import S3Server

BODY = os.urandom(1_000_000)


class _FailingFile(io.BytesIO):
    """A file on a disk that goes away behind its first nine million bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 9_000_000:
            raise OSError("the disk is gone")
        return super().read(size)


class Misbehaving:
    """Opens stores on servers that misbehave; `pauses` collects what was waited."""

    def __init__(self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stack = stack
        self._monkeypatch = monkeypatch
        self.pauses: list[float] = []

    def store(self, misbehaviour: Misbehaviour) -> ObjectStore:
        """Return a store on a server that misbehaves so."""
        endpoint = self._stack.enter_context(misbehaving_s3(misbehaviour))
        self._monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        return self._stack.enter_context(closing(S3Store("bucket", "root", sleep=self.pauses.append)))


@pytest.fixture
def misbehaving(s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    """Servers that misbehave on purpose."""
    with ExitStack() as stack:
        yield Misbehaving(stack, monkeypatch)


def test_a_store_that_ignores_conditions_is_refused(misbehaving: Misbehaving) -> None:
    """A server that lets the second writer win is found out before facts are kept there, and cleaned up."""
    fault = Misbehaviour(ignores_conditions=True)
    with pytest.raises(UnfitStoreError, match="overwrite"):
        misbehaving.store(fault).verify()
    assert fault.objects == {}


def test_a_store_that_ignores_conditions_of_large_objects_is_refused(misbehaving: Misbehaving) -> None:
    """Honouring conditions of single writes alone is not enough: large objects are sent in parts."""
    fault = Misbehaviour(ignores_conditions_of_parts=True)
    with pytest.raises(UnfitStoreError, match="overwrite"):
        misbehaving.store(fault).verify()
    assert fault.objects == {}


def test_a_lost_answer_to_a_large_write_is_not_an_error(misbehaving: Misbehaving) -> None:
    """If the upload is unknown at its end and the object is there, somebody wrote it: the caller reads it back."""
    fault = Misbehaviour(forgets_uploads=True)
    body = bytes(9_000_000)
    assert not misbehaving.store(fault).create_from("payload", io.BytesIO(body))
    assert fault.objects == {"/bucket/root/payload": body}


def test_a_conflict_is_tried_again(misbehaving: Misbehaving) -> None:
    """409 says that another write was under way, not who won."""
    store = misbehaving.store(Misbehaviour(conflicts=3))
    assert store.create("fact.json", b"1")
    assert len(misbehaving.pauses) == 3


def test_endless_conflicts_are_an_error(misbehaving: Misbehaving) -> None:
    """A write that can never settle is given up with words."""
    with pytest.raises(StoreUnavailableError, match="under way"):
        misbehaving.store(Misbehaviour(conflicts=99)).create("fact.json", b"1")


def test_a_broken_stream_is_read_on(misbehaving: Misbehaving) -> None:
    """Connections that break again and again cost requests, never bytes; nothing is read twice."""
    fault = Misbehaviour(breaks_after=300_000, objects={"/bucket/root/payload": BODY})
    with misbehaving.store(fault).open("payload", 10) as stream:
        assert stream.read() == BODY[10:]
    assert fault.requests == ["GET bytes=10-", *(f"GET bytes={at}-" for at in (300_010, 600_010, 900_010))]


def test_a_broken_small_read_is_read_on(misbehaving: Misbehaving) -> None:
    """A fact is never half a fact."""
    fault = Misbehaviour(breaks_after=7, objects={"/bucket/root/fact.json": b'{"kind": "plan"}'})
    assert misbehaving.store(fault).read("fact.json").body == b'{"kind": "plan"}'


def test_a_stream_without_progress_ends_as_an_error(misbehaving: Misbehaving) -> None:
    """An answer that never brings a byte is not an empty object."""
    store = misbehaving.store(Misbehaviour(breaks_after=0, objects={"/bucket/root/payload": BODY}))
    with store.open("payload") as stream, pytest.raises(StoreUnavailableError, match="byte 0 of 1000000"):
        stream.read()
    assert len(misbehaving.pauses) == 5


def test_an_object_that_changes_while_read_is_an_error(misbehaving: Misbehaving) -> None:
    """Two objects are never spliced into one stream."""
    fault = Misbehaviour(breaks_after=300_000, changes=True, objects={"/bucket/root/payload": BODY})
    with misbehaving.store(fault).open("payload") as stream, pytest.raises(StoreError, match="changed while"):
        stream.read()


def test_a_server_that_ignores_ranges_is_an_error(misbehaving: Misbehaving) -> None:
    """Bytes from the start are never taken for bytes from the offset."""
    store = misbehaving.store(Misbehaviour(ignores_range=True, objects={"/bucket/root/payload": BODY}))
    with pytest.raises(StoreError, match="Range"), store.open("payload", 5):
        pass


def test_a_missing_bucket_is_said_plainly(s3_environment: S3Server) -> None:
    """The error says what to do, and is no exception of a vendor's."""
    with closing(S3Store("no-such-bucket", "root")) as store:
        for use in (lambda: store.create("a", b""), lambda: store.read("a"), lambda: list(store.list(""))):
            with pytest.raises(StoreUnavailableError, match="create the bucket"):
                use()


def test_a_server_that_is_down_is_said_plainly(s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the endpoint's variable."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with closing(S3Store("bucket")) as store, pytest.raises(StoreUnavailableError, match="AWS_ENDPOINT_URL"):
        store.info("a")


def test_missing_credentials_are_said_plainly(s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variables to set."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with closing(S3Store("bucket")) as store, pytest.raises(StoreUnavailableError, match="AWS_ACCESS_KEY_ID"):
        store.info("a")


def test_an_upload_that_fails_is_aborted(s3_environment: S3Server) -> None:
    """Parts of an upload that broke off are not kept and paid for; the key stays free."""
    with (
        closing(S3Store(s3_environment.bucket, "aborted")) as store,
        closing(_FailingFile(bytes(20_000_000))) as source,
    ):
        with pytest.raises(OSError, match="disk"):
            store.create_from("payload", source)
        assert store.info("payload") is None
        uploads = store._client().list_multipart_uploads(Bucket=s3_environment.bucket, Prefix="aborted/")
        assert not uploads.get("Uploads")


def test_a_forked_process_has_connections_of_its_own(s3_environment: S3Server) -> None:
    """A worker that forks may use the store on both sides."""
    with closing(S3Store(s3_environment.bucket, "forked")) as store:
        store.create("parent", b"1")
        before = store._client()
        child = get_context("fork").Process(target=_child, args=(store, before))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert store._client() is before


def _child(store: S3Store, parents_client: object) -> None:
    intact = store.read("parent").body == b"1" and store._client() is not parents_client
    os._exit(0 if intact else 1)
