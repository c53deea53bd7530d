"""The IDs that a soak submits, told by a few numbers, and what the simulator must answer about them."""

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from complyq_simulator.outcomes import KINDS, outcomes

Ids = NDArray[np.uint64]
Flagged = dict[str, tuple[str, str]]
"""Action and reason of each flagged ID."""


class IdRange(msgspec.Struct, frozen=True, kw_only=True):
    """`count` IDs, `step` apart; some of them are given twice, and some invalid ones stand between them."""

    first: int
    count: int
    step: int
    duplicates: int = 0
    invalid: int = 0

    @property
    def submitted(self) -> int:
        """How many lines are given."""
        return self.count + self.duplicates + self.invalid

    def unique(self) -> Ids:
        """Return the valid IDs, ascending."""
        last = self.first + self.count * self.step
        return np.array(range(self.first, last, self.step), dtype=np.uint64)

    def lines(self) -> Iterator[str]:
        """Yield what is given to `enqueue`."""
        for number in range(self.invalid):
            yield f"not-an-id-{number}"
        for number in [*range(self.duplicates), *range(self.count)]:
            yield str(self.first + number * self.step)


def expected(ids: Ids, type_: str, *, seed: int, flagged_rate: float) -> Flagged:
    """Return what a simulator of this seed and rate flags among some IDs."""
    columns = outcomes(ids, seed, flagged_rate, type_)
    kinds = [(action, reason) for action, reason, _ in KINDS[type_]]
    return {str(id_): kinds[kind] for id_, kind in zip(columns.ids.tolist(), columns.kind.tolist(), strict=True)}
