"""Which commands there are, and how one is loaded when it is asked for: `complyq --help` imports none of them.

Commands of other packages join through entry points of the group `complyq.commands`, each a typer app of one command.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

GROUP = "complyq.commands"
_HERE = "complyq_producer.cli"


@dataclass(frozen=True, slots=True)
class Listed:
    """A command as the list of commands shows it, and where its typer app is."""

    summary: str
    panel: str
    target: str


COMMANDS = {
    "enqueue": Listed("Submit a file of IDs as one batch.", "Batches", f"{_HERE}.enqueue:app"),
    "status": Listed("Show how far a batch is, or what is going on.", "Batches", f"{_HERE}.status:app"),
    "watch": Listed("Follow a batch until it ends.", "Batches", f"{_HERE}.watch:app"),
    "results": Listed("Print the results of a completed batch as JSON lines.", "Batches", f"{_HERE}.results:app"),
    "cancel": Listed("Ask for a batch to be ended early.", "Batches", f"{_HERE}.cancel:app"),
    "parked": Listed(
        "List work that crashed its worker every time and waits for you.", "Batches", f"{_HERE}.parked:app"
    ),
    "release": Listed(
        "Have parked work of a batch tried again, once its cause is mended.", "Batches", f"{_HERE}.release:app"
    ),
    "replay": Listed(
        "Publish events of batches again, with the ids and the content that they had.", "Batches", f"{_HERE}.replay:app"
    ),
    "listen": Listed("Print the events of the results queue as JSON lines.", "Batches", f"{_HERE}.listen:app"),
    "schemas": Listed("Print the JSON Schemas of the events, one a line.", "Batches", f"{_HERE}.schemas:app"),
    "run": Listed("Do the whole job for one file on this machine alone.", "Without a service", f"{_HERE}.run:app"),
    "demo": Listed("Show everything at work, against a simulated X.", "Without a service", f"{_HERE}.demo:app"),
    "dashboard": Listed(
        "Serve a web page that shows what is going on, until interrupted.", "Service", f"{_HERE}.dashboard:app"
    ),
    "purge": Listed(
        "Remove IDs and results of batches that ended long ago, for good.", "Service", f"{_HERE}.purge:app"
    ),
    "doctor": Listed("Check every configured part, and say how to mend it.", "Service", f"{_HERE}.doctor:app"),
}
JOINED = {
    "worker": "Run the workers that take batches through X's batch compliance API.",
    "simulator": "Run a local stand-in for X's batch compliance API and for Cloud Storage, until interrupted.",
}
"""What the list says of commands of other packages without loading them."""


class CommandGroup(TyperGroup):
    """Lists all commands, and loads only the one that runs."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.help = reflowed(self.help)
        self._catalogue = catalogue()
        self.commands = {
            name: TyperCommand(name, help=listed.summary, rich_help_panel=listed.panel)
            for name, listed in self._catalogue.items()
        }

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the commands in the order of the catalogue."""
        del ctx
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the arguments name, and load it."""
        name, command, rest = super().resolve_command(ctx, args)
        listed = self._catalogue.get(name or "")
        return name, load(name, listed.target) if name and listed else command, rest


def catalogue() -> dict[str, Listed]:
    """Return our commands, then those that joined."""
    joined = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return COMMANDS | {point.name: _listed(point) for point in joined if point.name not in COMMANDS}


def load(name: str, target: str) -> Any:
    """Import a command; raises ModuleNotFoundError where what it needs is not installed."""
    command = typer.main.get_command(EntryPoint(name, target, GROUP).load())
    command.name, command.help = name, reflowed(command.help)
    return command


def reflowed(text: str | None) -> str | None:
    """Join the lines of each paragraph, which typer would keep as the source has them."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs) or None


def _listed(point: EntryPoint) -> Listed:
    return Listed(JOINED.get(point.name, f"Comes with {point.module}."), "Service", point.value)
