"""`complyq demo`."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from complyq_config.settings import disk_spool_dir
from complyq_producer.cli.demo_batches import demo_batches
from complyq_producer.cli.demo_events import EventCollector
from complyq_producer.cli.demo_report import print_events, print_explanation, print_results, print_submitted
from complyq_producer.cli.extras import require_extras
from complyq_producer.cli.following import follow, progress_display
from complyq_producer.cli.local_stack import LocalStack, Simulation, local_stack
from complyq_producer.cli.output import data_console, say
from complyq_producer.cli.session import begin
from complyq_producer.cli.signals import orderly_end
from complyq_producer.client import Producer
from complyq_producer.model import BatchState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.client import Batch
    from complyq_producer.status import BatchStatus

app = typer.Typer(add_completion=False)

_PAUSE_SECONDS = 0.2


@app.command()
def demo() -> None:
    """Show everything at work, against a simulated X.

    Starts Redis, a simulated X and workers on free ports, runs several batches of Post and user IDs, shows progress,
    results and events, and leaves no process and no file behind. Needs no token and no network; takes some ten seconds.

    [dim]complyq demo[/]
    """
    require_extras("worker", "simulator")
    console = data_console()
    with orderly_end(), _folder() as folder:
        say(f"Starting Redis, a simulated X and the workers; everything lies in {folder} until the demo ends.")
        with local_stack(folder, Simulation(processing_seconds=1.0)) as stack:
            producer = Producer.from_settings(stack.settings)
            collector = EventCollector.start(stack.settings)
            submitted = [(planned, planned.submit(producer)) for planned in demo_batches(folder)]
            print_submitted(console, submitted)
            ended = _follow(producer, stack, [batch for _, batch in submitted])
            events = collector.until_ended({str(status.batch_id) for status in ended}, stack.require_running)
    print_results(console, ended, events)
    print_events(console, ended, events)
    print_explanation(console, ended)
    raise typer.Exit(0 if all(status.state is BatchState.COMPLETED for status in ended) else 1)


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder on a disk for as long as the context is open, and leave no trace."""
    parent = begin().spool_dir
    existed = parent.exists()
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=disk_spool_dir(begin())))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        if not existed:
            with suppress(OSError):  # somebody else uses it by now
                parent.rmdir()


def _follow(producer: Producer, stack: LocalStack, batches: list[Batch]) -> list[BatchStatus]:
    ids = list(dict.fromkeys(batch.id for batch in batches))

    def read() -> list[BatchStatus]:
        stack.require_running()
        return [producer.status(batch_id) for batch_id in ids]

    with progress_display() as display:
        return list(follow(read, display, _PAUSE_SECONDS))
