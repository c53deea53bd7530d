"""Writes what a run made: results and summary, each there in full or not at all, and the summary last."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from complyq_producer.cli.files import replaced_file
from complyq_producer.cli.stored_results import outcome_of, result_lines
from complyq_producer.cli.workspace import RESULTS, SUMMARY, WORKER_LOG
from complyq_producer.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.cli.workspace import Workspace
    from complyq_producer.facts import Outcome
    from complyq_producer.model import BatchId

FROM_OUTCOME = (
    "type", "name", "submitted", "invalid", "duplicates", "unique", "flagged", "compliant", "rejected", "unchecked",
    "by_action", "by_reason", "remote_ids", "accepted_at", "started_at", "ended_at",
)  # fmt: skip
"""What the summary takes from the batch's last event, under the same names."""
_NONE = {"rejected": 0, "unchecked": 0}


def write_output(workspace: Workspace, batch_id: BatchId, *, simulated: bool) -> dict[str, object]:
    """Write results and summary of a batch that has ended, remove the run's state, and return the summary.

    A summary stands beside its own results only: an older one goes before they are replaced.
    """
    store = open_store(workspace.store_url)
    outcome = outcome_of(store, batch_id)
    (workspace.out / SUMMARY).unlink(missing_ok=True)
    with replaced_file(workspace.out / RESULTS, through=workspace.state) as file:
        results = _copy(result_lines(store, batch_id, workspace.state), file)
    summary = summarise(batch_id, outcome) | {"simulated": simulated, "results": results}
    with replaced_file(workspace.out / SUMMARY, through=workspace.state) as file:
        file.write(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    if outcome.state != "completed":
        shutil.copyfile(workspace.state / WORKER_LOG, workspace.out / WORKER_LOG)
    workspace.remove_state()
    return summary


def summarise(batch_id: BatchId, outcome: Outcome) -> dict[str, object]:
    """Return what a summary says of a batch: its end, its counts, its times, X's ids of its jobs."""
    taken = {name: outcome.data.get(name, _NONE.get(name)) for name in FROM_OUTCOME}
    return {"batch_id": batch_id, "state": outcome.state, "error": outcome.error, **taken}


def _copy(lines: Iterator[bytes], file: BinaryIO) -> dict[str, object]:
    """Write lines, and return what a reader can check the file by."""
    digest, count, size = hashlib.sha256(), 0, 0
    for line in lines:
        file.write(line)
        digest.update(line)
        count += 1
        size += len(line)
    return {"file": RESULTS, "count": count, "bytes": size, "sha256": digest.hexdigest()}
