"""Results as they lie in the store: lines that need no decoding on their way out, unless they are stored otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from complyq_producer.ledger import Ledger
from complyq_producer.model import BatchId
from complyq_producer.stored_lines import batch_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from complyq_producer.facts import Outcome
    from complyq_producer.ledger import BatchView
    from complyq_producer.store import ObjectStore


def result_lines(store: ObjectStore, batch_id: str, spool_dir: Path) -> Iterator[bytes]:
    """Stream the results that count of a batch that has ended, sorted by ID, each with its newline.

    Raises:
        ConfigurationError: they are stored as Parquet, and pyarrow is not installed.
        DamagedResultsError: an object is not what was written.
    """
    view = _ended(store, batch_id)
    return batch_lines(store, view.keys, _outcome(view), spool_dir)


def outcome_of(store: ObjectStore, batch_id: str) -> Outcome:
    """Return how a batch ended; the caller knows that it did."""
    return _outcome(_ended(store, batch_id))


def _ended(store: ObjectStore, batch_id: str) -> BatchView:
    view = Ledger(store).batch(BatchId(batch_id))
    if view is None:
        raise LookupError(batch_id)
    return view


def _outcome(view: BatchView) -> Outcome:
    if view.outcome is None:
        raise LookupError(view.record.batch_id)
    return view.outcome
