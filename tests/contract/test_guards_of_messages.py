"""What a worker's transport makes of entries that kombu did not put into the broker."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis

from complyq_workers.messages import UNREADABLE
from complyq_workers.redis_transport import Client


@pytest.fixture
def client(redis_server: str) -> Iterator[Client]:
    """What the transport reads with."""
    with Client(connection_pool=redis.ConnectionPool.from_url(redis_server), global_keyprefix="") as client:
        yield client
        client.connection_pool.disconnect()


@pytest.mark.parametrize("entry", [b"no sense", b"{}", b"\xff"])
def test_an_entry_of_somebody_else_is_handed_out_as_one(client: Client, entry: bytes) -> None:
    """Decoded as it is, it would end the worker's event loop, and with it the worker."""
    queue = f"guards:{uuid4().hex}"
    client.lpush(queue, entry)
    _, handed_out = client.brpop(queue, timeout=10)
    assert UNREADABLE in json.loads(handed_out)["headers"]
