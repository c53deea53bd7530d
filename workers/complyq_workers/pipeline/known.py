"""Remembers of accepted batches what never changes, so that planning reads each record once a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from complyq_producer.errors import UnknownSchemaError
from complyq_workers.ranking import WaitingBatch, waiting_batch

if TYPE_CHECKING:
    from complyq_producer.ledger import Ledger
    from complyq_producer.model import BatchId, ComplianceType
    from complyq_workers.together import Together

log = structlog.get_logger(__name__)


class KnownBatches:
    """The accepted batches of each type that have a marker."""

    def __init__(self, ledger: Ledger, together: Together) -> None:
        self._ledger = ledger
        self._together = together
        self._known: dict[ComplianceType, dict[BatchId, WaitingBatch]] = {}

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

    def _read(self, batch_id: BatchId) -> WaitingBatch | None:
        try:
            accepted = self._ledger.accepted(batch_id)
        except UnknownSchemaError as error:
            log.error("batch_not_readable", batch=batch_id, error=str(error))  # noqa: TRY400 - no bug of ours
            return None
        return waiting_batch(*accepted) if accepted else None
