"""The one place that puts a worker together from its settings."""

from __future__ import annotations

import os
from functools import partial

from complyq_config.settings import Settings, disk_spool_dir, load_settings
from complyq_producer.store import open_store
from complyq_producer.tracing import start_exporting
from complyq_workers.clock import SystemClock
from complyq_workers.coordination import RedisCoordination
from complyq_workers.counting import count_exchange
from complyq_workers.events import open_publisher
from complyq_workers.failpoints import with_failpoints
from complyq_workers.pipeline import Limits, Pipeline, Ports, Remote, kept_by_thread
from complyq_workers.sealing import sealer_of
from complyq_workers.together import in_threads
from complyq_workers.x import Transport, XClient, credentials_of

_pipelines: dict[int, Pipeline] = {}


def pipeline_of_process() -> Pipeline:
    """Return this process's pipeline, built on first use: sockets are not shared across a fork."""
    pid = os.getpid()
    if pid not in _pipelines:
        start_exporting("complyq-worker")  # never in the process that this one was forked from
        _pipelines.clear()
        _pipelines[pid] = Pipeline(build_ports(load_settings()))
    return _pipelines[pid]


def build_ports(settings: Settings) -> Ports:
    """Connect everything that the steps need. Nothing is sent yet.

    Raises:
        ConfigurationError: if a setting is missing or wrong.
    """
    coordination = RedisCoordination(settings.redis_url.get_secret_value(), settings.namespace)
    transport = Transport(
        settings.allowed_origins,
        settings.api_url,
        proxy_url=settings.proxy_url.get_secret_value() if settings.proxy_url else None,
        meter=partial(count_exchange, coordination),
    )
    client = XClient(settings.api_url, transport, credentials_of(settings, transport))
    clock = SystemClock()
    ports = Ports(
        store=open_store(settings.store_url),
        coordination=coordination,
        remote=Remote(client, coordination, clock),
        transport=transport,
        events=open_publisher(settings),
        sealer=sealer_of(settings),
        limits=_limits(settings),
        clock=clock,
        keep_lease=kept_by_thread,
        together=in_threads,
    )
    return with_failpoints(ports)


def _limits(settings: Settings) -> Limits:
    return Limits(
        namespace=settings.namespace,
        api_url=settings.api_url,
        spool_dir=disk_spool_dir(settings),
        max_upload_bytes=settings.max_upload_bytes,
        merge=settings.merge,
        upload_chunk_bytes=settings.upload_chunk_bytes,
        poll_min_seconds=settings.poll_min_seconds,
        poll_max_seconds=settings.poll_max_seconds,
        max_attempts=settings.max_attempts,
        max_parked_hours=settings.max_parked_hours,
        events_inline_max=settings.events_inline_max,
        lease_seconds=settings.lease_seconds,
        sweep_seconds=settings.sweep_seconds,
        results_format=settings.results_format,
        events_max_backlog=settings.events_max_backlog,
        events_replay_hours=settings.events_replay_hours,
        retention_days=settings.retention_days,
    )
