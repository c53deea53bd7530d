"""Looks what has become of batches, many at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from complyq_producer.errors import UnknownSchemaError
from complyq_workers.endings import decide_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from complyq_producer.ledger import BatchView
    from complyq_producer.model import BatchId
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)


def look(ports: Ports, batch_ids: Sequence[BatchId]) -> Mapping[BatchId, BatchView | None]:
    """Read what has become of some batches: nothing of most, which two listings tell."""
    found = ports.together(partial(_look_at, ports), batch_ids)
    return {batch_id: view for batch_id, (is_there, view) in zip(batch_ids, found, strict=True) if is_there}


def _look_at(ports: Ports, batch_id: BatchId) -> tuple[bool, BatchView | None]:
    if ports.ledger.is_untouched(batch_id):
        return True, None
    try:
        view = ports.ledger.batch(batch_id)
    except UnknownSchemaError as error:
        log.error("batch_not_readable", batch=batch_id, error=str(error))  # noqa: TRY400 - no bug of ours
        return False, None
    return view is not None, view


def needs_settling(ports: Ports, view: BatchView) -> bool:
    """Whether a batch has something to publish or to decide."""
    end = decide_end(view, max_attempts=ports.limits.max_attempts, now=ports.clock.now())
    return bool(view.outcome or view.checked or view.parked or end)
