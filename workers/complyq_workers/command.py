"""`complyq worker`: runs the Celery workers, or tells whether they are alive."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import threading
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from complyq_config.errors import ComplyqError
from complyq_config.logging import configure_logging, log_uncaught_exceptions
from complyq_config.redaction import redact
from complyq_config.settings import load_settings
from complyq_workers import preemption
from complyq_workers.health import ailments, obstacles
from complyq_workers.supervisor import is_supervised, run_together
from complyq_workers.vital_signs import MAX_SILENCE_SECONDS, worker_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from complyq_config.settings import Settings


log = structlog.get_logger(__name__)


class Role(StrEnum):
    """Which steps a worker runs."""

    CONTROL = "control"
    """Short ones: planning, creating, polling, publishing, sweeping, and the transfers of small jobs."""
    TRANSFER = "transfer"
    """Long ones: uploads, and downloads with their parsing."""
    ALL = "all"
    """One worker of each."""
    METRICS = "metrics"
    """None: it only serves metrics."""


PROCESSES = {Role.CONTROL: 2, Role.TRANSFER: 2}
"""How many steps a worker runs at once; there is one upload at a time for each type."""

_STACK_BYTES = 1 << 20
_M_ARENA_MAX = -8  # glibc's malloc.h

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)  # the log has them, without credentials


@app.command()
def worker(
    role: Annotated[
        Role,
        typer.Option(help="Which steps to run. `all` starts one worker of each kind; `metrics` only serves metrics."),
    ] = Role.ALL,
    processes: Annotated[int | None, typer.Option(min=1, help="Steps to run at once, per worker. Default: 2.")] = None,
    *,
    healthcheck: Annotated[
        bool, typer.Option("--healthcheck", help="Only tell whether this machine's workers of the role are alive.")
    ] = False,
    readiness: Annotated[
        bool,
        typer.Option("--readiness", help="With --healthcheck: also whether Redis, the broker and the store answer."),
    ] = False,
    patience: Annotated[
        float, typer.Option(min=1, help="With --healthcheck: seconds for which a worker may show no life.")
    ] = MAX_SILENCE_SECONDS,
) -> None:
    """Run the workers that take batches through X's batch compliance API.

    Any number of them may run, on any number of machines, with the same COMPLYQ_ settings: work is shared out, and
    what a worker leaves unfinished another continues. SIGTERM lets running steps end for COMPLYQ_SHUTDOWN_SECONDS.

    Needs COMPLYQ_BEARER_TOKEN (or COMPLYQ_API_KEY and COMPLYQ_API_SECRET), COMPLYQ_BROKER_URL, COMPLYQ_REDIS_URL and
    COMPLYQ_STORE_URL. `complyq doctor` checks them.

    With COMPLYQ_METRICS_PORT, metrics for Prometheus are served beside the workers. All workers show the same ones, so
    it may be set for one of them, or `--role metrics` may serve them alone; that needs COMPLYQ_REDIS_URL only.

    With --healthcheck nothing is run: one line tells what is wrong with the workers that run on this machine, if anything
    is, and the exit code is 0 or 1. It asks nobody. With --readiness it also asks whether they can do their work.

    [dim]complyq worker --role transfer --processes 4[/]
    """
    settings = load_settings()
    if role is Role.METRICS:
        _serve_metrics(settings, healthcheck=healthcheck)
        return
    roles = [Role.CONTROL, Role.TRANSFER] if role is Role.ALL else [role]
    if healthcheck:
        raise typer.Exit(_check_health(roles, settings, patience=patience, readiness=readiness))
    if readiness:
        raise typer.BadParameter("--readiness is a question of --healthcheck: give both.")
    arguments = ["--processes", str(processes)] if processes else []
    together = [["--role", each.value, *arguments] for each in roles]
    if not is_supervised():
        _prove_settings(settings)
        together += [["--role", Role.METRICS.value]] if settings.metrics_port else []
    if len(together) > 1:
        raise typer.Exit(run_together(together))
    _run(roles[0], processes or PROCESSES[roles[0]], settings)


def _serve_metrics(settings: Settings, *, healthcheck: bool) -> None:
    from complyq_workers.metrics import serve  # noqa: PLC0415 - what workers themselves do not need

    if healthcheck:
        raise typer.BadParameter("metrics have no check of their own: ask their port.")
    configure_logging(settings.log_format, settings.log_level)
    log_uncaught_exceptions()
    serve(settings)


def _prove_settings(settings: Settings) -> None:
    """Refuse to start with settings that cannot work, above all a store that could lose facts."""
    from complyq_producer.tables import require_format  # noqa: PLC0415 - numpy is slow to import
    from complyq_workers.metrics import prove_port  # noqa: PLC0415 - what workers themselves do not need
    from complyq_workers.wiring import build_ports  # noqa: PLC0415 - boto3 and cryptography are slow to import

    configure_logging(settings.log_format, settings.log_level)
    log_uncaught_exceptions()
    log.info("settings", **settings.effective())
    if settings.metrics_port:
        prove_port(settings)
    require_format(settings.results_format)
    build_ports(settings).store.verify()


def _run(role: Role, processes: int, settings: Settings) -> None:
    """Become a Celery worker of one role."""
    # Read by billiard when it is imported: SIGTERM for a whole process group then ends no step before its time.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    _keep_threads_small()
    from complyq_config.celery_settings import queue_names  # noqa: PLC0415 - imports kombu
    from complyq_workers.app import app as celery_app  # noqa: PLC0415 - after REMAP_SIGTERM

    queue = getattr(queue_names(settings), role.value)
    celery_app.worker_main([
        "--quiet", "worker", "--queues", queue, "--concurrency", str(processes), "--hostname", worker_name(role.value, settings.namespace, socket.gethostname()),
        "--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair", "--loglevel", settings.log_level,
    ])  # fmt: skip
    # Celery's own exit code does not come out of `worker_main`: a worker that died of an error would seem stopped.
    raise typer.Exit(0 if preemption.has_begun() else 1)


def _keep_threads_small() -> None:
    """Have threads that are made from here on, also in children, share one heap, and give them stacks of a MiB.

    A worker's threads come and go with its steps. glibc would give them several heaps, each of which keeps the most it
    once held; and where memory is limited by what may be used, sixteen usual stacks are half of it.
    """
    threading.stack_size(_STACK_BYTES)
    with suppress(OSError, AttributeError, TypeError):  # other systems have no such function
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _check_health(roles: Sequence[Role], settings: Settings, *, patience: float, readiness: bool) -> int:
    names = [role.value for role in roles]
    complaints, well = ailments(names, settings, patience), "alive"
    if readiness:
        complaints, well = complaints or obstacles(names, settings), "ready"
    typer.echo(f"not {well}: {'; '.join(complaints)}" if complaints else f"{well}: {', '.join(names)}")
    return int(bool(complaints))


def main() -> None:
    """Run the command on its own, as the children of `complyq worker` do."""
    try:
        app()
    except ComplyqError as error:
        typer.echo(f"complyq worker: {redact(str(error))}", err=True)
        sys.exit(2)
