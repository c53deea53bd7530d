"""Reads when results are due, as people write it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from complyq_producer.cli.describing import moment
from complyq_producer.cli.output import say
from complyq_producer.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

DeadlineOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When results are due: 24h, 90m, 1d12h from now, or 2026-12-01T18:00:00+01:00."),
]

_DURATION = re.compile(
    r"(?=[0-9])(?:(?P<days>[0-9]{1,9})d)?(?:(?P<hours>[0-9]{1,9})h)?(?:(?P<minutes>[0-9]{1,9})m)?(?:(?P<seconds>[0-9]{1,9})s)?"
)


def parse_deadline(text: str | None, now: datetime) -> datetime | None:
    """Read a duration from now or an RFC 3339 time. One that has passed is no error.

    Raises:
        InvalidArgumentError: it is neither, or has no time zone.
    """
    if text is None:
        return None
    duration = _DURATION.fullmatch(text)
    try:
        return now + _length(duration.groupdict()) if duration else _instant(text)
    except OverflowError:
        raise InvalidArgumentError(f"--deadline {text} is farther away than dates go") from None


def warn_if_passed(deadline: datetime | None, now: datetime) -> None:
    """Tell a person of a deadline that cannot be kept any more."""
    if deadline and deadline <= now:
        say(
            f"Warning: the deadline {moment(deadline)} has passed. The batch is checked all the same, and counts as late."
        )


def _length(given: Mapping[str, str | None]) -> timedelta:
    return timedelta(**{unit: int(count) for unit, count in given.items() if count})


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgumentError(
            f"--deadline {text!r} is neither a duration such as 24h, 90m or 1d12h nor an RFC 3339 time such as"
            " 2026-12-01T18:00:00+01:00"
        ) from None
    if instant.tzinfo is None:
        raise InvalidArgumentError(
            f"--deadline {text!r} has no time zone: write {instant.isoformat()}Z, or +01:00 and so on in place of the Z"
        )
    return instant.astimezone(UTC)
