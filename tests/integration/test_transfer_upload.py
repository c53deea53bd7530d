"""Uploads over real connections that break in the ways networks and servers do."""

import logging
import time

import pytest

from complyq_workers.upload import (
    CorruptUploadError,
    Pace,
    PayloadMismatchError,
    SessionGoneError,
    StartRefusedError,
    UploadInterruptedError,
    UploadPausedError,
    WindowExpiredError,
    resume,
    start_session,
    verify_hashes,
)
from complyq_workers.x import (
    ForbiddenOriginError,
    Patience,
)
from support.scripted_server import Exchange, answering
from support.storage_session import (
    CHUNK_UNIT,
    StorageSession,
    answer_lost,
    cut_after,
    die_early,
    refuse,
    take_part_and_tell,
    tell_range,
)
from support.transfers import AT_ONCE, DATA, LONG, TOTAL, long_source, source, storage


def test_one_stream_is_the_default() -> None:
    """Start, ask, send: three requests, and the server's checksums agree with ours."""
    session = StorageSession(TOTAL)
    progress: list[tuple[int, int]] = []
    with storage(session) as (transport, server):
        uri = start_session(transport, f"{server.url}/b/o?X-Goog-Signature=s")
        delivered = resume(transport, uri, source, TOTAL, pace=Pace(lambda *at: progress.append(at)))
    assert session.stored == DATA
    assert delivered.verified
    assert session.ranges == [f"bytes */{TOTAL}", f"bytes 0-{TOTAL - 1}/{TOTAL}"]
    assert [seen.headers.get("transfer-encoding") for seen in server.seen] == [None, None, None]
    assert progress[0] == (0, TOTAL)
    assert progress[-1] == (TOTAL, TOTAL)
    assert server.seen[0].headers["x-goog-resumable"] == "start"
    assert server.seen[0].headers["content-type"] == "text/plain"
    assert server.seen[0].headers["content-length"] == "0"


def test_a_new_session_is_not_asked_what_it_has() -> None:
    """One request carries everything; only after a failure the server is asked."""
    session = StorageSession(TOTAL, cut_after(read=600_000, keep=2 * CHUNK_UNIT))
    with storage(session) as (transport, server):
        delivered = resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, is_new=True, pace=AT_ONCE)
    assert session.ranges == [
        f"bytes 0-{TOTAL - 1}/{TOTAL}",
        f"bytes */{TOTAL}",
        f"bytes {2 * CHUNK_UNIT}-{TOTAL - 1}/{TOTAL}",
    ]
    assert verify_hashes(source, TOTAL, delivered.hashes)


def test_chunks_where_they_are_wanted() -> None:
    """Every request but the last carries a multiple of 256 KiB."""
    session = StorageSession(TOTAL)
    with storage(session) as (transport, server):
        delivered = resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, chunk_bytes=CHUNK_UNIT)
    assert session.stored == DATA
    assert delivered.verified
    sizes = [int(seen.headers["content-length"]) for seen in server.seen[1:]]
    assert len(sizes) == -(-TOTAL // CHUNK_UNIT)
    assert set(sizes[:-1]) == {CHUNK_UNIT}


@pytest.mark.parametrize("chunk_bytes", [0, CHUNK_UNIT])
@pytest.mark.parametrize(
    "faults",
    [
        [cut_after(read=600_000, keep=2 * CHUNK_UNIT)],
        [cut_after(read=600_000, keep=0)],
        [cut_after(read=0, keep=0)],
        [take_part_and_tell(keep=CHUNK_UNIT)],
        [take_part_and_tell(keep=0)],
        [answer_lost],
        [refuse(503), refuse(429), refuse(500), refuse(408)],
        [cut_after(read=CHUNK_UNIT, keep=CHUNK_UNIT)] * 4,
    ],
    ids=["partial", "nothing", "at once", "persists less", "persists none", "answer lost", "statuses", "four cuts"],
)
def test_an_upload_goes_on_from_the_servers_offset(faults: list[object], chunk_bytes: int) -> None:
    """Whatever breaks, every byte arrives once and in order."""
    session = StorageSession(TOTAL, *faults)  # type: ignore[arg-type] # parametrized
    with storage(session) as (transport, server):
        delivered = resume(
            transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, chunk_bytes=chunk_bytes, pace=AT_ONCE
        )
        assert verify_hashes(source, TOTAL, delivered.hashes)
    assert session.stored == DATA
    assert session.finished


def test_another_worker_goes_on_where_one_stopped() -> None:
    """The session URI is all that a later run needs."""
    session = StorageSession(TOTAL)
    session.keep(0, DATA[: 3 * CHUNK_UNIT])
    with storage(session) as (transport, server):
        delivered = resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL)
    assert session.ranges[1] == f"bytes {3 * CHUNK_UNIT}-{TOTAL - 1}/{TOTAL}"
    assert session.stored == DATA
    assert not delivered.verified
    assert verify_hashes(source, TOTAL, delivered.hashes)


def test_an_upload_that_had_already_finished_sends_nothing() -> None:
    """A worker that died after the last byte is not followed by a second upload."""
    session = StorageSession(TOTAL)
    session.keep(0, DATA)
    with storage(session) as (transport, server):
        delivered = resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL)
    assert session.ranges == [f"bytes */{TOTAL}"]
    assert verify_hashes(source, TOTAL, delivered.hashes)


def test_a_zombie_on_the_same_session_does_no_harm() -> None:
    """Another worker wrote further than we sent: the server's word, asked for twice, counts."""

    def zombie(session: StorageSession, exchange: Exchange, _first: int) -> None:
        exchange.read()
        session.keep(0, DATA[: 3 * CHUNK_UNIT])
        session.tell(exchange)

    session = StorageSession(TOTAL, zombie)
    with storage(session) as (transport, server):
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, chunk_bytes=CHUNK_UNIT, pace=AT_ONCE)
    assert session.ranges[2] == f"bytes */{TOTAL}"
    assert session.ranges[3].startswith(f"bytes {3 * CHUNK_UNIT}-")
    assert session.stored == DATA


def test_one_wrong_offset_is_forgiven_where_the_server_corrects_it() -> None:
    """An answer from an old replica is asked again."""
    session = StorageSession(TOTAL, tell_range("bytes=0-9"))
    session.keep(0, DATA[:CHUNK_UNIT])
    with storage(session) as (transport, server):
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, pace=AT_ONCE)
    assert session.stored == DATA


def test_bytes_that_vanish_stop_the_upload() -> None:
    """Twice less than before is corruption."""

    def forget(session: StorageSession, exchange: Exchange, _first: int) -> None:
        exchange.read()
        del session.stored[CHUNK_UNIT:]
        session.tell(exchange)

    session = StorageSession(TOTAL, forget)
    session.keep(0, DATA[: 2 * CHUNK_UNIT])
    with storage(session) as (transport, server), pytest.raises(CorruptUploadError):
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, pace=AT_ONCE)


def test_more_than_there_is_stops_the_upload() -> None:
    """The server holds somebody else's bytes."""
    session = StorageSession(TOTAL, tell_range(f"bytes=0-{TOTAL}"))
    with storage(session) as (transport, server), pytest.raises(CorruptUploadError):
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, pace=AT_ONCE)


def test_other_bytes_stop_the_upload() -> None:
    """A checksum that differs is never passed over, even when the length is right."""

    def garble(session: StorageSession, exchange: Exchange, first: int) -> None:
        session.keep(first, exchange.read()[:-1] + b"x")
        session.tell(exchange)

    session = StorageSession(TOTAL, garble)
    with storage(session) as (transport, server), pytest.raises(CorruptUploadError):
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL)


def test_resumed_uploads_are_verified_by_reading_again() -> None:
    """Where an earlier worker sent garbage, the second reading shows it."""
    session = StorageSession(TOTAL)
    session.keep(0, b"x" * CHUNK_UNIT)
    with storage(session) as (transport, server):
        delivered = resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL)
    with pytest.raises(CorruptUploadError):
        verify_hashes(source, TOTAL, delivered.hashes)


@pytest.mark.parametrize("status", [404, 410])
def test_a_dead_session_is_said_so(status: int) -> None:
    """A new session can be started while the window lasts."""
    session = StorageSession(TOTAL)
    session.gone = status
    with storage(session) as (transport, server), pytest.raises(SessionGoneError):
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, pace=AT_ONCE)


@pytest.mark.parametrize("status", [404, 410])
def test_a_session_that_dies_while_bytes_flow_is_noticed(status: int) -> None:
    """An answer in the middle of the body is read, or asked for again."""
    session = StorageSession(LONG, die_early(status))
    with storage(session) as (transport, server), pytest.raises(SessionGoneError):
        resume(transport, f"{server.url}/b/o?upload_id=1", long_source, LONG, pace=AT_ONCE)


def test_a_network_that_stays_down_ends_the_run_with_the_offset() -> None:
    """After five failures without progress the task is left to a later run."""
    session = StorageSession(TOTAL, *[cut_after(read=0, keep=0)] * 50)
    session.keep(0, DATA[:CHUNK_UNIT])
    waited: list[float] = []
    pace = Pace(patience=Patience(failures=5, wait=waited.append))
    with storage(session) as (transport, server), pytest.raises(UploadInterruptedError) as caught:
        resume(transport, f"{server.url}/b/o?upload_id=ADPsession", source, TOTAL, pace=pace)
    assert caught.value.offset == CHUNK_UNIT
    assert "ADPsession" not in str(caught.value)
    assert len(waited) == 4
    assert waited == sorted(waited)


def test_progress_makes_up_for_failures() -> None:
    """A connection that breaks every quarter megabyte is slow, not hopeless."""
    session = StorageSession(TOTAL, *[cut_after(read=CHUNK_UNIT // 2, keep=CHUNK_UNIT // 4)] * 10)
    pace = Pace(patience=Patience(failures=2, wait=lambda _: None))
    with storage(session) as (transport, server):
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, pace=pace)
    assert session.stored == DATA


def test_the_deadline_pauses_the_run() -> None:
    """A step checkpoints in time; the next run goes on."""
    session = StorageSession(TOTAL)
    with storage(session) as (transport, server):
        with pytest.raises(UploadPausedError):
            resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, pace=Pace(deadline=time.monotonic() - 1))
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL)
    assert session.stored == DATA


class LeaseLostError(OSError):
    """Looks like a failure of the network, and is none."""


def test_a_lost_lease_stops_the_bytes_at_once() -> None:
    """What the caller raises comes out as it is, whatever its class, and nothing more is sent."""

    def lose(offset: int, _: int) -> None:
        if offset > 0:
            raise LeaseLostError

    def read_on(session: StorageSession, exchange: Exchange, first: int) -> None:
        session.keep(first, exchange.read())

    session = StorageSession(TOTAL, read_on)
    with storage(session) as (transport, server), pytest.raises(LeaseLostError):
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL, pace=Pace(lose))
    assert len(session.stored) < TOTAL
    assert len(server.seen) <= 2  # the server may not have looked before the connection closed


def test_a_payload_shorter_than_planned_is_our_fault() -> None:
    """It is not taken for a network failure and not repeated."""
    session = StorageSession(TOTAL + 10)
    with storage(session) as (transport, server), pytest.raises(PayloadMismatchError):
        resume(transport, f"{server.url}/b/o?upload_id=1", source, TOTAL + 10)
    assert len(server.seen) <= 2  # the server may not have looked before the connection closed


def test_a_session_elsewhere_is_refused() -> None:
    """A Location to another origin gets no bytes."""
    with (
        storage(answering(201, {"Location": "https://evil.example/o?upload_id=1"})) as (transport, server),
        pytest.raises(ForbiddenOriginError),
    ):
        start_session(transport, f"{server.url}/b/o")


def test_no_credential_reaches_the_log(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the signed URL nor the session URI, not even with debug logging and failures."""
    caplog.set_level(logging.DEBUG)
    session = StorageSession(TOTAL, cut_after(read=1000, keep=0), refuse(503))
    with storage(session) as (transport, server):
        uri = start_session(transport, f"{server.url}/b/o?X-Goog-Signature=feedbeef01")
        resume(transport, uri, source, TOTAL, pace=AT_ONCE)
    said = f"{caplog.text} {capsys.readouterr()}"
    assert "ADPsession" not in said
    assert "feedbeef01" not in said


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", StartRefusedError),
        (400, b"<Error><Code>ExpiredToken</Code></Error>", WindowExpiredError),
        (503, b"", UploadInterruptedError),
    ],
)
def test_starts_that_fail(status: int, body: bytes, error: type[Exception]) -> None:
    """No session: plain PUT, new job, or later."""
    with storage(answering(status, {}, body)) as (transport, server), pytest.raises(error):
        start_session(transport, f"{server.url}/b/o")


def test_a_start_without_an_answer_can_be_tried_again() -> None:
    """A second session does no harm."""
    with storage(lambda exchange: exchange.cut()) as (transport, server), pytest.raises(UploadInterruptedError):
        start_session(transport, f"{server.url}/b/o")
