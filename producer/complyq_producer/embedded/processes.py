"""Child processes that never outlive the command that started them.

Each child leads a session of its own, so that Ctrl-C reaches this process alone, which then stops them in order.
When this process dies without a word (SIGKILL, SIGTERM, out of memory), a watchdog ends the child: a small shell that
waits on a pipe whose other end only this process holds. Unlike prctl(PR_SET_PDEATHSIG) that works on macOS too, does
not depend on the thread that started the child, and reaches the child's own children.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from complyq_producer.embedded.errors import EmbeddedProcessError

_PAUSE = 0.02
_TAIL_BYTES = 8_192

# $1: the child, which leads the process group of the same number; $2: seconds until SIGKILL.
_WATCHDOG = """
read -r _
kill -s TERM "$1"
while kill -s 0 "$1" && [ "$2" -gt 0 ]; do sleep 1; set -- "$1" $(($2 - 1)); done
kill -s KILL -- "-$1"
"""


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A running child and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """How the child ended (negative: by that signal), or None while it runs."""
        return self.process.poll()

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - _TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def wait_ready(self, ready: Callable[[], bool], seconds: float = 30.0) -> None:
        """Return when ``ready()`` is true.

        Raises:
            EmbeddedProcessError: The child ended before, or ``seconds`` passed.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.require_running()
            if time.monotonic() > deadline:
                raise EmbeddedProcessError(f"{self.name} was not ready within {seconds:g} s. {self._evidence()}")
            time.sleep(_PAUSE)

    def require_running(self) -> None:
        """Do nothing while the child runs.

        Raises:
            EmbeddedProcessError: It has ended; the message says how, and shows the end of its log.
        """
        if self.exit_code is not None:
            raise EmbeddedProcessError(f"{self.name} ended early ({_ending(self.exit_code)}). {self._evidence()}")

    def stop(self, seconds: float = 10.0) -> None:
        """End the child: SIGTERM to itself, after ``seconds`` SIGKILL, and SIGKILL to what it left behind.

        SIGTERM goes to the leader alone: a worker stops its own children, and would take their death for a crash.
        """
        if self.exit_code is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        _kill_group(self.pid)
        self.process.wait()

    def _evidence(self) -> str:
        return f"The end of its log {self.log_path}:\n{self.tail()}"


@contextmanager
def child_process(
    args: Sequence[str | Path],
    env: Mapping[str, str],
    log_path: Path,
    *,
    stdin: bytes = b"",
    stop_seconds: float = 10.0,
) -> Iterator[ChildProcess]:
    """Run a program for as long as the context is open.

    Args:
        args: The program and its arguments. They are visible to every user of the machine: no secrets.
        env: Its whole environment.
        log_path: Takes standard output and error; readable by this user alone, emptied at each start.
        stdin: What it reads from standard input, then the end of file. At most 64 KiB.
        stop_seconds: How long it may take to stop after SIGTERM, before SIGKILL ends its whole process group.

    Raises:
        EmbeddedProcessError: The program cannot be started.
    """
    child = _start(args, env, log_path, stdin)
    try:
        with _watchdog(child.pid, stop_seconds):
            try:
                yield child
            finally:
                child.stop(stop_seconds)
    finally:
        _kill_group(child.pid)  # where the watchdog itself could not be started
        child.process.wait()


def _start(args: Sequence[str | Path], env: Mapping[str, str], log_path: Path, stdin: bytes) -> ChildProcess:
    log_path.parent.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()  # holds 64 KiB without a reader
    try:
        os.write(writing, stdin)
        os.close(writing)
        process = _popen(args, env, log_path, reading)
    finally:
        os.close(reading)
    return ChildProcess(Path(args[0]).name, process, log_path)


def _popen(args: Sequence[str | Path], env: Mapping[str, str], log_path: Path, stdin: int) -> subprocess.Popen[bytes]:
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603 - a program of ours, started without a shell
            [str(arg) for arg in args],
            env=dict(env),
            stdin=stdin,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        raise EmbeddedProcessError(f"{args[0]} cannot be started: {error.strerror}") from error
    finally:
        os.close(log)


@contextmanager
def _watchdog(pid: int, stop_seconds: float) -> Iterator[None]:
    """End the process group when this process is gone. Python's pipes are not inherited by programs it starts."""
    watchdog = subprocess.Popen(  # noqa: S603 - a constant script, numbers as arguments
        ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(pid), str(max(1, round(stop_seconds)))],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with watchdog:
        try:
            yield
        finally:
            watchdog.kill()  # before its pipe closes: there is nothing left to end


def _kill_group(pgid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS answers "not permitted" for a group of zombies
        os.killpg(pgid, signal.SIGKILL)


def _ending(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
