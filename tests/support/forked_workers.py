"""Real workers that start fast: forked from a process that has imported everything, and otherwise as `complyq worker`.

As there, one process runs a control and a transfer worker, in a process group of their own.
"""

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, get_context, parent_process
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from complyq_workers.command import Role, main
from complyq_workers.supervisor import SUPERVISOR

PRELOADED = "support.preloaded_workers"

_context = get_context("forkserver")
_context.set_forkserver_preload([PRELOADED])


@dataclass(frozen=True, slots=True)
class ForkedWorker:
    """A control and a transfer worker that run as one."""

    process: ForkServerProcess

    @property
    def pid(self) -> int:
        """The process that runs both, and their group."""
        return self.process.pid or 0

    @property
    def is_alive(self) -> bool:
        """Whether the process that runs both lives."""
        return self.process.is_alive()

    def kill(self) -> None:
        """Kill all processes of the group, as a machine that loses power does."""
        self.process.kill()  # it may not have come to make its group
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.join()


def fork_worker(environment: Mapping[str, str], log: Path) -> ForkedWorker:
    """Start a worker; all that it and its children print is appended to `log`."""
    _start_server()
    process = _context.Process(target=_run, args=(dict(environment), log))
    process.start()
    return ForkedWorker(process)


def _start_server() -> None:
    """Start the process that workers are forked from. Only from the environment does it learn where to import from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        forkserver.ensure_running()


def _run(environment: dict[str, str], log: Path) -> None:
    os.setpgid(0, 0)
    os.environ.update(environment)
    _print_to(log)
    if PRELOADED not in sys.modules:
        raise RuntimeError(f"{PRELOADED} was not loaded: workers would start slowly")
    for role in (Role.CONTROL, Role.TRANSFER):
        if os.fork() == 0:
            os.environ[SUPERVISOR] = str(os.getppid())
            sys.argv = ["complyq worker", "--role", role]
            main()
            os._exit(0)
    _wait_while_wanted()
    os.killpg(0, signal.SIGKILL)


def _wait_while_wanted() -> None:
    """Wait until a worker ends, or the tests do: killed themselves, they would leave workers behind for ever."""
    tests = parent_process()
    while tests and tests.is_alive() and os.waitpid(-1, os.WNOHANG) == (0, 0):
        tests.join(0.5)


def _print_to(log: Path) -> None:
    file = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    for standard in (1, 2):
        os.dup2(file, standard)
    os.close(file)
