"""`complyq replay`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from complyq_producer.cli.options import JsonOption
from complyq_producer.cli.output import print_json, say
from complyq_producer.cli.session import begin
from complyq_producer.cli.times import parse_time
from complyq_producer.errors import InvalidArgumentError
from complyq_producer.facts import utc_now
from complyq_producer.poke import CeleryPoke
from complyq_producer.replays import Replays
from complyq_producer.store import open_store

if TYPE_CHECKING:
    from datetime import datetime

    from complyq_producer.model import ReplayId
    from complyq_producer.replays import ReplayProgress

app = typer.Typer(add_completion=False)

LOOK_SECONDS = 0.5
SILENT_SECONDS = 20.0
"""After so long without progress people are told what may be missing."""


@app.command()
def replay(
    batches: Annotated[
        list[str] | None, typer.Argument(metavar="[BATCH]...", help="The ids of the batches whose events are wanted.")
    ] = None,
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="All that ended since then, and all open ones: 24h, 90m or 7d ago, or 2026-12-01T18:00:00+01:00.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All batches there are.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the batches.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the workers have done it.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Publish events of batches again, with the ids and the content that they had.

    For events that listeners have lost: a queue restored from an old copy, a listener that acknowledged too early, a new
    consumer. The workers make the events from the store and put them on the results queue, results first, the end last.
    Listeners know copies by their id. A lost Redis Stream needs no command: workers notice it by themselves.

    It pauses while too many events wait for listeners (COMPLYQ_EVENTS_MAX_BACKLOG), and goes on wherever a worker died. What
    was purged cannot be published again. Ctrl-C only ends the waiting. Exit codes: 0 all was published, 1 some batches
    could not be (each is named), 2 wrong use.

    [dim]complyq replay 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b[/]

    [dim]complyq replay --since 24h --dry-run[/]

    [dim]complyq replay --all --json[/]
    """
    named = batches or []
    if (bool(named), since is not None, everything).count(True) != 1:
        raise InvalidArgumentError("name batches, or say --since TIME, or --all")
    settings = begin()
    start = None if since is None else parse_time("--since", since, utc_now(), ago=True)
    replays = Replays(open_store(settings.store_url), CeleryPoke(settings))
    if dry_run:
        _show(replays, named, start, as_json=as_json)
        return
    replay_id = replays.ask(named, start)
    last = _follow(replays, replay_id) if wait else replays.progress(replay_id)
    if as_json:
        print_json(last)
    else:
        typer.echo(_summary(last))
    raise typer.Exit(1 if last.failed else 0)


def _show(replays: Replays, named: list[str], since: datetime | None, *, as_json: bool) -> None:
    found = replays.candidates(named, since)
    if as_json:
        print_json({"dry_run": True, "batches": len(found), "batch_ids": found})
        return
    for batch_id in found:
        typer.echo(batch_id)
    say(f"Would publish the events of {_batches(len(found))} again.")


def _follow(replays: Replays, replay_id: ReplayId) -> ReplayProgress:
    last, moved_at = replays.progress(replay_id), time.monotonic()
    try:
        while not last.finished:
            time.sleep(LOOK_SECONDS)
            before, last = last, replays.progress(replay_id)
            if last != before:
                moved_at = time.monotonic()
                say(f"{_batches(last.batches)}, {last.events:,} events")
            elif time.monotonic() - moved_at > SILENT_SECONDS:
                moved_at = time.monotonic()
                say("No progress: do workers run, and do listeners keep up? complyq doctor checks it. Still waiting.")
    except KeyboardInterrupt:
        say(f"Not waiting any longer. The workers go on with replay {replay_id}.")
        raise
    for failure in last.failures:
        say(f"Not published: {failure}")
    return last


def _summary(last: ReplayProgress) -> str:
    if not last.finished:
        return f"Replay {last.replay_id} is asked for. The workers do it."
    passed = f" {_batches(last.passed)} had nothing to publish, or were purged." if last.passed else ""
    failed = f" {_batches(last.failed)} could not be." if last.failed else ""
    return f"Published {last.events:,} events of {_batches(last.batches)} again.{passed}{failed}"


def _batches(count: int) -> str:
    return f"{count:,} {'batch' if count == 1 else 'batches'}"
