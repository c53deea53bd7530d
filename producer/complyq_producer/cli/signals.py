"""Lets a command that started processes end them when it is told to stop."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_NUMBERS = (signal.SIGTERM, signal.SIGHUP)


class Terminated(SystemExit):
    """Somebody asked this process to end; the exit code says by which signal, as a shell would."""


@contextmanager
def orderly_end() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an exception, so that everything that is open is closed, as Ctrl-C does."""
    before = {number: signal.signal(number, _end) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated(128 + number)
