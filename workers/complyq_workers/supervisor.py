"""Runs several workers as one: they start, are stopped and die together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import FrameType

import structlog

log = structlog.get_logger(__name__)

SUPERVISOR = "COMPLYQ_SUPERVISOR_PID"
"""Tells a worker whose child it is."""


def run_together(workers: Sequence[Sequence[str]]) -> int:
    """Run a worker for each list of arguments until one ends or a signal comes.

    Returns:
        The exit code: 0 after SIGTERM or SIGINT, 1 if a worker ended by itself.
    """
    with ExitStack() as stack:
        group = _Group()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, group.stop)
        for arguments in workers:
            group.add(stack.enter_context(_start(arguments)))
        return group.wait()


def is_supervised() -> bool:
    """Whether this process is one of several workers that run as one."""
    return SUPERVISOR in os.environ


def is_orphan() -> bool:
    """Whether the process that ran the workers together has died, so that this one should end too."""
    return is_supervised() and os.environ[SUPERVISOR] != str(os.getppid())


@dataclass(slots=True)
class _Group:
    """The workers, and whether they were told to stop."""

    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    stopping: int | None = None
    """The signal that said so."""

    def add(self, child: subprocess.Popen[bytes]) -> None:
        """Take a child in; one that a signal came too early for gets it now."""
        self.children.append(child)
        if self.stopping is not None:
            child.send_signal(self.stopping)

    def stop(self, number: int, _frame: FrameType | None = None) -> None:
        """Pass a signal on. A second one makes workers that still run stop at once, as Celery has it."""
        self.stopping = number
        for child in self.children:
            child.send_signal(number)

    def wait(self) -> int:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if self.stopping is not None:
            for child in self.children:
                child.wait()
            return 0
        for child in self.children:
            if child.poll() is not None:
                log.error("worker_ended", command=child.args, exit_code=child.returncode)
        self.stop(signal.SIGTERM)
        for child in self.children:
            child.wait()
        return 1


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, SUPERVISOR: str(os.getpid())}
    return subprocess.Popen([sys.executable, "-m", "complyq_workers", *arguments], env=environment)  # noqa: S603
