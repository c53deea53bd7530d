"""How long to wait before asking X again. Pure: seconds from what is known."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from complyq_workers.pipeline.ports import Limits

MAX_REFUSALS = 5
"""After so many refusals that repeating does not change a job is given up."""


def wait_since(begun: datetime, now: datetime, limits: Limits) -> float:
    """Return a tenth of the time waited so far, within the configured bounds of polling."""
    return min(max((now - begun).total_seconds() / 10, limits.poll_min_seconds), limits.poll_max_seconds)


def wait_after_refusal(refusals: int, limits: Limits) -> float:
    """Return a wait that doubles with each refusal, up to the longest between two polls."""
    return min(2.0**refusals, limits.poll_max_seconds)
