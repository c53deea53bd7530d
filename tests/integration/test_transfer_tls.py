"""Transfers over TLS, as they are with X."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from complyq_workers.download import download, most_bytes
from complyq_workers.upload import put_whole
from complyq_workers.x import AmbiguousAnswerError, Request, StaticBearer, Transport
from support.certificates import certificate
from support.scripted_server import Exchange, scripted_server

DATA = b"1234567890123456789\n" * 200_000


@contextmanager
def tls_api(folder: Path, received: list[bytes]) -> Iterator[tuple[str, Path]]:
    """Run an API that keeps what it gets and gives it back."""

    def answer(exchange: Exchange) -> None:
        received.append(exchange.read())
        exchange.answer_early(200, {}, DATA if exchange.method == "GET" else b"")

    path = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with scripted_server(answer, context) as server:
        yield server.url.replace("http://", "https://"), path


def test_bytes_go_both_ways(tmp_path: Path) -> None:
    """Large blocks, the bearer and the pools work over TLS too."""
    received: list[bytes] = []
    with tls_api(tmp_path, received) as (url, path), BytesIO() as into:
        transport = Transport([], url, StaticBearer("AAAAtoken"))
        transport._sessions.current().verify = str(path)
        jobs = f"{url}/2/compliance/jobs/1"
        put_whole(transport, f"{jobs}/upload", lambda at: BytesIO(DATA[at:]), len(DATA), direct=True)
        download(transport, f"{jobs}/download", into, with_bearer=True, max_bytes=most_bytes(1))
        transport.close()
        assert into.getvalue() == DATA
    assert received[0] == DATA


def test_an_unknown_certificate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the environment can make us trust one."""
    received: list[bytes] = []
    with tls_api(tmp_path, received) as (url, path):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
        monkeypatch.setenv("CURL_CA_BUNDLE", str(path))
        transport = Transport([], url, StaticBearer("AAAAtoken"))
        with pytest.raises(AmbiguousAnswerError, match="TLS failed"):
            transport.send(Request("POST", f"{url}/2/compliance/jobs", body=b"{}", bearer=True))
        transport.close()
    assert received == []
