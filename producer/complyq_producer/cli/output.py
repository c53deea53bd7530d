"""How commands speak: data to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import typer
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterable


def print_json(value: object) -> None:
    """Print one value as a line of JSON, at once."""
    write_lines([msgspec.json.encode(value) + b"\n"])


def write_lines(lines: Iterable[bytes]) -> None:
    """Write lines that are encoded already, each with its newline."""
    sys.stdout.flush()
    sys.stdout.buffer.writelines(lines)
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """Tell a person something on standard error."""
    typer.echo(text, err=True)


def data_console() -> Console:
    """Return a console for tables on standard output; lines are as long as they need to be where nobody looks."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def progress_console() -> Console:
    """Return a console for progress on standard error."""
    return Console(stderr=True, highlight=False)
