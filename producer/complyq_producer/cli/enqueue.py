"""`complyq enqueue`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from complyq_producer.cli.deadlines import DeadlineOption, parse_deadline, warn_if_passed
from complyq_producer.cli.options import FileArgument, JsonOption, NameOption, OnInvalid, OnInvalidOption, TypeArgument
from complyq_producer.cli.output import print_json, progress_console, say
from complyq_producer.cli.session import open_producer
from complyq_producer.cli.watch import wait_for
from complyq_producer.errors import InvalidArgumentError
from complyq_producer.facts import utc_now
from complyq_producer.model import ComplianceType, Priority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.client import Batch

app = typer.Typer(add_completion=False)

KINDS = {ComplianceType.TWEETS: "Post", ComplianceType.USERS: "user"}

LabelOption = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="Comes back in every event; may be repeated.")
]
KeyOption = Annotated[
    str | None, typer.Option(help="Makes the call idempotent: the same key and IDs give the same batch, ever after.")
]


@app.command()
def enqueue(  # noqa: PLR0913 - one option each
    type_: TypeArgument,
    file: FileArgument,
    *,
    name: NameOption = None,
    key: KeyOption = None,
    priority: Annotated[Priority, typer.Option(help="How urgent it is.")] = Priority.NORMAL,
    deadline: DeadlineOption = None,
    label: LabelOption = None,
    on_invalid: OnInvalidOption = OnInvalid.REFUSE,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the batch until it ends.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Submit a file of IDs as one batch.

    The IDs are checked, sorted and stored; workers take it from there. With a key the call may be repeated safely.

    [dim]complyq enqueue tweets post-ids.txt.gz --key archive-2026-11 --label tenant=a[/]

    [dim]psql -Atc 'select id from posts' | complyq enqueue tweets - --name nightly[/]
    """
    producer, now = open_producer(), utc_now()
    due = parse_deadline(deadline, now)
    with open_ids(file) as ids:
        batch = producer.enqueue(
            ids,
            type_,
            name=name,
            key=key,
            priority=priority,
            deadline=due,
            labels=parse_labels(label or []),
            on_invalid=on_invalid.value,
        )
    _report(batch, as_json=as_json, wait=wait)
    warn_if_passed(due, now)
    if wait:
        raise typer.Exit(wait_for(producer, batch.id, as_json=as_json))


@contextmanager
def open_ids(file: str) -> Iterator[Any]:
    """Give what the producer reads IDs from: standard input for "-", else the file, with a progress bar on a terminal."""
    path = Path(file)
    console = progress_console()
    if file == "-":
        yield sys.stdin.buffer
    elif not console.is_terminal or not path.is_file():
        yield path
    else:
        from rich.progress import open as open_shown  # noqa: PLC0415 - slow to import, and of use on a terminal only

        try:
            opened = open_shown(path, "rb", description=path.name, console=console, transient=True)
        except OSError:
            yield path  # the producer says what is wrong
            return
        with opened as shown:
            yield shown


def parse_labels(given: list[str]) -> dict[str, str]:
    """Read labels of the form KEY=VALUE.

    Raises:
        InvalidArgumentError: one has another form, or a key is given twice.
    """
    labels: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InvalidArgumentError(f"--label {text!r} is not of the form KEY=VALUE, such as tenant=a")
        if name in labels:
            raise InvalidArgumentError(f"--label {name} is given twice")
        labels[name] = value
    return labels


def facts_of(batch: Batch) -> dict[str, object]:
    """Return what `enqueue --json` prints of a batch."""
    return {
        "batch_id": batch.id,
        "type": batch.type,
        "key": batch.key,
        "submitted": batch.submitted,
        "invalid": batch.invalid,
        "duplicates": batch.duplicates,
        "unique": batch.unique,
        "parts": batch.parts,
        "created": batch.created,
    }


def counted(batch: Batch) -> str:
    """Say what was read."""
    left_out = [f"{count:,} {word}" for count, word in _left_out(batch) if count]
    return f"{batch.unique:,} {KINDS[batch.type]} IDs" + (f" ({', '.join(left_out)} left out)" if left_out else "")


def _left_out(batch: Batch) -> list[tuple[int, str]]:
    return [(batch.duplicates, "duplicates"), (batch.invalid, "invalid lines")]


def _report(batch: Batch, *, as_json: bool, wait: bool) -> None:
    if as_json:
        print_json(facts_of(batch))
    else:
        typer.echo(f"{'Accepted' if batch.created else 'Known already'}: batch {batch.id} of {counted(batch)}.")
        if not wait:
            typer.echo(f"Follow it with: complyq watch {batch.id}")
    if not batch.notified:
        say(
            "Warning: the workers could not be told, since the broker (COMPLYQ_BROKER_URL) does not answer. The batch "
            "is safe in the store; it starts when they find it. Check with: complyq doctor"
        )
