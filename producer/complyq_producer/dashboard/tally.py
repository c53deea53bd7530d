"""What the last jobs found: their results by action and by reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from complyq_producer.facts import CollectedPage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from complyq_producer.facts import CollectedPart
    from complyq_producer.ledger import JobView, Ledger

MOST_PAGES = 8
"""So many pages of a job's parts are read; of a job with more the first ones stand for all."""
MOST_ROWS = 8
"""Of more actions or reasons the rarest are added up."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many results there were. Names of actions and reasons are X's words.

    Attributes:
        jobs: of so many jobs.
        results: so many IDs were flagged.
        rejected: so many X answered with an error.
        by_action: results by action.
        by_reason: results by reason.
        is_partial: whether a job has so many parts that not all were counted.
    """

    jobs: int = 0
    results: int = 0
    rejected: int = 0
    by_action: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)
    is_partial: bool = False

    @property
    def actions(self) -> list[tuple[str, int, float]]:
        """The actions, most frequent first: name, results, percent of all."""
        return _rows(self.by_action)

    @property
    def reasons(self) -> list[tuple[str, int, float]]:
        """The reasons, most frequent first: name, results, percent of all."""
        return _rows(self.by_reason)


def tally_of(job: JobView, ledger: Ledger) -> Tally | None:
    """Count what a job found; None if it gave no results."""
    collected = job.collected
    if collected is None or not collected.available:
        return None
    parts = list(collected.parts)
    for index in range(min(MOST_PAGES, len(collected.pages))):
        page = ledger.facts.read(job.keys.page(index), CollectedPage)
        parts += page.parts if page else []
    return tally_parts(parts, jobs=1, is_partial=len(collected.pages) > MOST_PAGES)


def tally_parts(parts: Sequence[CollectedPart], *, jobs: int = 0, is_partial: bool = False) -> Tally:
    """Count what parts gave."""
    return Tally(
        jobs=jobs,
        results=sum(part.count for part in parts),
        rejected=sum(part.rejected for part in parts),
        by_action=_sum(part.by_action for part in parts),
        by_reason=_sum(part.by_reason for part in parts),
        is_partial=is_partial,
    )


def total(tallies: Sequence[Tally]) -> Tally:
    """Add up what several jobs found."""
    return Tally(
        jobs=sum(tally.jobs for tally in tallies),
        results=sum(tally.results for tally in tallies),
        rejected=sum(tally.rejected for tally in tallies),
        by_action=_sum(tally.by_action for tally in tallies),
        by_reason=_sum(tally.by_reason for tally in tallies),
        is_partial=any(tally.is_partial for tally in tallies),
    )


def _sum(counts: Iterable[dict[str, int]]) -> Counter[str]:
    added: Counter[str] = Counter()
    for some in counts:
        added.update(some)
    return added


def _rows(counts: Counter[str]) -> list[tuple[str, int, float]]:
    rows = counts.most_common()
    if len(rows) > MOST_ROWS:
        rest = sum(count for _, count in rows[MOST_ROWS - 1 :])
        rows = [*rows[: MOST_ROWS - 1], ("all others", rest)]
    whole = max(1, counts.total())
    return [(name, count, round(100 * count / whole, 2)) for name, count in rows]
