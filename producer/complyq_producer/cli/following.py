"""Follows batches until they have ended, and shows how far they are."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from complyq_producer.cli.describing import describe, label, moved, share_done
from complyq_producer.cli.output import progress_console, say
from complyq_producer.errors import StoreUnavailableError
from complyq_producer.facts import utc_now
from complyq_producer.model import BatchState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import RenderableType

    from complyq_producer.status import BatchStatus

PATIENCE_SECONDS = 300.0
"""How long the store may be away before following it is given up."""
_MARKS = {
    BatchState.COMPLETED: Text("✓", style="green"),
    BatchState.FAILED: Text("✗", style="red"),
    BatchState.CANCELLED: Text("-", style="yellow"),
}


class Display(Protocol):
    """Shows the newest status of some batches."""

    def show(self, statuses: Sequence[BatchStatus]) -> None:
        """Show them."""


def follow(read: Callable[[], Sequence[BatchStatus]], display: Display, pause: float) -> Sequence[BatchStatus]:
    """Read and show the status of batches every `pause` seconds until all have ended; return their last status.

    Raises:
        StoreUnavailableError: if the store stayed away for PATIENCE_SECONDS.
    """
    last_answer = time.monotonic()
    while True:
        try:
            statuses = read()
        except StoreUnavailableError:
            if time.monotonic() - last_answer > PATIENCE_SECONDS:
                raise
        else:
            last_answer = time.monotonic()
            display.show(statuses)
            if all(status.state.is_final for status in statuses):
                return statuses
        time.sleep(pause)


@contextmanager
def progress_display() -> Iterator[Display]:
    """Open the display that fits: a live table on a terminal, else a line whenever something changed."""
    console = progress_console()
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainLines(say)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield LiveTable(live.update)


class PlainLines:
    """Prints a line whenever something changed."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._shown: dict[str, object] = {}

    def show(self, statuses: Sequence[BatchStatus]) -> None:
        """Print what changed."""
        for status in statuses:
            seconds = seconds_in_slot(status)
            if self._shown.get(status.batch_id) != moved(status):
                self._shown[status.batch_id] = moved(status)
                self._write(f"{label(status)}: {describe(status, seconds)}")


class LiveTable:
    """Keeps a table up to date: a row for each batch."""

    def __init__(self, update: Callable[[RenderableType], None]) -> None:
        self._update = update
        self._spinner = Spinner("dots", style="cyan")

    def show(self, statuses: Sequence[BatchStatus]) -> None:
        """Draw the table."""
        table = Table.grid(padding=(0, 1))
        for status in statuses:
            mark = _MARKS.get(status.state, self._spinner)
            name = Text(label(status), style="bold", overflow="ellipsis", no_wrap=True)
            counts = Text(f"{status.unique:,} {status.type}", style="dim", no_wrap=True, justify="right")
            bar = ProgressBar(total=1.0, completed=share_done(status), width=18)
            table.add_row(mark, name, counts, bar, describe(status, seconds_in_slot(status)))
        self._update(table)


def seconds_in_slot(status: BatchStatus) -> float | None:
    """Return for how long the batch's current job has had the slot, or None where that is not known."""
    if status.progress is None or status.progress.since is None:
        return None
    return max(0.0, (utc_now() - status.progress.since).total_seconds())
