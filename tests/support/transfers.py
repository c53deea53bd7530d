"""A payload, and places to send it to, for the tests of transfers."""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from complyq_workers.upload import Pace
from complyq_workers.x import Patience, StaticBearer, Timeouts, Transport
from support.scripted_server import Script, ScriptedServer, answering, scripted_server

DATA = b"".join(b"%d\n" % number for number in range(10**17, 10**17 + 60_000))
TOTAL = len(DATA)
LONG = 20_000_000
AT_ONCE = Pace(patience=Patience(wait=lambda _: None))
"""Never sleeps between failures."""


def source(offset: int) -> AbstractContextManager[BinaryIO]:
    """Open the payload as a store would."""
    return io.BytesIO(DATA[offset:])


def long_source(offset: int) -> AbstractContextManager[BinaryIO]:
    """Open a payload far longer than what fits into the sockets' buffers."""
    return io.BytesIO(b"1234567890123456789\n" * ((LONG - offset) // 20))


@contextmanager
def storage(script: Script) -> Iterator[tuple[Transport, ScriptedServer]]:
    """Run a storage beside an API that nobody should ask."""
    with scripted_server(answering(500)) as api, scripted_server(script) as server:
        transport = Transport([server.url], api.url, StaticBearer("AAAAtoken"), timeouts=Timeouts(5, 10))
        yield transport, server
        transport.close()
    assert api.seen == []
    assert all("authorization" not in seen.headers for seen in server.seen)


@contextmanager
def direct(script: Script) -> Iterator[tuple[Transport, ScriptedServer]]:
    """Run an API that takes the bytes itself."""
    with scripted_server(script) as api:
        transport = Transport([], api.url, StaticBearer("AAAAtoken"), timeouts=Timeouts(5, 10))
        yield transport, api
        transport.close()
