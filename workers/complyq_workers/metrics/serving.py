"""Serves metrics over HTTP, from a process of its own."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, start_http_server

from complyq_config.errors import ConfigurationError
from complyq_config.settings import variable
from complyq_producer.live import RedisLiveView, connect_redis
from complyq_workers.coordination import RedisCoordination
from complyq_workers.metrics.collector import Metrics
from complyq_workers.supervisor import is_orphan

if TYPE_CHECKING:
    from types import FrameType

    from complyq_config.settings import Settings

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """Serve metrics until a signal comes, or until the supervisor has died.

    Raises:
        ConfigurationError: There is no port, or it cannot be listened on.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    redis_url = settings.redis_url.get_secret_value()
    live = RedisLiveView(connect_redis(redis_url), settings.namespace)
    registry = CollectorRegistry()
    registry.register(Metrics(live, RedisCoordination(redis_url, settings.namespace)))
    with _listening(settings) as (host, port):
        start_http_server(port, host, registry)
    log.info("metrics_served", host=host, port=port)
    while not is_orphan():
        time.sleep(1)


def prove_port(settings: Settings) -> None:
    """Make sure that metrics can be served, before workers are started beside them.

    Raises:
        ConfigurationError: There is no port, or it cannot be listened on.
    """
    with _listening(settings) as (host, port):
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        socket.create_server(address[:2], family=family).close()


@contextmanager
def _listening(settings: Settings) -> Iterator[tuple[str, int]]:
    """Lend host and port, and say of an error which settings it comes from."""
    host, port = settings.metrics_host, settings.metrics_port
    if port is None:
        raise ConfigurationError(f"{variable('metrics_port')} is not set: it says where to serve metrics")
    try:
        yield host, port
    except OSError as error:
        names = f"{variable('metrics_port')}={port} ({variable('metrics_host')}={host})"
        raise ConfigurationError(f"{names}: metrics cannot be served there: {error.strerror}") from error


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
