"""Reads times as people write them: a duration from now, or an instant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from complyq_producer.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DURATION = re.compile(
    r"(?=[0-9])(?:(?P<days>[0-9]{1,9})d)?(?:(?P<hours>[0-9]{1,9})h)?(?:(?P<minutes>[0-9]{1,9})m)?(?:(?P<seconds>[0-9]{1,9})s)?"
)


def parse_time(option: str, text: str, now: datetime, *, ago: bool = False) -> datetime:
    """Read a duration from `now`, or before it, or an RFC 3339 time.

    Raises:
        InvalidArgumentError: it is neither, has no time zone, or is farther away than dates go; the message names the option.
    """
    duration = _DURATION.fullmatch(text)
    try:
        if duration is None:
            return _instant(option, text)
        length = _length(duration.groupdict())
        return now - length if ago else now + length
    except OverflowError:
        raise InvalidArgumentError(f"{option} {text} is farther away than dates go") from None


def _length(given: Mapping[str, str | None]) -> timedelta:
    return timedelta(**{unit: int(count) for unit, count in given.items() if count})


def _instant(option: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgumentError(
            f"{option} {text!r} is neither a duration such as 24h, 90m or 1d12h nor an RFC 3339 time such as"
            " 2026-12-01T18:00:00+01:00"
        ) from None
    if instant.tzinfo is None:
        raise InvalidArgumentError(
            f"{option} {text!r} has no time zone: write {instant.isoformat()}Z, or +01:00 and so on in place of the Z"
        )
    return instant.astimezone(UTC)
