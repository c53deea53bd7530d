"""Serves the page: who may be let in, on which address, and how it stops."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from complyq_config.errors import ConfigurationError
from complyq_config.redaction import register_secret
from complyq_config.values import is_loopback
from complyq_producer.dashboard.access import Access
from complyq_producer.dashboard.app import Dashboard
from complyq_producer.dashboard.board import BoardReader
from complyq_producer.dashboard.rendering import Pages
from complyq_producer.dashboard.shared import Readings, Streams
from complyq_producer.live import RedisLiveView, connect_redis
from complyq_producer.store import open_store

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from complyq_config.settings import Settings

FOLDER_SECONDS = 1.0
PAID_SECONDS = 20.0
"""How long a listing of the store is taken for true: in a folder, and where each listing costs money."""
_MOST_CONNECTIONS = 500
_GRACE_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that listens, and where people find it."""

    socket: socket.socket
    host: str

    @property
    def url(self) -> str:
        """The page's address."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - where clients reach it
        return f"http://{f'[{host}]' if ':' in host else host}:{self.socket.getsockname()[1]}/"


def bind(settings: Settings, host: str, port: int) -> Bound:
    """Take an address for the page, if it may be served there.

    Raises:
        ConfigurationError: others could reach it and no token is set, or the address cannot be had.
    """
    if settings.dashboard_token is None and not is_loopback(host):
        raise ConfigurationError(
            f"--host {host} lets other machines see batches and errors: set COMPLYQ_DASHBOARD_TOKEN to a word of 16 "
            "characters or more that they have to show (for example: openssl rand -hex 16), or leave --host out"
        )
    try:
        return Bound(_listening(host, port), host)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another --port (0 takes a free one)"
        ) from error


class Server(uvicorn.Server):
    """A server that ends the open streams before it waits for requests to end: they would last for an hour."""

    def __init__(self, settings: Settings) -> None:
        self._streams = Streams()
        config = uvicorn.Config(
            _application(settings, self._streams),
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once."""
        self._streams.close()
        await super().shutdown(sockets)


def serve(settings: Settings, bound: Bound) -> None:
    """Serve the page until SIGINT or SIGTERM."""
    with bound.socket:
        Server(settings).run(sockets=[bound.socket])


def _application(settings: Settings, streams: Streams) -> ASGIApp:
    token = settings.dashboard_token.get_secret_value() if settings.dashboard_token else None
    if token:
        register_secret(token)
    seconds = FOLDER_SECONDS if settings.store_url.startswith("file:") else PAID_SECONDS
    live = RedisLiveView(connect_redis(settings.redis_url.get_secret_value()), settings.namespace)
    dashboard = Dashboard(
        reader=BoardReader(open_store(settings.store_url), live, seconds),
        pages=Pages(settings.namespace),
        access=Access(token, settings.namespace),
        readings=Readings(),
        streams=streams,
    )
    return dashboard.application()


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()
    except OSError:
        bound.close()
        raise
    return bound
