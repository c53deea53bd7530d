"""The proxy through which the contract suites and the soak make a network fail: it does what it says."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from support.tcp_proxy import TcpProxy, running_tcp_proxy

BIG = bytes(range(256)) * 8_000


@dataclass
class Line:
    """A client that never tries again, the proxy before its server, and the server itself."""

    client: redis.Redis
    proxy: TcpProxy
    server: redis.Redis
    key: str


@pytest.fixture
def line(redis_server: str) -> Iterator[Line]:
    """A connection through the proxy that is open already."""
    with (
        running_tcp_proxy(redis_server) as proxy,
        redis.Redis.from_url(redis_server) as server,
        redis.Redis.from_url(proxy.url(redis_server), retry=Retry(NoBackoff(), 0)) as client,
    ):
        client.ping()
        yield Line(client, proxy, server, f"proxied:{uuid4().hex}")


def test_what_is_sent_arrives_both_ways(line: Line) -> None:
    """Without a fault a client does not notice the proxy."""
    assert line.client.set(line.key, BIG)
    assert line.client.get(line.key) == BIG


def test_a_lost_reply_was_acted_upon(line: Line) -> None:
    """The server did what it was asked, the client knows nothing, and the next connection is sound."""
    line.proxy.lose_next_reply(b"INCR")
    line.client.set("unrelated", "1")
    with pytest.raises(redis.ConnectionError):
        line.client.incr(line.key)
    assert (line.server.get(line.key), line.proxy.faults_left()) == (b"1", 0)
    assert line.client.incr(line.key) == 2


def test_a_lost_request_was_not_acted_upon(line: Line) -> None:
    """The server never saw it."""
    line.proxy.lose_next_request(times=2)
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            line.client.incr(line.key)
    assert line.server.get(line.key) is None
    assert line.client.incr(line.key) == 1


def test_forgotten_faults_do_not_strike(line: Line) -> None:
    """A test may end the bad time when it wants to."""
    line.proxy.lose_next_reply(times=9)
    line.proxy.forget_faults()
    assert line.client.incr(line.key) == 1


def test_replies_are_held_back(line: Line) -> None:
    """A slow server is slow for as long as it is told to be."""
    line.proxy.delay(0.2)
    begun = time.monotonic()
    line.client.ping()
    assert time.monotonic() - begun >= 0.2
    line.proxy.delay(0)
    assert line.client.ping()


def test_connections_are_reset(line: Line) -> None:
    """Who was connected is told so at once, and may come back."""
    with socket.create_connection(("127.0.0.1", line.proxy.port)) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"
        assert line.proxy.reset_connections() == 2
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    assert line.client.ping()


def test_connections_are_refused(line: Line) -> None:
    """Nobody listens until the proxy is told to, at the same address."""
    line.proxy.refuse(True)
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            line.client.ping()
    line.proxy.refuse(False)
    assert line.client.ping()


def test_a_server_that_is_down_ends_the_connection() -> None:
    """With nobody behind it (port 1 is reserved), the proxy hangs up."""
    with (
        running_tcp_proxy("redis://127.0.0.1:1/0") as proxy,
        redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.ConnectionError),
    ):
        client.ping()


def test_urls_keep_all_but_the_address() -> None:
    """User, password, database and options are the original's."""
    with running_tcp_proxy("redis://user:secret@127.0.0.1:6379/3?stream=a") as proxy:
        assert proxy.url("redis://user:secret@127.0.0.1:6379/3?stream=a") == (
            f"redis://user:secret@127.0.0.1:{proxy.port}/3?stream=a"
        )
