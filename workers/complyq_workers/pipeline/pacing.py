"""How long to wait before asking X again. Pure: seconds from what is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from complyq_workers.pipeline.ports import Limits

MAX_REFUSALS = 5
"""After so many refusals that repeating does not change a job is given up."""


def first_look(seconds: Sequence[float], limits: Limits) -> float:
    """Return how many seconds after the upload of a job to look at it for the first time; see `next_look`."""
    return _likely_end(0.0, sorted(seconds), limits) if seconds else 0.0


def next_look(waited: float, seconds: Sequence[float], limits: Limits) -> float:
    """Return in how many seconds to look at a job again that was not final just now.

    Args:
        waited: seconds since the upload.
        seconds: how long each of some jobs like it took.
        limits: the configured bounds of polling.
    """
    possible = sorted(second for second in seconds if second > waited)
    if not possible:
        return _blind(waited, limits)
    wait = _likely_end(waited + limits.poll_min_seconds, possible, limits) - waited
    return min(wait, limits.poll_max_seconds) if len(possible) < len(seconds) else wait


def _likely_end(soonest: float, possible: Sequence[float], limits: Limits) -> float:
    """Choose the moment for a look after which the end of such a job is noticed soonest on average."""
    looks = sorted({max(second, soonest) for second in possible})
    best = min(looks, key=lambda look: _expected_delay(look, possible, limits.poll_min_seconds))
    # Long jobs are looked at a few times meanwhile: they may fail early, or not be wanted any more.
    return min(best, soonest + max(limits.poll_max_seconds, possible[len(possible) // 2] / 4))


def _expected_delay(look: float, possible: Sequence[float], gap: float) -> float:
    """Return how late the end of one of these jobs is noticed on average if it is looked at then, and again after gaps."""
    return sum(look + gap * max(0, math.ceil((second - look) / gap)) - second for second in possible) / len(possible)


def wait_since(begun: datetime, now: datetime, limits: Limits) -> float:
    """Return a tenth of the time waited so far, within the configured bounds of polling."""
    return _blind((now - begun).total_seconds(), limits)


def _blind(waited: float, limits: Limits) -> float:
    return min(max(waited / 10, limits.poll_min_seconds), limits.poll_max_seconds)


def wait_after_refusal(refusals: int, limits: Limits) -> float:
    """Return a wait that doubles with each refusal, up to the longest between two polls."""
    return min(2.0**refusals, limits.poll_max_seconds)
