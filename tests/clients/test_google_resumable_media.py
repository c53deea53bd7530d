# mypy: disable-error-code="no-untyped-call"
"""google-resumable-media, the library below Google's own Cloud Storage client."""

import base64
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.resumable_media import common
from google.resumable_media.requests import ChunkedDownload, Download, ResumableUpload
from google.resumable_media.requests.upload import XMLMPUPart

from support.bytes_of_jobs import flagged_ids, ids_in, upload
from support.real_workers import wait_until
from support.simulator_process import Simulator, running_simulator
from support.simulator_since import SimulatorSince

CHUNK = 262_144
BODY = b"1234567890123456789\n" * 60_000
AT_ONCE = common.RetryStrategy(max_retries=3, initial_delay=0.01, max_sleep=0.01)


class _Upload(ResumableUpload):
    """The library's upload, with the checksum where the XML API puts it: in a header, as for its own XML uploads."""

    _validate_checksum = XMLMPUPart._validate_checksum


class _SignedStart(requests.Session):
    """Starts sessions without a body, which X has signed; the library would send a JSON one."""

    def request(self, method: Any, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request; the start of a session without its metadata."""
        if method == "POST":
            options["data"] = b""
        return super().request(method, url, **options)


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    """An X for all tests of this file: whose jobs are open does not matter here."""
    with running_simulator(allow_concurrent_jobs=True) as running:
        yield running


@pytest.fixture
def cloud(server: Simulator) -> Simulator:
    """The X, which has forgotten the tests before."""
    return SimulatorSince.now(server)


@pytest.fixture
def transport() -> Iterator[requests.Session]:
    """The connection pool that the library is given."""
    with _SignedStart() as made:
        made.trust_env = False
        yield made


def _create(cloud: Simulator, session: requests.Session, *, resumable: bool) -> dict[str, Any]:
    wanted = {"type": "tweets", "resumable": resumable}
    headers = {"Authorization": f"Bearer {cloud.token}"}
    answer = session.post(f"{cloud.api_url}/2/compliance/jobs", json=wanted, headers=headers)
    job: dict[str, Any] = answer.json()["data"]
    return job


def _initiated(cloud: Simulator, transport: requests.Session, checksum: str | None = None) -> Any:
    """Begin the resumable upload of a new job."""
    url = _create(cloud, transport, resumable=True)["upload_url"]
    made = _Upload(url, CHUNK, checksum=checksum, headers={"x-goog-resumable": "start"})
    made._retry_strategy = AT_ONCE
    made.initiate(transport, io.BytesIO(BODY), {}, "text/plain")
    return made


def _finish(started: Any, transport: requests.Session) -> None:
    while not started.finished:
        started.transmit_next_chunk(transport)


def _received(cloud: Simulator) -> int:
    return int(cloud.jobs()[-1]["received"])


def test_it_starts_a_session_with_what_x_has_signed(
    cloud: Simulator, session: requests.Session, transport: requests.Session
) -> None:
    """An empty body; with its own JSON body the signature does not match, as with the real storage."""
    assert _initiated(cloud, transport).resumable_url.startswith(cloud.storage_url)
    url = _create(cloud, session, resumable=True)["upload_url"]
    unsigned = ResumableUpload(url, CHUNK, headers={"x-goog-resumable": "start"})
    with pytest.raises(common.InvalidResponse) as refused:
        unsigned.initiate(session, io.BytesIO(BODY), {}, "text/plain")
    assert refused.value.response.status_code == 403
    assert "SignatureDoesNotMatch" in refused.value.response.text


@pytest.mark.parametrize("checksum", ["md5", "crc32c"])
def test_it_uploads_in_chunks_and_agrees_on_the_checksum(
    cloud: Simulator, transport: requests.Session, checksum: str
) -> None:
    """Chunk by chunk to the end; what the storage says of the object is what the library has sent."""
    started = _initiated(cloud, transport, checksum)
    _finish(started, transport)
    assert started.bytes_uploaded == _received(cloud) == len(BODY)


def test_it_notices_bytes_that_were_damaged(cloud: Simulator, transport: requests.Session) -> None:
    """The checksum of the last answer is another."""
    cloud.arm({"on": "upload", "fault": "wrong_hash", "skip": len(BODY) // CHUNK})
    with pytest.raises(common.DataCorruption):
        _finish(_initiated(cloud, transport, "md5"), transport)


def test_it_sends_a_chunk_again_whose_connection_broke(cloud: Simulator, transport: requests.Session) -> None:
    """By itself; bytes that the storage had already are not stored twice."""
    started = _initiated(cloud, transport, "md5")
    cloud.arm({"on": "upload", "fault": "disconnect", "after_bytes": CHUNK + 100_000})
    cloud.arm({"on": "upload", "fault": "status", "status": 503, "skip": 1})
    _finish(started, transport)
    assert _received(cloud) == len(BODY)
    assert cloud.armed() == []


def test_it_asks_for_the_offset_and_goes_on_from_there(cloud: Simulator, transport: requests.Session) -> None:
    """After an answer that it does not try again: from nothing, and from what is persisted."""
    started = _initiated(cloud, transport)
    started.recover(transport)
    assert started.bytes_uploaded == 0
    started.transmit_next_chunk(transport)
    cloud.arm({"on": "upload", "fault": "status", "status": 400, "after_bytes": 100_000})
    with pytest.raises(common.InvalidResponse):
        started.transmit_next_chunk(transport)
    started.recover(transport)
    assert started.bytes_uploaded == CHUNK
    _finish(started, transport)
    assert _received(cloud) == len(BODY)


def test_it_learns_that_less_was_persisted_than_sent(cloud: Simulator, transport: requests.Session) -> None:
    """The Range of the answer counts, not what was sent."""
    url = _create(cloud, transport, resumable=True)["upload_url"]
    started = _Upload(url, 2 * CHUNK, headers={"x-goog-resumable": "start"})
    started.initiate(transport, io.BytesIO(BODY), {}, "text/plain")
    cloud.arm({"on": "upload", "fault": "persist_less", "bytes": CHUNK})
    started.transmit_next_chunk(transport)
    assert started.bytes_uploaded == CHUNK
    started.recover(transport)
    _finish(started, transport)
    assert _received(cloud) == len(BODY)


@pytest.mark.parametrize("status", [404, 410])
def test_it_is_told_that_a_session_is_gone(cloud: Simulator, transport: requests.Session, status: int) -> None:
    """Neither bytes nor a question find it any more."""
    started = _initiated(cloud, transport)
    cloud.arm({"on": "upload", "fault": "dead_session", "status": status})
    for call in (started.transmit_next_chunk, started.recover):
        with pytest.raises(common.InvalidResponse) as refused:
            call(transport)
        assert refused.value.response.status_code == status


@pytest.fixture
def results_url(cloud: Simulator, session: requests.Session) -> str:
    """Where the results of a finished job are."""
    job = _create(cloud, session, resumable=False)
    stored = upload(cloud, job["upload_url"])
    assert stored.headers["x-goog-hash"].endswith(f",md5={_md5(stored.request.body)}")
    wait_until(lambda: cloud.jobs()[-1]["status"] == "complete")
    return str(job["download_url"])


def _md5(body: Any) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _downloaded(url: str, session: requests.Session) -> bytes:
    stream = io.BytesIO()
    fetching = Download(url, stream=stream, checksum="crc32c")
    fetching._retry_strategy = AT_ONCE
    fetching.consume(session)
    return stream.getvalue()


def test_it_downloads_results_and_checks_them(session: requests.Session, results_url: str) -> None:
    """Whole, against the checksum of the answer; in pieces they are the same bytes."""
    whole = _downloaded(results_url, session)
    assert ids_in(whole.decode()) == flagged_ids()
    stream = io.BytesIO()
    pieces = ChunkedDownload(results_url, 10_000, stream)
    while not pieces.finished:
        pieces.consume_next_chunk(session)
    assert (stream.getvalue(), pieces.total_bytes) == (whole, len(whole))


def test_it_goes_on_with_a_download_that_broke(cloud: Simulator, session: requests.Session, results_url: str) -> None:
    """From the byte where it broke: the storage honours the range."""
    cloud.arm({"on": "download", "fault": "disconnect", "after_bytes": 20_000})
    assert ids_in(_downloaded(results_url, session).decode()) == flagged_ids()
    assert [line["status"] for line in cloud.journal() if line.get("method") == "GET"] == [None, 206]


def test_it_notices_damaged_results(cloud: Simulator, session: requests.Session, results_url: str) -> None:
    """The checksum of the answer is another."""
    cloud.arm({"on": "download", "fault": "wrong_hash"})
    with pytest.raises(common.DataCorruption):
        _downloaded(results_url, session)
