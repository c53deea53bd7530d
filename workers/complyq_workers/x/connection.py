"""How connections are made: an adapter for requests without retries, and logging without URLs' queries."""

from __future__ import annotations

import logging
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

BLOCK_BYTES = 256 << 10
"""How much is read from a body and written to a connection at once: also on a slow line, progress shows within seconds."""

SEND_SECONDS = 60.0
"""How long one block may take to leave."""


class PatientAdapter(HTTPAdapter):
    """Sends in large blocks, gives each block its own time-out, and never repeats a request by itself."""

    def __init__(self) -> None:
        super().__init__(max_retries=0, pool_connections=8, pool_maxsize=8)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs, blocksize=BLOCK_BYTES)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy."""
        proxied = super().proxy_manager_for(*args, **kwargs, blocksize=BLOCK_BYTES)
        proxied.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return proxied


class QueryFilter(logging.Filter):
    """Cuts queries from what a logger is about to write: urllib3 logs every request with its whole URL."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record's arguments; every record passes."""
        if isinstance(record.args, tuple):
            record.args = tuple(_without_query(argument) for argument in record.args)
        return True


def hide_queries_in_logs() -> None:
    """Make sure that urllib3 logs no query, since signed URLs are credentials. Safe to repeat."""
    logger = logging.getLogger("urllib3.connectionpool")
    if not any(isinstance(known, QueryFilter) for known in logger.filters):
        logger.addFilter(QueryFilter())


class _HTTPConnection(HTTPConnection):
    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        """Send the headers; from here on each block of the body has SEND_SECONDS.

        urllib3 leaves the connect time-out on the socket while it sends, too short for a block on a slow line.
        """
        super().endheaders(*args, **kwargs)
        _allow_slow_sending(self)


class _HTTPSConnection(HTTPSConnection):
    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        """Send the headers; from here on each block of the body has SEND_SECONDS."""
        super().endheaders(*args, **kwargs)
        _allow_slow_sending(self)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _allow_slow_sending(connection: HTTPConnection) -> None:
    if connection.sock is not None:
        connection.sock.settimeout(SEND_SECONDS)


def _without_query(argument: object) -> object:
    text = argument if isinstance(argument, str) else ""
    return text.partition("?")[0] + "?***" if "?" in text else argument
