"""`complyq run`."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from complyq_producer.cli.deadlines import DeadlineOption, parse_deadline, warn_if_passed
from complyq_producer.cli.enqueue import counted, open_ids
from complyq_producer.cli.extras import require_extras
from complyq_producer.cli.files import make_folder
from complyq_producer.cli.following import follow, progress_display
from complyq_producer.cli.local_stack import LocalStack, Simulation, local_stack, require_credentials
from complyq_producer.cli.options import FileArgument, JsonOption, NameOption, OnInvalid, OnInvalidOption, TypeArgument
from complyq_producer.cli.output import print_json, say
from complyq_producer.cli.run_output import write_output
from complyq_producer.cli.session import begin
from complyq_producer.cli.signals import Terminated, orderly_end
from complyq_producer.cli.workspace import RESULTS, SUMMARY, WORKER_LOG, Workspace
from complyq_producer.client import MAX_NAME, Producer
from complyq_producer.errors import InputError, KeyConflictError
from complyq_producer.facts import utc_now
from complyq_producer.ledger import Ledger
from complyq_producer.model import BatchState, ComplianceType
from complyq_producer.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from complyq_producer.client import Batch
    from complyq_producer.status import BatchStatus

app = typer.Typer(add_completion=False)

KEY = "run"
"""The store belongs to the folder, so one key does for all: it binds the folder to one set of IDs."""
_PAUSE_SECONDS = 0.25


@app.command()
def run(
    type_: TypeArgument,
    file: FileArgument,
    *,
    out: Annotated[Path, typer.Option(help=f"Folder for {RESULTS} and {SUMMARY}; created if missing.")],
    simulate: Annotated[bool, typer.Option("--simulate", help="Work against a simulated X, without a token.")] = False,
    name: NameOption = None,
    deadline: DeadlineOption = None,
    on_invalid: OnInvalidOption = OnInvalid.REFUSE,
    as_json: JsonOption = False,
) -> None:
    """Do the whole job for one file on this machine alone.

    Starts Redis and workers of its own, runs the IDs through X's batch compliance API, writes results.jsonl and
    summary.json into the folder, and ends what it started. A run that was interrupted is continued by the same command;
    its deadline stays that of the first time.

    Needs COMPLYQ_BEARER_TOKEN, except with --simulate.

    [dim]complyq run tweets post-ids.txt.gz --out results/[/]

    [dim]complyq run users user-ids.txt --out results/ --simulate[/]
    """
    ComplianceType.parse(type_)
    due = parse_deadline(deadline, utc_now())
    require_extras(*(("worker", "simulator") if simulate else ("worker",)))
    if not simulate:
        require_credentials(begin())
    with orderly_end(), _workspace(out) as workspace, _told_how_to_continue(workspace):
        if workspace.prepare(simulate=simulate):
            say(f"Continuing the run in {workspace.out}.")
        with local_stack(workspace.state, Simulation() if simulate else None) as stack:
            producer = Producer.from_settings(stack.settings)
            batch = _submit(producer, workspace, type_, file, name=name, deadline=due, on_invalid=on_invalid)
            state = _wait(producer, stack, batch)
        summary = write_output(workspace, batch.id, simulated=simulate)
    _report(workspace, summary, as_json=as_json)
    raise typer.Exit(0 if state is BatchState.COMPLETED else 1)


@contextmanager
def _workspace(out: Path) -> Iterator[Workspace]:
    """Open the folder for this run alone; input that was refused leaves nothing in it."""
    existed = out.exists()
    workspace = Workspace(make_folder(out))
    with workspace.locked():
        try:
            yield workspace
        except InputError:
            if not _is_begun(workspace):
                workspace.remove_state()
                if not existed:
                    workspace.out.rmdir()
            raise


def _is_begun(workspace: Workspace) -> bool:
    return Ledger(open_store(workspace.store_url)).key_owner(KEY) is not None


@contextmanager
def _told_how_to_continue(workspace: Workspace) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        command = shlex.join(["complyq", *sys.argv[1:]])
        say(
            f"\nInterrupted; everything was stopped. What is done is kept in {workspace.state}.\nContinue with: {command}"
        )
        raise


def _submit(
    producer: Producer,
    workspace: Workspace,
    type_: str,
    file: str,
    *,
    name: str | None,
    deadline: datetime | None,
    on_invalid: OnInvalid,
) -> Batch:
    known_as = name or (Path(file).name[:MAX_NAME] if file != "-" else None)
    try:
        with open_ids(file) as ids:
            batch = producer.enqueue(ids, type_, name=known_as, key=KEY, deadline=deadline, on_invalid=on_invalid.value)
    except KeyConflictError as error:
        raise KeyConflictError(
            f"{workspace.out} holds an unfinished run of other IDs. Continue it with its own file, choose another --out, "
            f"or give it up by removing {workspace.state}"
        ) from error
    say(f"Submitted {counted(batch)}.")
    warn_if_passed(deadline, utc_now())
    return batch


def _wait(producer: Producer, stack: LocalStack, batch: Batch) -> BatchState:
    def read() -> list[BatchStatus]:
        stack.require_running()
        return [producer.status(batch.id)]

    with progress_display() as display:
        [last] = follow(read, display, _PAUSE_SECONDS)
    return last.state


def _report(workspace: Workspace, summary: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(summary)
        return
    if summary["error"]:
        say(
            f"complyq: the batch {summary['state']}: {summary['error']}. The workers' log is {workspace.out / WORKER_LOG}"
        )
    typer.echo(
        f"{summary['flagged']:,} of {summary['unique']:,} IDs are flagged, {summary['compliant']:,} are compliant.\n"
        f"Results: {workspace.out / RESULTS}\nSummary: {workspace.out / SUMMARY}"
    )
