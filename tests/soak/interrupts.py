"""Ctrl-C and SIGTERM, taken up between two steps of a soak: in the middle of one a process could be started and forgotten."""

import signal
import threading

_asked = threading.Event()


def take_up_interrupts() -> None:
    """Note signals from now on, until somebody looks. A second one is not waited for."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def is_interrupted() -> bool:
    """Whether somebody wants the soak to end."""
    return _asked.is_set()


def look_for_interrupts() -> None:
    """Raise KeyboardInterrupt if somebody wants the soak to end."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _note(*_: object) -> None:
    if _asked.is_set():
        raise KeyboardInterrupt
    _asked.set()
