"""Lets the world hear what the code under test logs: an error that nobody foresaw is a violation, the rest is a trace."""

from __future__ import annotations

import traceback
from collections.abc import MutableMapping
from typing import Any, NoReturn

import structlog

from simulation.world import World

_hearing: list[World] = []


def let_hear(world: World) -> None:
    """Make a world the one that hears."""
    _hearing[:] = [world]


def listen_to_logs(*, tracing: bool) -> None:
    """Pass log lines on to the world; without tracing only errors, for speed."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _pass_on],
        wrapper_class=structlog.make_filtering_bound_logger("debug" if tracing else "error"),
        cache_logger_on_first_use=False,
    )


def _pass_on(_logger: object, method: str, line: MutableMapping[str, Any]) -> NoReturn:
    for world in _hearing:
        if line.get("exc_info"):
            world.violated(f"unforeseen: {line['event']} {traceback.format_exc()}")
        elif world.trace is not None:
            world.trace.append(f"{world.now:12.2f}     {method} {line}")
    raise structlog.DropEvent
