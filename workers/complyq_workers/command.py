"""`complyq worker`: runs the Celery workers, or tells whether they are alive."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from complyq_config.errors import ComplyqError
from complyq_config.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from complyq_config.settings import Settings


class Role(StrEnum):
    """Which steps a worker runs."""

    CONTROL = "control"
    """Short ones: planning, creating, polling, publishing, sweeping."""
    TRANSFER = "transfer"
    """Long ones: uploads, and downloads with their parsing."""
    ALL = "all"
    """One worker of each."""


PROCESSES = {Role.CONTROL: 2, Role.TRANSFER: 2}
"""How many steps a worker runs at once; there is one upload at a time for each type."""

app = typer.Typer(add_completion=False)


@app.command()
def worker(
    role: Annotated[Role, typer.Option(help="Which steps to run. `all` starts one worker of each kind.")] = Role.ALL,
    processes: Annotated[int | None, typer.Option(min=1, help="Steps to run at once, per worker. Default: 2.")] = None,
    *,
    healthcheck: Annotated[
        bool, typer.Option("--healthcheck", help="Only tell whether this machine's workers of the role are alive.")
    ] = False,
) -> None:
    """Run the workers that take batches through X's batch compliance API.

    Any number of them may run, on any number of machines, with the same COMPLYQ_ settings: work is shared out, and
    what a worker leaves unfinished another continues. SIGTERM lets running steps end for COMPLYQ_SHUTDOWN_SECONDS.

    Needs COMPLYQ_BEARER_TOKEN (or COMPLYQ_API_KEY and COMPLYQ_API_SECRET), COMPLYQ_BROKER_URL, COMPLYQ_REDIS_URL and
    COMPLYQ_STORE_URL. `complyq doctor` checks them.
    """
    roles = [Role.CONTROL, Role.TRANSFER] if role is Role.ALL else [role]
    if healthcheck:
        raise typer.Exit(_check_alive(roles))
    settings = load_settings()
    _prove_settings(settings)
    if len(roles) > 1:
        raise typer.Exit(_run_each(roles, processes))
    _run(roles[0], processes or PROCESSES[roles[0]], settings)


def _prove_settings(settings: Settings) -> None:
    """Refuse to start with settings that cannot work, above all a store that could lose facts."""
    from complyq_workers.wiring import build_ports  # noqa: PLC0415 - boto3 and cryptography are slow to import

    build_ports(settings).store.verify()


def _run(role: Role, processes: int, settings: Settings) -> None:
    """Become a Celery worker of one role."""
    # Read by billiard when it is imported: SIGTERM then gives running steps a limited time, instead of all of it.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    from complyq_config.celery_settings import queue_names  # noqa: PLC0415 - imports kombu
    from complyq_workers.app import app as celery_app  # noqa: PLC0415 - after REMAP_SIGTERM

    queue = getattr(queue_names(settings), role.value)
    celery_app.worker_main([
        "worker", "--queues", queue, "--concurrency", str(processes), "--hostname", worker_name(role),
        "--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair", "--loglevel", settings.log_level,
    ])  # fmt: skip


def worker_name(role: Role) -> str:
    """Name this machine's worker of a role."""
    return f"{role.value}@{socket.gethostname()}"


def _run_each(roles: Sequence[Role], processes: int | None) -> int:
    """Run one worker of each role; if one ends, all do. Signals are passed on."""
    arguments = ["--processes", str(processes)] if processes else []
    command = [sys.executable, "-m", "complyq_workers"]
    with ExitStack() as stack:
        children = [
            stack.enter_context(subprocess.Popen([*command, "--role", role.value, *arguments]))  # noqa: S603
            for role in roles
        ]
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: _pass_on(received, children))
        return _wait_for_all(children)


def _pass_on(number: int, children: Sequence[subprocess.Popen[bytes]], _frame: FrameType | None = None) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)


def _wait_for_all(children: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait for the first to end, end the others, and return the worst exit code."""
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    _pass_on(signal.SIGTERM, children)
    return max(abs(child.wait()) for child in children)


def _check_alive(roles: Sequence[Role]) -> int:
    from complyq_workers.bootsteps import MAX_SILENCE_SECONDS, seconds_silent  # noqa: PLC0415 - imports Celery

    silences = {role: seconds_silent(worker_name(role)) for role in roles}
    for role, silence in silences.items():
        typer.echo(f"{role}: " + ("not running" if silence is None else f"last sign of life {silence:.0f} s ago"))
    return int(any(silence is None or silence > MAX_SILENCE_SECONDS for silence in silences.values()))


def main() -> None:
    """Run the command on its own, as the children of `complyq worker` do."""
    try:
        app()
    except ComplyqError as error:
        typer.echo(f"complyq worker: {error}", err=True)
        sys.exit(2)
