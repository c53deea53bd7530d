"""Real transfers, in both contracts, with the simulator as X and as its storage."""

import io
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO

import pytest

from complyq_workers.download import download, most_bytes
from complyq_workers.upload import (
    Pace,
    SessionGoneError,
    StartRefusedError,
    UploadContract,
    UploadInterruptedError,
    WindowExpiredError,
    contract_of,
    put_whole,
    resume,
    start_session,
    verify_hashes,
)
from complyq_workers.x import (
    AmbiguousAnswerError,
    CancelUnsupportedError,
    ComplianceJob,
    ForbiddenOriginError,
    JobNotFoundError,
    Patience,
    RateLimitedError,
    RedirectRefusedError,
    ResumableRefusedError,
    SlotBusyError,
    StaticBearer,
    Transport,
    UnauthorizedError,
    XClient,
    is_direct,
    is_final,
)
from support.simulator_process import Simulator, running_simulator

IDS = b"".join(b"%d\n" % number for number in range(10**17, 10**17 + 100_000))
TOTAL = len(IDS)
CHUNK = 262_144
AT_ONCE = Pace(patience=Patience(wait=lambda _: None))


def source(offset: int) -> AbstractContextManager[BinaryIO]:
    """Open the payload as a store would."""
    return io.BytesIO(IDS[offset:])


@contextmanager
def client_of(simulator: Simulator, token: str | None = None) -> Iterator[XClient]:
    """Open a client of a simulator."""
    transport = Transport([simulator.storage_url], simulator.api_url)
    yield XClient(simulator.api_url, transport, StaticBearer(token or simulator.token))
    transport.close()


@pytest.fixture(scope="module")
def clouds() -> Iterator[Simulator]:
    """A simulator of the Cloud Storage contract."""
    with running_simulator(processing_seconds=0, rate_limit=100_000, allow_concurrent_jobs=True) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def directs() -> Iterator[Simulator]:
    """A simulator of the direct contract."""
    flags: dict[str, Any] = {"rate_limit": 100_000, "allow_concurrent_jobs": True}
    with running_simulator(contract="direct", processing_seconds=0, **flags) as simulator:
        yield simulator


@pytest.fixture
def cloud(clouds: Simulator) -> Iterator[tuple[XClient, Simulator]]:
    """A client in the Cloud Storage contract; no fault outlives a test."""
    with client_of(clouds) as client:
        yield client, clouds
    clouds.disarm()


@pytest.fixture
def direct(directs: Simulator) -> Iterator[tuple[XClient, Simulator]]:
    """A client in the direct contract; no fault outlives a test."""
    with client_of(directs) as client:
        yield client, directs
    directs.disarm()


def final(client: XClient, job: ComplianceJob) -> ComplianceJob:
    """Wait until a job is final."""
    while not is_final((seen := client.get_job(job.id).value).status):
        time.sleep(0.02)
    return seen


def results(client: XClient, job: ComplianceJob) -> bytes:
    """Download the results of a job."""
    with io.BytesIO() as into:
        url = final(client, job).download_url or ""
        direct = is_direct(url, client.transport.api_url)
        download(client.transport, url, into, with_bearer=direct, max_bytes=most_bytes(TOTAL))
        return into.getvalue()


def upload_url(job: ComplianceJob) -> str:
    """Give the URL that a new job must have."""
    assert job.upload_url is not None
    return job.upload_url


@pytest.mark.parametrize("chunk_bytes", [0, CHUNK])
def test_a_resumable_job_from_create_to_results(cloud: tuple[XClient, Simulator], chunk_bytes: int) -> None:
    """Created, uploaded with verified checksums, complete, downloaded with a verified checksum."""
    client, _ = cloud
    job = client.create_job("tweets", "n").value
    assert contract_of(upload_url(job), client.transport.api_url) is UploadContract.RESUMABLE
    uri = start_session(client.transport, upload_url(job))
    assert resume(client.transport, uri, source, TOTAL, chunk_bytes=chunk_bytes).verified
    assert final(client, job).status == "complete"
    assert results(client, job).count(b'"id"') > 1000
    assert job.id in {known.id for known in client.list_jobs("tweets").value}


@pytest.mark.parametrize(
    "faults",
    [
        [{"fault": "disconnect", "after_bytes": 300_000}],
        [{"fault": "disconnect", "after_bytes": 300_000, "times": 3}],
        [{"fault": "lost_answer"}],
        [{"fault": "status", "status": 503, "times": 3}],
        [{"fault": "persist_less", "bytes": CHUNK}],
    ],
    ids=["cut", "three cuts", "answer lost", "503", "persists less"],
)
@pytest.mark.parametrize("chunk_bytes", [0, CHUNK])
def test_uploads_survive(cloud: tuple[XClient, Simulator], faults: list[dict[str, object]], chunk_bytes: int) -> None:
    """The storage ends up with exactly our bytes."""
    client, simulator = cloud
    job = client.create_job("users", "n").value
    uri = start_session(client.transport, upload_url(job))
    for fault in faults:
        simulator.arm({"on": "upload", **fault})
    delivered = resume(client.transport, uri, source, TOTAL, chunk_bytes=chunk_bytes, pace=AT_ONCE)
    assert verify_hashes(source, TOTAL, delivered.hashes)
    assert simulator.armed() == []
    assert final(client, job).status == "complete"


def test_a_dead_session_is_replaced(cloud: tuple[XClient, Simulator]) -> None:
    """410 in the middle: the same URL starts another session while the window lasts."""
    client, simulator = cloud
    job = client.create_job("tweets", "n").value
    uri = start_session(client.transport, upload_url(job))
    simulator.arm({"on": "upload", "fault": "dead_session"})
    with pytest.raises(SessionGoneError):
        resume(client.transport, uri, source, TOTAL, pace=AT_ONCE)
    resume(client.transport, start_session(client.transport, upload_url(job)), source, TOTAL)
    assert final(client, job).status == "complete"


def test_a_plain_url_refuses_sessions_and_takes_a_put(cloud: tuple[XClient, Simulator]) -> None:
    """What the signed headers say is what the storage does."""
    client, _ = cloud
    job = client.create_job("tweets", "n", resumable=False).value
    assert contract_of(upload_url(job), client.transport.api_url) is UploadContract.SINGLE_PUT
    with pytest.raises(StartRefusedError):
        start_session(client.transport, upload_url(job))
    assert put_whole(client.transport, upload_url(job), source, TOTAL, direct=False).verified
    assert final(client, job).status == "complete"


def test_the_storage_never_sees_the_bearer(cloud: tuple[XClient, Simulator]) -> None:
    """The journal of everything that was sent says so."""
    client, simulator = cloud
    job = client.create_job("tweets", "n").value
    resume(client.transport, start_session(client.transport, upload_url(job)), source, TOTAL)
    results(client, job)
    storage = simulator.storage_url.partition("//")[2]
    seen = [line for line in simulator.journal() if line["kind"] == "request" and line["host"] == storage]
    assert len(seen) > 3
    assert not any(line["authorization"] for line in seen)


def test_downloads_survive(cloud: tuple[XClient, Simulator]) -> None:
    """Cut off twice, the results are complete and verified."""
    client, simulator = cloud
    job = client.create_job("tweets", "n").value
    resume(client.transport, start_session(client.transport, upload_url(job)), source, TOTAL)
    whole = results(client, job)
    simulator.arm({"on": "download", "fault": "truncate", "after_bytes": 100_000, "times": 2})
    assert results(client, job) == whole


def test_a_direct_job_from_create_to_results(direct: tuple[XClient, Simulator]) -> None:
    """Resumable is refused, one PUT with the bearer is taken, and the results come back."""
    client, _ = direct
    with pytest.raises(ResumableRefusedError):
        client.create_job("tweets", "n")
    job = client.create_job("tweets", "n", resumable=False).value
    assert contract_of(upload_url(job), client.transport.api_url) is UploadContract.DIRECT
    put_whole(client.transport, upload_url(job), source, TOTAL, direct=True)
    assert final(client, job).status == "complete"
    assert results(client, job).count(b'"id"') > 1000


def test_a_direct_upload_that_breaks_is_sent_again(direct: tuple[XClient, Simulator]) -> None:
    """The whole PUT, while the URL lives; cancelling frees the slot."""
    client, simulator = direct
    job = client.create_job("users", "n", resumable=False).value
    simulator.arm({"on": "upload", "fault": "disconnect", "after_bytes": 300_000})
    with pytest.raises(UploadInterruptedError):
        put_whole(client.transport, upload_url(job), source, TOTAL, direct=True)
    put_whole(client.transport, upload_url(job), source, TOTAL, direct=True)
    assert final(client, job).status == "complete"
    other = client.create_job("users", "n", resumable=False).value
    client.cancel_job(other.id)
    assert client.get_job(other.id).value.status == "failed"


def test_what_the_api_refuses(cloud: tuple[XClient, Simulator]) -> None:
    """Each refusal has its class."""
    client, simulator = cloud
    with pytest.raises(JobNotFoundError):
        client.get_job("1")
    with pytest.raises(CancelUnsupportedError):
        client.cancel_job(client.create_job("tweets", "n").value.id)
    simulator.arm({"on": "create", "fault": "lost_answer"})
    with pytest.raises(AmbiguousAnswerError):
        client.create_job("users", "lost")
    assert "lost" in {job.name for job in client.list_jobs("users").value}
    simulator.arm({"on": "get", "fault": "redirect", "location": "https://evil.example/"})
    with pytest.raises(RedirectRefusedError):
        client.get_job("1")
    with client_of(simulator, "wrong") as stranger, pytest.raises(UnauthorizedError):
        stranger.list_jobs("tweets")


def test_urls_elsewhere_are_refused(cloud: tuple[XClient, Simulator]) -> None:
    """Neither a job's URL nor a session's may lead away."""
    client, simulator = cloud
    simulator.arm({"on": "create", "fault": "foreign_url", "origin": "https://evil.example"})
    job = client.create_job("tweets", "n").value
    with pytest.raises(ForbiddenOriginError):
        start_session(client.transport, upload_url(job))
    simulator.arm({"on": "session", "fault": "foreign_url", "origin": "https://evil.example"})
    job = client.create_job("tweets", "n").value
    with pytest.raises(ForbiddenOriginError):
        start_session(client.transport, upload_url(job))


def test_slots_budgets_and_windows_of_a_strict_x() -> None:
    """One active job a type, a budget with its end, and an upload window that closes."""
    with running_simulator(rate_limit=3) as simulator, client_of(simulator) as client:
        job = client.create_job("tweets", "n").value
        with pytest.raises(SlotBusyError):
            client.create_job("tweets", "n")
        client.create_job("users", "n")
        with pytest.raises(RateLimitedError) as caught:
            client.create_job("users", "n")
        assert caught.value.retry_at is not None
        simulator.advance_clock(3600)
        with pytest.raises(WindowExpiredError):
            start_session(client.transport, upload_url(job))
