"""Uploads in one PUT, to Cloud Storage and to the API itself."""

import time

import pytest

from complyq_workers.upload import (
    TooLargeError,
    UploadInterruptedError,
    UploadRefusedError,
    WindowExpiredError,
    put_whole,
)
from complyq_workers.x import (
    ExchangedBearer,
    StaticBearer,
    Timeouts,
    Transport,
    UnauthorizedError,
)
from support.scripted_server import Exchange, scripted_server
from support.storage_session import (
    StorageSession,
)
from support.transfers import DATA, LONG, TOTAL, direct, long_source, source, storage


def test_a_plain_put_is_verified() -> None:
    """One request, text/plain, no Authorization, checksums compared."""
    session = StorageSession(TOTAL)

    def take(exchange: Exchange) -> None:
        session.keep(0, exchange.read())
        exchange.answer_early(200, {"x-goog-hash": session.hashes()})

    with storage(take) as (transport, server):
        assert put_whole(transport, f"{server.url}/b/o?sig=1", source, TOTAL, direct=False).verified
    assert session.stored == DATA
    assert server.seen[0].headers["content-type"] == "text/plain"
    assert server.seen[0].headers["content-length"] == str(TOTAL)


def test_a_direct_put_carries_the_bearer() -> None:
    """The current contract wants it."""
    received: list[bytes] = []

    def take(exchange: Exchange) -> None:
        received.append(exchange.read())
        exchange.answer_early(200, {}, b'{"data":{}}')

    with direct(take) as (transport, api):
        url = f"{api.url}/2/compliance/jobs/1/upload?token=t"
        assert not put_whole(transport, url, source, TOTAL, direct=True).verified
    assert received == [DATA]
    assert api.seen[0].headers["authorization"] == "Bearer AAAAtoken"


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (413, TooLargeError),
        (401, UnauthorizedError),
        (403, WindowExpiredError),
        (400, UploadRefusedError),
        (409, UploadRefusedError),
        (503, UploadInterruptedError),
    ],
)
def test_what_a_refused_direct_put_means(status: int, error: type[Exception], *, early: bool) -> None:
    """Also where X answers while the bytes still flow."""

    def answer(exchange: Exchange) -> None:
        exchange.read(1000 if early else -1)
        exchange.answer_early(status, {}, b'{"title":"t","detail":"d"}')

    with direct(answer) as (transport, api), pytest.raises(error):
        put_whole(transport, f"{api.url}/2/compliance/jobs/1/upload?token=t", long_source, LONG, direct=True)
    assert len(api.seen) == 1


def test_a_lost_answer_to_a_put_is_an_interruption() -> None:
    """It may have arrived; the job's status will tell."""

    def lose(exchange: Exchange) -> None:
        exchange.read()
        exchange.cut()

    with direct(lose) as (transport, api), pytest.raises(UploadInterruptedError):
        put_whole(transport, f"{api.url}/2/compliance/jobs/1/upload?token=t", source, TOTAL, direct=True)
    assert len(api.seen) == 1


def test_an_exchanged_bearer_is_renewed_for_a_put() -> None:
    """A token that X revoked in the meantime costs one more PUT, not the job."""
    tokens = [b"AAAAold", b"AAAAnew"]

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/oauth2/token":
            return exchange.answer(200, {}, b'{"access_token":"%s"}' % tokens.pop(0))
        good = exchange.headers["authorization"] == "Bearer AAAAnew"
        return exchange.answer(200 if good else 401)

    with direct(answer) as (transport, api):
        transport.use(ExchangedBearer("key", "secret", transport))
        put_whole(transport, f"{api.url}/2/compliance/jobs/1/upload?token=t", source, TOTAL, direct=True)
    assert [seen.method for seen in api.seen] == ["POST", "PUT", "POST", "PUT"]


def test_a_slow_line_is_not_a_dead_one() -> None:
    """A block may take longer to leave than a connection may take to be made."""

    def read_late(exchange: Exchange) -> None:
        time.sleep(0.6)
        exchange.answer(200)

    with scripted_server(read_late) as api:
        transport = Transport([], api.url, StaticBearer("AAAAtoken"), timeouts=Timeouts(connect=0.2, read=10))
        put_whole(transport, f"{api.url}/2/compliance/jobs/1/upload", long_source, LONG, direct=True)
        transport.close()
