"""Downloads over real connections that break in the ways networks and servers do."""

import base64
import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import google_crc32c
import pytest

from complyq_workers.download import (
    DownloadCorruptError,
    Downloaded,
    DownloadError,
    DownloadExpiredError,
    DownloadInterruptedError,
    DownloadRefusedError,
    DownloadTooLargeError,
    DownloadUnverifiableError,
    download,
)
from complyq_workers.x import ExchangedBearer, Patience, StaticBearer, Timeouts, Transport, UnauthorizedError
from support.scripted_server import Exchange, Script, ScriptedServer, answering, in_turn, scripted_server

LINES = b"".join(b'{"id":"%d","action":"delete"}\n' % number for number in range(10**17, 10**17 + 30_000))
TOTAL = len(LINES)
HALF = TOTAL // 2
AT_ONCE = Patience(wait=lambda _: None)


def hash_of(data: bytes) -> str:
    """Give the checksum as Cloud Storage does."""
    return "crc32c=" + base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


STORED = {"ETag": '"v1"', "Accept-Ranges": "bytes", "x-goog-hash": hash_of(LINES)}


def whole(exchange: Exchange) -> None:
    """Answer with everything, as Cloud Storage does."""
    exchange.answer(200, STORED, LINES)


def cut_at(size: int, headers: dict[str, str] | None = None) -> Script:
    """Announce everything, send `size` bytes, and close."""
    fields = {**STORED, "Content-Length": str(TOTAL)} if headers is None else headers
    return lambda exchange: exchange.answer(200, fields, LINES[:size])


def rest(exchange: Exchange) -> None:
    """Answer a Range request with what is left."""
    assert exchange.headers["if-match"] == '"v1"'
    first = int(exchange.headers["range"].removeprefix("bytes=").removesuffix("-"))
    fields = {**STORED, "Content-Range": f"bytes {first}-{TOTAL - 1}/{TOTAL}"}
    exchange.answer(206, fields, LINES[first:])


@contextmanager
def storage(script: Script) -> Iterator[tuple[Callable[..., Downloaded], io.BytesIO, ScriptedServer]]:
    """Run a storage, and give the download from it into a file in memory."""
    with scripted_server(script) as server, scripted_server(answering(500)) as api, io.BytesIO() as into:
        transport = Transport([server.url], api.url, StaticBearer("AAAAtoken"), timeouts=Timeouts(5, 10))

        def fetch(**options: object) -> Downloaded:
            url = f"{server.url}/b/o?X-Goog-Signature=feedbeef01"
            options = {"with_bearer": False, "max_bytes": TOTAL, "patience": AT_ONCE, **options}
            return download(transport, url, into, **options)  # type: ignore[arg-type]

        yield fetch, into, server
        transport.close()
    assert api.seen == []
    assert all("authorization" not in seen.headers for seen in server.seen)


def test_a_whole_download_is_verified() -> None:
    """Every byte arrives, the checksum agrees, progress is told."""
    told: list[tuple[int, int | None]] = []
    with storage(whole) as (fetch, into, server):
        assert fetch(on_progress=lambda *at: told.append(at)) == Downloaded(TOTAL, crc32c_verified=True)
        assert into.getvalue() == LINES
    assert told[-1] == (TOTAL, TOTAL)
    assert server.seen[0].headers["accept-encoding"] == "identity"


def test_an_empty_result_is_a_whole_result() -> None:
    """Nobody was flagged."""
    with storage(answering(200, {"Content-Length": "0"})) as (fetch, into, _):
        assert fetch() == Downloaded(0, crc32c_verified=False)
        assert into.getvalue() == b""


def test_a_broken_download_goes_on_by_range() -> None:
    """Nothing is fetched twice where the server offers ranges."""
    with storage(in_turn(cut_at(HALF), rest)) as (fetch, into, server):
        assert fetch().crc32c_verified
        assert into.getvalue() == LINES
    assert server.seen[1].headers["range"] == f"bytes={HALF}-"


def test_many_cuts_with_progress_are_borne() -> None:
    """Each piece counts."""

    def piece(exchange: Exchange) -> None:
        first = int(exchange.headers["range"].removeprefix("bytes=").removesuffix("-"))
        fields = {**STORED, "Content-Range": f"bytes {first}-{TOTAL - 1}/{TOTAL}", "Content-Length": str(TOTAL - first)}
        exchange.answer(206, fields, LINES[first : first + TOTAL // 10])

    with storage(in_turn(cut_at(1000), piece)) as (fetch, into, server):
        assert fetch().bytes == TOTAL
        assert into.getvalue() == LINES
    assert len(server.seen) > 10


@pytest.mark.parametrize(
    "second",
    [
        whole,
        lambda exchange: exchange.answer(206, {**STORED, "Content-Range": f"bytes 0-{TOTAL - 1}/{TOTAL}"}, LINES),
        lambda exchange: exchange.answer(206, {**STORED, "ETag": '"v2"', "Content-Range": f"bytes {HALF}-{TOTAL - 1}/{TOTAL}"}, LINES[HALF:]),
        answering(412),
        answering(416),
        answering(400),
    ],
    ids=["range ignored", "other range", "other object", "412", "416", "400"],
)  # fmt: skip
def test_without_a_sure_continuation_it_starts_over(second: Script) -> None:
    """Pieces of different answers are never glued together."""
    with storage(in_turn(cut_at(HALF), second, whole)) as (fetch, into, _):
        assert fetch().bytes == TOTAL
        assert into.getvalue() == LINES


@pytest.mark.parametrize("cut", [LINES.index(b"\n") + 1, HALF, LINES.rindex(b"\n", 0, TOTAL - 1) + 1, TOTAL - 1])
def test_a_truncated_body_is_never_whole(cut: int) -> None:
    """Whatever line it ends on, fewer bytes than announced are an error."""
    headers = {"Content-Length": str(TOTAL)}
    with storage(cut_at(cut, headers)) as (fetch, _, server), pytest.raises(DownloadInterruptedError):
        fetch()
    assert len(server.seen) == 5
    assert all("range" not in seen.headers for seen in server.seen)


def test_chunks_without_their_end_are_truncated() -> None:
    """A chunked body that stops at a line, and at a chunk, lacks its last chunk."""
    half = LINES[:HALF][: LINES.rindex(b"\n", 0, HALF) + 1]

    def stop(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        exchange.send_raw(head + b"%x\r\n%b\r\n" % (len(half), half))

    with storage(stop) as (fetch, _, _server), pytest.raises(DownloadInterruptedError):
        fetch()


def test_chunks_with_their_end_are_whole() -> None:
    """The direct contract may send chunks."""

    def send(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        exchange.send_raw(head + b"%x\r\n%b\r\n0\r\n\r\n" % (TOTAL, LINES))

    with storage(send) as (fetch, into, _):
        assert fetch() == Downloaded(TOTAL, crc32c_verified=False)
        assert into.getvalue() == LINES


def test_a_body_that_only_ends_with_the_connection_is_refused() -> None:
    """Nobody could tell it from a truncated one."""
    with (
        storage(answering(200, {"Content-Length": ""}, LINES)) as (fetch, _, _server),
        pytest.raises(DownloadUnverifiableError),
    ):
        fetch()


def test_a_checksum_alone_shows_the_end() -> None:
    """Without a length, the whole object is recognized by its hash, and a truncated one is not."""
    fields = {"Content-Length": "", "x-goog-hash": hash_of(LINES)}
    with storage(in_turn(cut_at(HALF, fields), cut_at(TOTAL, fields))) as (fetch, into, _):
        assert fetch() == Downloaded(TOTAL, crc32c_verified=True)
        assert into.getvalue() == LINES


def test_other_bytes_of_the_same_length_are_corruption() -> None:
    """A wrong checksum is tried again from the start, and never accepted."""
    garbled = answering(200, STORED, LINES[:-2] + b"x\n")
    with storage(in_turn(garbled, whole)) as (fetch, into, _):
        fetch()
        assert into.getvalue() == LINES
    with storage(garbled) as (fetch, _, server), pytest.raises(DownloadCorruptError):
        fetch()
    assert len(server.seen) > 1


def test_gzip_that_nobody_asked_for_is_decoded() -> None:
    """Length and checksum are those of the bytes on the wire."""
    packed = gzip.compress(LINES)
    fields = {"Content-Encoding": "gzip", "x-goog-stored-content-encoding": "gzip", "x-goog-hash": hash_of(packed)}
    with storage(answering(200, fields, packed)) as (fetch, into, _):
        assert fetch() == Downloaded(TOTAL, crc32c_verified=True)
        assert into.getvalue() == LINES


def test_gzip_that_ends_early_is_corruption() -> None:
    """Its length agrees with what was announced, its content does not."""
    truncated = answering(200, {"Content-Encoding": "gzip"}, gzip.compress(LINES)[:-8])
    with storage(truncated) as (fetch, _, _server), pytest.raises(DownloadCorruptError):
        fetch()


def without_end(head: bytes, block: bytes) -> Script:
    """Send a block over and over, until the client goes away."""

    def send(exchange: Exchange) -> None:
        exchange.send_raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nConnection: close\r\n\r\n")
        while True:
            exchange.send_raw(block)

    return send


LIMIT = 3_000_000
CHUNK = b"%x\r\n%b\r\n" % (TOTAL, LINES)
BOMB = gzip.compress(b"\n" * (64 << 20))


@pytest.mark.parametrize(
    "script",
    [
        answering(200, {"Content-Length": str(LIMIT + 1)}),
        answering(200, {"Content-Length": str(10**12)}),
        without_end(b"Transfer-Encoding: chunked", CHUNK),
        without_end(b"x-goog-hash: crc32c=AAAAAA==", LINES),
        answering(200, {"Content-Encoding": "gzip"}, BOMB),
        without_end(b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(BOMB), BOMB)),
        without_end(
            b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked",
            b"%x\r\n%b\r\n" % (20_000, gzip.compress(b"") * 1_000),
        ),
    ],
    ids=["announced", "terabyte", "chunks", "until close", "gzip bomb", "endless bombs", "endless nothing"],
)
def test_more_than_an_answer_can_have_is_not_taken(script: Script) -> None:
    """It is stopped at the limit, on the wire and decoded, and not tried again at once."""
    with storage(script) as (fetch, into, server):
        with pytest.raises(DownloadTooLargeError, match=str(LIMIT)):
            fetch(max_bytes=LIMIT)
        assert len(into.getvalue()) <= LIMIT
    assert len(server.seen) == 1


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_just_as_much_as_an_answer_can_have_is_taken(encoding: str) -> None:
    """The limit itself is within the limit."""
    body = gzip.compress(LINES) if encoding else LINES
    with storage(answering(200, {"Content-Encoding": encoding}, body)) as (fetch, into, _):
        assert fetch(max_bytes=TOTAL).bytes == TOTAL
        assert into.getvalue() == LINES


def test_passing_failures_are_borne() -> None:
    """A busy server and a reset connection cost time only."""
    script = in_turn(answering(503), answering(429), lambda exchange: exchange.cut(), whole)
    with storage(script) as (fetch, into, _):
        assert fetch().bytes == TOTAL
        assert into.getvalue() == LINES


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, DownloadExpiredError),
        (403, DownloadExpiredError),
        (404, DownloadExpiredError),
        (410, DownloadExpiredError),
        (401, UnauthorizedError),
        (405, DownloadRefusedError),
    ],
)
def test_refusals_are_final(status: int, error: type[Exception]) -> None:
    """Asking again would not help."""
    with (
        storage(answering(status, {}, b'{"detail":"feedbeef01"}')) as (fetch, _, server),
        pytest.raises(error) as caught,
    ):
        fetch()
    assert len(server.seen) == 1
    assert "feedbeef01" not in str(caught.value)


def test_an_expiry_in_the_middle_is_final() -> None:
    """The rest cannot be had, and the part is no result."""
    with storage(in_turn(cut_at(HALF), answering(403))) as (fetch, _, _server), pytest.raises(DownloadExpiredError):
        fetch()


def test_what_the_caller_raises_stops_the_download() -> None:
    """A lost lease is no failure to be borne."""

    def lose(_received: int, _total: int | None) -> None:
        raise TimeoutError

    with storage(whole) as (fetch, _, server), pytest.raises(TimeoutError):
        fetch(on_progress=lose)
    assert len(server.seen) == 1


def test_a_direct_download_carries_the_bearer() -> None:
    """The current contract wants it, renewed where it must be."""
    tokens = [b"AAAAold", b"AAAAnew"]

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/oauth2/token":
            return exchange.answer(200, {}, b'{"access_token":"%s"}' % tokens.pop(0))
        good = exchange.headers["authorization"] == "Bearer AAAAnew"
        return exchange.answer(200 if good else 401, {}, LINES if good else b"")

    with scripted_server(answer) as api, io.BytesIO() as into:
        transport = Transport([], api.url)
        transport.use(ExchangedBearer("key", "secret", transport))
        url = f"{api.url}/2/compliance/jobs/1/download?token=t"
        assert download(transport, url, into, with_bearer=True, max_bytes=TOTAL, patience=AT_ONCE).bytes == TOTAL
        transport.close()
    assert [seen.method for seen in api.seen] == ["POST", "GET", "POST", "GET"]


def test_every_failure_is_one_of_ours() -> None:
    """Callers catch one class."""
    with storage(lambda exchange: exchange.send_raw(b"garbage")) as (fetch, _, _server), pytest.raises(DownloadError):
        fetch()
