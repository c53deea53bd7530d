"""The sizes of batches whose costs are measured, and how."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from costing.costs import Costs, Figures
from racing.inputs import expected, make_input
from racing.measuring import Conditions, measure

if TYPE_CHECKING:
    from pathlib import Path

_RATE = 0.1
_MAX_UPLOAD_BYTES = 120_000_000
_LEAST_IDS = 20_000


@dataclass(frozen=True, slots=True)
class Case:
    """So many batches of so many IDs each, which share as few jobs as they can, or have one each."""

    name: str
    batches: int
    ids: int
    merge: bool = True

    def smaller(self, share: float) -> Case:
        """Return the same with fewer batches, or of one batch fewer IDs."""
        if self.batches == 1:
            return replace(self, ids=max(_LEAST_IDS, int(self.ids * share)))
        return replace(self, batches=max(2, int(self.batches * share)))


BASE, MANY, LARGE = "60 of 5,000", "300 of 5,000", "1 of 1,000,000"
CASES = (
    Case("500 of 100", 500, 100),
    Case("50 of 100, a job each", 50, 100, merge=False),
    Case(BASE, 60, 5_000),
    Case(MANY, 300, 5_000),
    Case(LARGE, 1, 1_000_000),
    Case("1 of 10,000,000", 1, 10_000_000),
)


def measure_case(case: Case, work: Path) -> Costs:
    """Take the batches of a case through Complyq, with S3 as the store.

    Raises:
        RuntimeError: an answer was wrong.
    """
    given = make_input(work, case.batches * case.ids, duplicates=0.0)
    conditions = Conditions(
        rate=_RATE, s3=True, batches=case.batches, merge=case.merge, max_upload_bytes=_MAX_UPLOAD_BYTES
    )
    right = expected(given.unique, _RATE)
    run = measure("costs", given, right, conditions, work)
    if run.wrong:
        raise RuntimeError(f"{case.name}: {'; '.join(run.wrong)}")
    return Costs(
        case=case.name,
        batches=case.batches,
        ids=len(given.unique),
        flagged=right.answer.flagged or 0,
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        load=run.load,
        figures=msgspec.convert(run.figures, Figures),
    )
