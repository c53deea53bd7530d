"""A process that works for a collection: it is asked one thing after the other, and gives one answer to each.

Both are pickled and pass through its standard input and output, where nobody but its parent talks to it. It is there
for the length of one collection at most, and ends when its parent has ended, however that was.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

from complyq_config.errors import ComplyqError


class ChildError(ComplyqError):
    """A process that works for a collection failed or ended; collecting the job again may help."""


@dataclass(frozen=True, slots=True)
class Failed:
    """What was asked for could not be done."""

    error: Exception


class ChildProcess:
    """The parent's side; several threads may ask."""

    def __init__(self, module: str, what: str, environment: Mapping[str, str] | None = None) -> None:
        """Start the process, which begins to import what it needs at once.

        Args:
            module: is run; it calls `serve`.
            what: the process is, to be said in errors.
            environment: is added to the worker's own.
        """
        self._what = what
        self._lock = Lock()
        self._process = subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
            [sys.executable, "-m", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # what a terminal sends to stop the worker is not for it
        )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def close(self) -> None:
        """End the process, whatever it does; who waits for an answer learns that there is none."""
        self._process.kill()
        with self._lock, suppress(BrokenPipeError):
            self._process.communicate()

    def ask(self, request: object) -> Any:
        """The answer.

        Raises:
            ChildError: the process ended, or what was asked for could not be done.
            ComplyqError: what the process raised.
        """
        with self._lock:
            answer = self._answer(request)
        if isinstance(answer, Failed):
            raise answer.error
        return answer

    def _answer(self, request: object) -> object:
        stdin, stdout = self._process.stdin, self._process.stdout
        try:
            pickle.dump(request, stdin)  # type: ignore[arg-type] # there is one
            stdin.flush()  # type: ignore[union-attr]
            answer: object = pickle.load(stdout)  # type: ignore[arg-type] # noqa: S301
        except Exception as error:  # whatever `pickle` makes of bytes that are no answer
            self._process.kill()  # if it has not ended, it cannot be understood
            ended = ChildError(f"{self._what} ended with {self._process.wait()}: {type(error).__name__}")
            raise ended from error
        return answer


def serve(answer: Callable[[Any], object]) -> None:
    """Answer requests until there are no more; called in the process."""
    # A worker that is told to stop lets its steps end. When it is gone, so are the requests.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError):
        while True:
            pickle.dump(_outcome(answer, pickle.load(requests)), answers)  # noqa: S301
            answers.flush()


def require_parent() -> None:
    """End this process if its parent has ended, though it does what the parent asked for last."""
    if os.getppid() != int(sys.argv[1]):
        raise SystemExit(f"the worker {sys.argv[1]} is gone")


def _outcome(answer: Callable[[Any], object], request: object) -> object:
    try:
        return answer(request)
    except ComplyqError as error:
        return Failed(error)
    except Exception as error:  # noqa: BLE001 - its parent says so
        return Failed(ChildError(f"{type(error).__name__}: {error}"))
