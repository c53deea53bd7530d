"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """Whether a part is fit for work."""

    OK = "ok"
    WARNING = "warning"
    """It works, and something about it should be known or changed."""
    FAILED = "failed"


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's table.

    Attributes:
        check: what was looked at.
        verdict: whether it is fit for work.
        found: what was seen.
        mend: what to do about it; None where there is nothing to do.
    """

    check: str
    verdict: Verdict
    found: str
    mend: str | None = None


def ok(check: str, found: str) -> Finding:
    """Return that a part is fit."""
    return Finding(check, Verdict.OK, found)


def warning(check: str, found: str, mend: str) -> Finding:
    """Return that a part works, and what to know or change."""
    return Finding(check, Verdict.WARNING, found, mend)


def failed(check: str, found: str, mend: str) -> Finding:
    """Return that a part does not work, and how to mend it."""
    return Finding(check, Verdict.FAILED, found, mend)


def finding_from(given: Mapping[str, object]) -> Finding:
    """Read what a check of another package returned."""
    return msgspec.convert(dict(given), Finding)
