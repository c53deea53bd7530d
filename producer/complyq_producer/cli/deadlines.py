"""Reads when results are due, as people write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from complyq_producer.cli.describing import moment
from complyq_producer.cli.output import say
from complyq_producer.cli.times import parse_time

if TYPE_CHECKING:
    from datetime import datetime

DeadlineOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When results are due: 24h, 90m, 1d12h from now, or 2026-12-01T18:00:00+01:00."),
]


def parse_deadline(text: str | None, now: datetime) -> datetime | None:
    """Read a duration from now or an RFC 3339 time. One that has passed is no error.

    Raises:
        InvalidArgumentError: it is neither, or has no time zone.
    """
    return None if text is None else parse_time("--deadline", text, now)


def warn_if_passed(deadline: datetime | None, now: datetime) -> None:
    """Tell a person of a deadline that cannot be kept any more."""
    if deadline and deadline <= now:
        say(
            f"Warning: the deadline {moment(deadline)} has passed. The batch is checked all the same, and counts as late."
        )
