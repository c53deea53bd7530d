"""The one door through which requests leave, against real servers on loopback."""

import gzip
import logging
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from urllib3.exceptions import ConnectTimeoutError

from complyq_config.errors import ConfigurationError
from complyq_workers.x import (
    AmbiguousAnswerError,
    ForbiddenOriginError,
    RedirectRefusedError,
    Request,
    StaticBearer,
    Timeouts,
    Transport,
    UnauthorizedError,
    UnreachableError,
)
from support.scripted_server import Exchange, ScriptedServer, answering, in_turn, scripted_server

SECRET = "feedbeef0123456789"
TOKEN = "AAAAbearer"


@contextmanager
def transport_to(
    api: ScriptedServer, *allowed: ScriptedServer, proxy_url: str | None = None, read_seconds: float = 10
) -> Iterator[Transport]:
    """Open a transport whose API is the first server."""
    transport = Transport(
        [server.url for server in allowed],
        api.url,
        StaticBearer(TOKEN),
        proxy_url=proxy_url,
        timeouts=Timeouts(connect=5, read=read_seconds),
    )
    try:
        yield transport
    finally:
        transport.close()


def test_the_bearer_goes_to_the_api_where_it_is_asked_for() -> None:
    """The API gets it on request, and only then."""
    with scripted_server(answering(200, body=b"{}")) as api, transport_to(api) as transport:
        assert transport.send(Request("GET", f"{api.url}/a", bearer=True)).status == 200
        transport.send(Request("GET", f"{api.url}/b"))
    assert [seen.headers.get("authorization") for seen in api.seen] == [f"Bearer {TOKEN}", None]


def test_the_bearer_never_goes_to_another_origin() -> None:
    """Asked to send it to the storage, the transport sends nothing at all."""
    with (
        scripted_server(answering(200)) as api,
        scripted_server(answering(200)) as storage,
        transport_to(api, storage) as transport,
    ):
        with pytest.raises(ForbiddenOriginError):
            transport.send(Request("PUT", f"{storage.url}/o?sig={SECRET}", body=b"1\n", bearer=True))
        with pytest.raises(ForbiddenOriginError):
            transport.send(Request("POST", f"{storage.url}/o", authorization="Basic abc"))
        transport.send(Request("PUT", f"{storage.url}/o", body=b"1\n"))
    assert [seen.headers.get("authorization") for seen in storage.seen] == [None]


def test_a_foreign_origin_is_never_asked() -> None:
    """A URL that X did not promise gets no request, and its credential stays out of the message."""
    with (
        scripted_server(answering(200)) as api,
        scripted_server(answering(200)) as foreign,
        transport_to(api) as transport,
    ):
        with pytest.raises(ForbiddenOriginError) as caught:
            transport.send(Request("GET", f"{foreign.url}/o?sig={SECRET}"))
        with pytest.raises(ForbiddenOriginError), transport.stream(Request("GET", f"{foreign.url}/o?sig={SECRET}")):
            pass
    assert foreign.seen == []
    assert SECRET not in str(caught.value)
    assert foreign.url in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
def test_no_redirect_is_followed(status: int) -> None:
    """A redirect could carry a credential elsewhere, so it is an error even to an allowed origin."""
    with scripted_server(answering(200)) as other:
        redirect = answering(status, {"Location": f"{other.url}/elsewhere?sig={SECRET}"})
        with (
            scripted_server(redirect) as api,
            transport_to(api, other) as transport,
            pytest.raises(RedirectRefusedError) as caught,
        ):
            transport.send(Request("GET", f"{api.url}/a", bearer=True))
    assert other.seen == []
    assert f"redirect to {other.url};" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_308_is_an_answer_of_the_resumable_protocol() -> None:
    """There, and only there, it means: send more."""
    with scripted_server(answering(308, {"Range": "bytes=0-9"})) as api, transport_to(api) as transport:
        reply = transport.send(Request("PUT", f"{api.url}/session", resumable=True))
    assert (reply.status, reply.headers["range"]) == (308, "bytes=0-9")


def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry for the host neither replaces the bearer nor adds credentials of its own."""
    for name in (".netrc", "_netrc", "explicit"):
        (tmp_path / name).write_text("default login evil password hunter2\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "explicit"))
    with scripted_server(answering(200)) as api, transport_to(api) as transport:
        transport.send(Request("GET", f"{api.url}/a", bearer=True))
        transport.send(Request("GET", f"{api.url}/b"))
    assert [seen.headers.get("authorization") for seen in api.seen] == [f"Bearer {TOKEN}", None]


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody learns from HTTPS_PROXY where we go."""
    with scripted_server(answering(200)) as proxy, scripted_server(answering(204)) as api:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with transport_to(api) as transport:
            assert transport.send(Request("GET", f"{api.url}/a")).status == 204
    assert proxy.seen == []


def test_an_explicit_proxy_is_used_for_other_machines_only() -> None:
    """The setting sends X's traffic through the proxy; loopback stays direct. The proxy's password stays hidden."""
    with scripted_server(answering(403)) as proxy, scripted_server(answering(204)) as api:
        with_password = proxy.url.replace("http://", "http://user:hunter22@")
        with transport_to(api, proxy_url=with_password) as transport:
            assert transport.send(Request("GET", f"{api.url}/a")).status == 204
            with pytest.raises(UnreachableError) as caught:
                transport.send(Request("PUT", f"https://storage.googleapis.com/b/o?sig={SECRET}", body=b"1"))
    assert [(seen.method, seen.path) for seen in proxy.seen] == [("CONNECT", "storage.googleapis.com:443")]
    assert "hunter22" not in str(caught.value)


def test_cookies_are_not_kept() -> None:
    """A server cannot tag us."""
    with scripted_server(answering(200, {"Set-Cookie": "guest=1"})) as api, transport_to(api) as transport:
        transport.send(Request("GET", f"{api.url}/a"))
        transport.send(Request("GET", f"{api.url}/b"))
    assert [seen.headers.get("cookie") for seen in api.seen] == [None, None]


def cut(exchange: Exchange) -> None:
    """Reset the connection instead of answering."""
    exchange.cut()


def half(exchange: Exchange) -> None:
    """Announce more than is sent."""
    exchange.answer(200, {"Content-Length": "100"}, b"x" * 50)


def nonsense(exchange: Exchange) -> None:
    """Answer what is no HTTP."""
    exchange.send_raw(b"SSH-2.0-OpenSSH\r\n\r\n")


@pytest.mark.parametrize("script", [cut, half, nonsense])
def test_failures_hide_the_url_and_the_library(
    script: object, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the error, nor what hangs in its context, nor any log line holds a credential."""
    caplog.set_level(logging.DEBUG)
    with scripted_server(script) as api, transport_to(api) as transport:  # type: ignore[arg-type] # parametrized
        request = Request("PUT", f"{api.url}/o?X-Goog-Signature={SECRET}", body=b"1\n", bearer=True)
        with pytest.raises(AmbiguousAnswerError, match=r"PUT http://127.0.0.1:\d+/o: ") as caught:
            transport.send(request)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    said = f"{caught.value!r} {caplog.text} {capsys.readouterr()} {request!r} {transport!r}"
    assert SECRET not in said
    assert TOKEN not in said


def test_debug_logs_show_requests_without_queries(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever turns on debug logging still sees no signed URL."""
    caplog.set_level(logging.DEBUG)
    with scripted_server(answering(200)) as api, transport_to(api) as transport:
        transport.send(Request("GET", f"{api.url}/o?X-Goog-Signature={SECRET}"))
    assert "/o?***" in caplog.text
    assert SECRET not in caplog.text


def test_nobody_there_means_nothing_was_sent() -> None:
    """A refused connection is told from a lost answer."""
    with scripted_server(answering(200)) as api:
        pass
    with transport_to(api) as transport, pytest.raises(UnreachableError, match="no connection"):
        transport.send(Request("POST", f"{api.url}/jobs", body=b"{}"))


def test_an_earlier_failure_elsewhere_does_not_make_a_lost_answer_harmless() -> None:
    """What the caller was just handling says nothing about this request."""

    def fail_elsewhere() -> None:
        raise ConnectTimeoutError

    with scripted_server(cut) as api, transport_to(api) as transport:
        try:
            fail_elsewhere()
        except ConnectTimeoutError:
            with pytest.raises(AmbiguousAnswerError) as caught:
                transport.send(Request("POST", f"{api.url}/jobs", body=b"{}"))
    assert type(caught.value) is AmbiguousAnswerError


def test_a_silent_server_does_not_hold_us_forever() -> None:
    """Every request has a time-out."""
    waiting: list[bytes] = []
    with (
        scripted_server(lambda exchange: waiting.append(exchange._stream.read(1))) as api,
        transport_to(api, read_seconds=0.2) as transport,
        pytest.raises(AmbiguousAnswerError, match="timed out"),
    ):
        transport.send(Request("GET", f"{api.url}/a"))


def test_error_bodies_are_read_in_part() -> None:
    """An endless error page does not fill the memory."""
    with scripted_server(answering(500, body=b"x" * 1_000_000)) as api, transport_to(api) as transport:
        assert len(transport.send(Request("GET", f"{api.url}/a")).body) == 64 * 1024


def test_a_compressed_error_page_does_not_fill_the_memory() -> None:
    """Of an error that would expand to a gigabyte only the beginning is decoded."""
    bomb = gzip.compress(b" " * (64 << 20))
    with (
        scripted_server(answering(500, {"Content-Encoding": "gzip"}, bomb)) as api,
        transport_to(api) as transport,
    ):
        tracemalloc.start()
        try:
            assert len(transport.send(Request("GET", f"{api.url}/a")).body) <= 64 * 1024
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    "head",
    [b"X-Long: " + b"x" * 1_000_000, b"\r\n".join(b"X-Many: %d" % number for number in range(1_000))],
    ids=["long", "many"],
)
def test_endless_headers_are_an_error_of_ours(head: bytes) -> None:
    """An answer whose headers have no end is none."""
    with (
        scripted_server(lambda exchange: exchange.send_raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")) as api,
        transport_to(api) as transport,
        pytest.raises(AmbiguousAnswerError),
    ):
        transport.send(Request("GET", f"{api.url}/a"))


def test_a_401_is_final_for_a_given_bearer() -> None:
    """There is no other token to try."""
    with scripted_server(answering(401)) as api, transport_to(api) as transport:
        assert transport.send(Request("GET", f"{api.url}/a", bearer=True)).status == 401
    assert len(api.seen) == 1


def test_without_credentials_nothing_is_sent() -> None:
    """A request that wants the bearer fails before it leaves."""
    with scripted_server(answering(200)) as api:
        transport = Transport([], api.url)
        with pytest.raises(UnauthorizedError):
            transport.send(Request("GET", f"{api.url}/a", bearer=True))
        transport.close()
    assert api.seen == []


def test_plain_http_api_elsewhere_is_a_configuration_error() -> None:
    """The bearer never travels in the clear."""
    with pytest.raises(ConfigurationError):
        Transport([], "http://api.x.com")


def test_a_forked_child_opens_its_own_connections() -> None:
    """A prefork worker's child does not answer on its parent's socket."""
    with scripted_server(answering(200)) as api, transport_to(api) as transport:
        transport.send(Request("GET", f"{api.url}/parent"))
        before = transport._sessions.current()
        transport._sessions._pid = os.getpid() + 1
        assert transport._sessions.current() is not before
        before.close()


def test_a_dropped_keepalive_connection_costs_nothing() -> None:
    """A server that closes between requests is reconnected to."""
    with scripted_server(in_turn(answering(200, {"Connection": ""}), answering(201))) as api, transport_to(api) as t:
        assert t.send(Request("GET", f"{api.url}/a")).status == 200
        api.settle()
        assert t.send(Request("GET", f"{api.url}/b")).status == 201
