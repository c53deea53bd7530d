"""What must hold of the scheduler, and whether it does. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.figures import Figures

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES_LOWER = 100.0
NEAR_PERFECT = 1.3
BUSY_SHARE = 0.95
BULK_GROWTH = 1.25
SIX_HOURS = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Bar:
    """Something measured against its bound. `met` is None where this run cannot tell."""

    scenario: str
    what: str
    measured: str
    bound: str
    met: bool | None


def bars_of_merging(
    scenario: str, merged: Figures, apart: Figures, perfect: float, *, seconds: float, judged: bool
) -> Iterator[Bar]:
    """Compare the medians with merging, without, and of a perfect scheduler.

    They are judged where arrivals are steady. Bursts are shown beside: who knows when one ends waits for that, and who
    does not know begins at once.
    """
    times = apart.latency.median / merged.latency.median
    what = "median without merging, in medians with it, after six hours"
    met = times >= TIMES_LOWER if judged and seconds >= SIX_HOURS else None
    yield Bar(scenario, what, f"{times:.1f}", f"≥ {TIMES_LOWER:.0f}", met)
    ratio = merged.latency.median / perfect
    what = "median with merging, in medians of the perfect scheduler"
    yield Bar(scenario, what, f"{ratio:.2f}", f"≤ {NEAR_PERFECT}", ratio <= NEAR_PERFECT if judged else None)


def bar_of_bulk(scenario: str, beside: float, alone: float) -> Bar:
    """Compare the 95th percentiles of small batches with a huge one beside them and without."""
    what = "95th percentile of small batches beside the bulk one, in those without it"
    return Bar(scenario, what, f"{beside / alone:.2f}", f"< {BULK_GROWTH}", beside < BULK_GROWTH * alone)


def bars_of_replay(scenario: str, name: str, figures: Figures, rate_limit: int) -> Iterator[Bar]:
    """Look at one replay by itself: the answers, the budget, and with merging the slot."""
    most = max(figures.most_in_a_window.values())
    yield Bar(scenario, f"{name}: wrong answers", f"{len(figures.wrong)}", "0", not figures.wrong)
    yield Bar(
        scenario, f"{name}: requests of a kind in fifteen minutes", f"{most}", f"≤ {rate_limit}", most <= rate_limit
    )
    yield Bar(scenario, f"{name}: requests refused with 429", f"{figures.refused}", "0", not figures.refused)
    if figures.merge:
        busy, unanswered = figures.busy, figures.latency.unanswered
        yield Bar(scenario, f"{name}: batches without an answer", f"{unanswered}", "0", not unanswered)
        met = busy >= BUSY_SHARE
        yield Bar(scenario, f"{name}: slot busy while work waits", f"{busy:.1%}", f"≥ {BUSY_SHARE:.0%}", met)
