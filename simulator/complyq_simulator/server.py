"""Two origins in one process and on one loop: uvicorn with httptools, and uvloop where there is one."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from complyq_simulator.api import serve_api
from complyq_simulator.http import CuttableProtocol, Receive, Scope, Send
from complyq_simulator.settings import Settings
from complyq_simulator.storage import serve_storage
from complyq_simulator.world import World

_App = Callable[[Scope, Receive, Send], Awaitable[None]]

_KEEP_ALIVE_SECONDS = 75
_SHUTDOWN_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Origins:
    """The two bound sockets and the URLs under which clients reach them."""

    api: socket.socket
    storage: socket.socket
    public_host: str

    @property
    def api_url(self) -> str:
        """Where X's API is."""
        return self._url(self.api)

    @property
    def storage_url(self) -> str:
        """Where Cloud Storage is."""
        return self._url(self.storage)

    def _url(self, bound: socket.socket) -> str:
        host = f"[{self.public_host}]" if ":" in self.public_host else self.public_host
        return f"http://{host}:{bound.getsockname()[1]}"


def bind(host: str, port: int) -> socket.socket:
    """Take a port, 0 for a free one; raises OSError when it is in use or the host is not ours."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()  # from here on clients may connect; they are served once the loop runs
    except OSError:
        bound.close()
        raise
    return bound


def run(settings: Settings, origins: Origins) -> None:
    """Serve until SIGTERM or SIGINT; what was spooled is removed at the end."""
    with (
        TemporaryDirectory(prefix="complyq-simulator-") as spool,
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        world = partial(World.begin, settings, api_url=origins.api_url, storage_url=origins.storage_url)
        runner.run(_serve(world(spool=Path(spool)), origins))


class _Server(uvicorn.Server):
    """A server that leaves the signals to us: two of them would take them from each other."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def _serve(world: World, origins: Origins) -> None:
    api, storage = _server(partial(serve_api, world)), _server(partial(serve_storage, world))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, api, storage)
    await asyncio.gather(api.serve([origins.api]), storage.serve([origins.storage]))


def _server(app: _App) -> _Server:
    config = uvicorn.Config(
        app,
        interface="asgi3",
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,  # ours follows the simulator's clock
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    return _Server(config)


def _stop(*servers: uvicorn.Server) -> None:
    for server in servers:
        server.should_exit = True


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415 - not on Windows

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
