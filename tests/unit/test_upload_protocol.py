"""The resumable protocol, without a socket."""

import io
from base64 import b64encode

import pytest

from complyq_workers.upload.body import PayloadBody, RunningDigest
from complyq_workers.upload.errors import (
    CorruptUploadError,
    SessionGoneError,
    StartRefusedError,
    TooLargeError,
    TransientUploadError,
    UploadRefusedError,
    WindowExpiredError,
)
from complyq_workers.upload.protocol import (
    CHUNK_UNIT,
    Finished,
    Persisted,
    chunk_length,
    confirm,
    is_doubtful,
    prepare_chunk,
    prepare_query,
    prepare_start,
    prepare_whole,
    read_progress,
    read_start,
    read_whole,
)
from complyq_workers.x.errors import UnauthorizedError
from complyq_workers.x.messages import Reply

URL = "https://storage.googleapis.com/b/o?X-Goog-Signature=feedbeef00"
SESSION = "https://storage.googleapis.com/b/o?upload_id=ADPycdsession"
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
WRONG_SIGNATURE = b"<Error><Code>SignatureDoesNotMatch</Code></Error>"


def body_of(data: bytes) -> PayloadBody:
    """Make a body that is never sent."""
    return PayloadBody(io.BytesIO(data), len(data), RunningDigest(), lambda _: None)


def test_start_sends_exactly_the_signed_headers() -> None:
    """Any other value would be answered with SignatureDoesNotMatch."""
    request = prepare_start(URL)
    assert (request.method, request.url, request.bearer, request.body) == ("POST", URL, False, None)
    assert dict(request.headers) == {"Content-Type": "text/plain", "Content-Length": "0", "x-goog-resumable": "start"}


@pytest.mark.parametrize("status", [200, 201])
def test_start_gives_the_session(status: int) -> None:
    """The Location is where to send."""
    assert read_start(Reply(status, {"location": SESSION}), URL) == SESSION


def test_a_relative_location_belongs_to_the_storage() -> None:
    """A server may leave its own origin out."""
    assert (
        read_start(Reply(201, {"location": "/b/o?upload_id=1"}), URL)
        == "https://storage.googleapis.com/b/o?upload_id=1"
    )


def test_start_without_location_is_refused() -> None:
    """There would be nowhere to send to."""
    with pytest.raises(UploadRefusedError):
        read_start(Reply(201), URL)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, WRONG_SIGNATURE, StartRefusedError),
        (400, b"<Error><Code>MalformedSecurityHeader</Code></Error>", StartRefusedError),
        (405, b"", StartRefusedError),
        (501, b"", StartRefusedError),
        (400, EXPIRED, WindowExpiredError),
        (403, b"<Error><Code>AccessDenied</Code></Error>", WindowExpiredError),
        (429, b"", TransientUploadError),
        (503, b"", TransientUploadError),
        (404, b"", UploadRefusedError),
    ],
)
def test_what_a_refused_start_means(status: int, body: bytes, error: type[Exception]) -> None:
    """A URL without resumable uploads, an expired one and a busy server call for different things."""
    with pytest.raises(error):
        read_start(Reply(status, {}, body), URL)


def test_query_asks_without_a_body() -> None:
    """The server's offset is asked for before anything is sent."""
    request = prepare_query(SESSION, 1000)
    assert request.method == "PUT"
    assert request.headers["Content-Range"] == "bytes */1000"
    assert request.headers["Content-Length"] == "0"
    assert request.resumable
    assert not request.bearer


def test_chunk_names_its_place() -> None:
    """First and last byte, and the size of the whole."""
    assert prepare_chunk(SESSION, 100, body_of(b"x" * 50), 1000).headers["Content-Range"] == "bytes 100-149/1000"


@pytest.mark.parametrize(
    ("offset", "total", "chunk_bytes", "expected"),
    [
        (0, 10, 0, 10),
        (4, 10, 0, 6),
        (0, 3 * CHUNK_UNIT, CHUNK_UNIT, CHUNK_UNIT),
        (0, 3 * CHUNK_UNIT, 2 * CHUNK_UNIT + 5, 2 * CHUNK_UNIT),
        (0, 3 * CHUNK_UNIT, 1, CHUNK_UNIT),
        (2 * CHUNK_UNIT, 2 * CHUNK_UNIT + 7, CHUNK_UNIT, 7),
        (0, 7, CHUNK_UNIT, 7),
    ],
)
def test_chunks_are_multiples_but_the_last(offset: int, total: int, chunk_bytes: int, expected: int) -> None:
    """The storage refuses any other length in the middle."""
    assert chunk_length(offset, total, chunk_bytes) == expected


@pytest.mark.parametrize(
    ("headers", "offset"),
    [({"range": "bytes=0-0"}, 1), ({"range": "bytes=0-524287"}, 524288), ({"range": "0-9"}, 10), ({}, 0)],
)
def test_308_tells_the_offset(headers: dict[str, str], offset: int) -> None:
    """Go on after the last byte; without a Range nothing is there yet."""
    assert read_progress(Reply(308, headers), 1 << 20) == Persisted(offset)


def test_all_persisted_but_not_finished() -> None:
    """The server may have every byte and still want to be asked once more."""
    assert read_progress(Reply(308, {"range": "bytes=0-9"}), 10) == Persisted(10)


@pytest.mark.parametrize(
    "range_header", ["bytes=0-10", "bytes=5-9", "bytes=0--1", "nonsense", "bytes=0-99999999999999999999"]
)
def test_impossible_offsets_stop_the_upload(range_header: str) -> None:
    """More than there is, or not from the start, is corruption."""
    with pytest.raises(CorruptUploadError):
        read_progress(Reply(308, {"range": range_header}), 10)


@pytest.mark.parametrize("status", [200, 201])
def test_finished_comes_with_hashes(status: int) -> None:
    """What the server stored can be compared."""
    crc32c, md5 = b"\x01\x02\x03\x04", b"m" * 16
    headers = {
        "x-goog-hash": f"crc32c={b64encode(crc32c).decode()}, md5={b64encode(md5).decode()}, sha=???",
        "x-goog-stored-content-length": "10",
    }
    told = read_progress(Reply(status, headers), 10)
    assert isinstance(told, Finished)
    assert (told.hashes.crc32c, told.hashes.md5, told.hashes.length) == (crc32c, md5, 10)


def test_finished_with_another_length_is_corrupt() -> None:
    """A server that stored less has not what we sent."""
    with pytest.raises(CorruptUploadError):
        read_progress(Reply(200, {"x-goog-stored-content-length": "9"}), 10)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, b"", SessionGoneError),
        (410, b"", SessionGoneError),
        (408, b"", TransientUploadError),
        (429, b"", TransientUploadError),
        (500, b"", TransientUploadError),
        (504, b"", TransientUploadError),
        (403, b"", WindowExpiredError),
        (400, EXPIRED, WindowExpiredError),
        (400, b"", UploadRefusedError),
        (403, WRONG_SIGNATURE, UploadRefusedError),
        (416, b"", UploadRefusedError),
        (413, b"", TooLargeError),
        (401, b"", UnauthorizedError),
    ],
)
def test_what_a_refusal_means(status: int, body: bytes, error: type[Exception]) -> None:
    """Each refusal has the class by which a caller acts."""
    with pytest.raises(error) as caught:
        read_progress(Reply(status, {}, body), 10, SESSION)
    assert "ADPycdsession" not in str(caught.value)


def test_messages_hide_what_the_server_repeats_of_the_url() -> None:
    """The session URI is a credential, also in the server's mouth."""
    reply = Reply(400, {}, b'{"detail":"no session ADPycdsession here"}')
    with pytest.raises(UploadRefusedError) as caught:
        read_progress(reply, 10, SESSION)
    assert "ADPycdsession" not in str(caught.value)


@pytest.mark.parametrize(
    ("offset", "doubtful"), [(100, False), (150, False), (200, False), (99, True), (0, True), (201, True)]
)
def test_offsets_outside_what_was_sent_are_asked_again(offset: int, *, doubtful: bool) -> None:
    """Another writer, or an old replica: believed only when said twice."""
    assert is_doubtful(Persisted(offset), 100, 200) is doubtful


def test_the_second_answer_is_the_truth() -> None:
    """More than was sent is another worker's doing; less than was known, twice, is corruption."""
    assert confirm(Persisted(300), 100) == Persisted(300)
    assert isinstance(confirm(read_progress(Reply(200), 10), 100), Finished)
    with pytest.raises(CorruptUploadError):
        confirm(Persisted(99), 100)


def test_a_plain_put_carries_the_bearer_only_when_direct() -> None:
    """Cloud Storage never sees it."""
    plain, direct = prepare_whole(URL, body_of(b"1\n"), direct=False), prepare_whole(URL, body_of(b"1\n"), direct=True)
    assert (plain.bearer, direct.bearer) == (False, True)
    assert plain.headers == {"Content-Type": "text/plain", "Content-Length": "2"}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (413, b'{"title":"Too large"}', TooLargeError),
        (403, b'{"title":"Forbidden","detail":"token expired"}', WindowExpiredError),
        (400, EXPIRED, WindowExpiredError),
        (410, b"", WindowExpiredError),
        (401, b"", UnauthorizedError),
        (409, b"", UploadRefusedError),
        (404, b"", UploadRefusedError),
        (502, b"", TransientUploadError),
    ],
)
def test_what_a_refused_put_means(status: int, body: bytes, error: type[Exception]) -> None:
    """Both contracts' refusals have the class by which a caller acts."""
    with pytest.raises(error):
        read_whole(Reply(status, {}, body), 10, URL)


def test_requests_print_without_their_credentials() -> None:
    """A request in a log or a traceback shows no URL."""
    assert "session" not in repr(prepare_query(SESSION, 1))
    assert prepare_query(SESSION, 1).name == "PUT https://storage.googleapis.com/b/o"
