"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

TypeArgument = Annotated[str, typer.Argument(metavar="TYPE", help="tweets for Post IDs, users for user IDs.")]
FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="One decimal ID a line, plain or gzip; - reads standard input.")
]
BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id, as `complyq enqueue` printed it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
LinesOption = Annotated[bool, typer.Option("--json", help="JSON lines, with or without this option.")]
NameOption = Annotated[str | None, typer.Option(help="A label for people, at most 200 characters.")]


class OnInvalid(StrEnum):
    """What happens to lines that are no IDs."""

    REFUSE = "refuse"
    SKIP = "skip"


OnInvalidOption = Annotated[
    OnInvalid, typer.Option(help="Refuse the whole input if a line is no ID, or skip such lines and count them.")
]
