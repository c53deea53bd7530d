"""Remembers of accepted batches what never changes, so that planning reads each record once a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from complyq_producer.errors import UnknownSchemaError
from complyq_workers.planner import owners_of
from complyq_workers.ranking import WaitingBatch, waiting_batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from complyq_producer.ledger import JobView, Ledger
    from complyq_producer.model import BatchId, ComplianceType
    from complyq_workers.ranking import RankedPart
    from complyq_workers.together import Together

log = structlog.get_logger(__name__)


class KnownBatches:
    """The accepted batches of each type that have a marker."""

    def __init__(self, ledger: Ledger, together: Together) -> None:
        self._ledger = ledger
        self._together = together
        self._known: dict[ComplianceType, dict[BatchId, WaitingBatch]] = {}
        self._checked: dict[ComplianceType, set[tuple[BatchId, int]]] = {}

    def open(self, type_: ComplianceType) -> list[WaitingBatch]:
        """Return the batches that are accepted and not published to the end, as the store lists them now.

        What a newer version has accepted is left to it: a part that nobody here plans is in no job twice.
        """
        marked = list(self._ledger.marked_batches(type_))
        known = self._known.get(type_, {})
        new = self._together(self._read, [batch_id for batch_id in marked if batch_id not in known])
        known |= {batch.batch_id: batch for batch in new if batch}
        self._known[type_] = {batch_id: known[batch_id] for batch_id in marked if batch_id in known}
        return list(self._known[type_].values())

    def waiting(
        self, type_: ComplianceType, ordered: Iterable[RankedPart], jobs: Iterable[JobView]
    ) -> list[RankedPart]:
        """Leave out the parts that are in a plan, or were checked by one as far as this process has seen.

        For display: that a part waits is told by the facts of its batch.
        """
        held = owners_of(jobs)
        checked = self._checked.get(type_, set())
        checked |= {key for key, owner in held.items() if owner.job.collected}
        self._checked[type_] = {key for key in checked if key[0] in self._known.get(type_, ())}
        return [part for part in ordered if part.key not in held and part.key not in checked]

    def _read(self, batch_id: BatchId) -> WaitingBatch | None:
        try:
            accepted = self._ledger.accepted(batch_id)
        except UnknownSchemaError as error:
            log.error("batch_not_readable", batch=batch_id, error=str(error))  # noqa: TRY400 - no bug of ours
            return None
        return waiting_batch(*accepted) if accepted else None
