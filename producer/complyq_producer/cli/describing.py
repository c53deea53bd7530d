"""Says in a line how far a batch is. Pure: status in, text out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from complyq_producer.model import BatchState

if TYPE_CHECKING:
    from datetime import datetime

    from complyq_producer.status import BatchStatus, Progress

PHASES = {
    "planned": "planned",
    "waiting_for_slot": "waiting for X's one job of this type",
    "created": "created at X",
    "uploading": "uploading",
    "uploaded": "uploaded",
    "processing": "X is checking",
    "waiting_for_expiry": "waiting for the job's window to close",
    "finished": "checked, results to be collected",
    "collecting": "collecting results",
    "parked": "parked",
}
"""The workers' words for a phase, as people read them; a word that is not here is shown as it is."""

_STAGES = {
    "created": 0.05, "uploading": 0.1, "uploaded": 0.5, "processing": 0.5, "finished": 0.8, "collecting": 0.8,
}  # fmt: skip


def describe(status: BatchStatus, slot_seconds: float | None = None) -> str:
    """Say how far a batch is; `slot_seconds` is for how long its current job has had the slot, where known."""
    if status.state.is_final:
        return _ending(status)
    if status.state is BatchState.RUNNING:
        return ", ".join(_running(status, slot_seconds)) + _expected(status)
    if status.state is BatchState.WAITING:
        return f"waiting, place {status.position} in the queue" + _expected(status) + _cancelling(status)
    return "accepted; no worker has looked at it yet" + _cancelling(status)


def _expected(status: BatchStatus) -> str:
    """Say when it may end, in this machine's time."""
    return f", done about {status.estimate.astimezone():%H:%M}" if status.estimate else ""


def label(status: BatchStatus) -> str:
    """Name a batch for people."""
    return status.name or str(status.batch_id)


def share_done(status: BatchStatus) -> float:
    """Return roughly how much of a batch is done, from 0 to 1: its parts with results, and the stage of the others' job."""
    if status.state is BatchState.COMPLETED:
        return 1.0
    left = status.parts - status.parts_done
    return (status.parts_done + _stage(status.progress) * left) / max(status.parts, 1)


def moved(status: BatchStatus) -> tuple[object, ...]:
    """Return what makes a new line of plain output worth printing, once it differs."""
    progress = status.progress
    tenth = progress.bytes_done * 10 // progress.bytes_total if progress and progress.bytes_total else None
    return (
        status.state,
        status.position,
        status.parts_done,
        progress and progress.phase,
        tenth,
        status.cancel_requested,
        len(status.jobs),
        len(status.parked),
    )


def mega(size: int) -> str:
    """Write a number of bytes in MB."""
    return f"{size / 1e6:,.1f} MB"


def moment(time: datetime) -> str:
    """Write an instant."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def clock(seconds: float) -> str:
    """Write a duration as people read it."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _stage(progress: Progress | None) -> float:
    """Return how far a job is; only of its upload is the progress known."""
    if progress is None:
        return 0.0
    uploaded = progress.bytes_done / progress.bytes_total if progress.bytes_total else 0.0
    return _STAGES.get(progress.phase, 0.0) + (0.4 * uploaded if progress.phase == "uploading" else 0.0)


def _ending(status: BatchStatus) -> str:
    if status.state is BatchState.COMPLETED:
        rejected = f", {status.rejected:,} not checked by X" if status.rejected else ""
        return f"completed: {status.flagged:,} of {status.unique:,} IDs flagged{rejected}"
    return f"{status.state}: {status.error}" if status.error else str(status.state)


def _running(status: BatchStatus, slot_seconds: float | None) -> list[str]:
    words = [_now(status) + _cancelling(status)]
    if slot_seconds is not None and slot_seconds >= 1:
        words.append(f"{clock(slot_seconds)} in the slot")
    if status.parts > 1:
        words.append(f"{status.checked:,} of {status.unique:,} IDs checked")
    if status.jobs and status.jobs[-1].error and not status.parked:
        words.append(f"job {status.jobs[-1].plan}: {status.jobs[-1].error}")
    return words


def _now(status: BatchStatus) -> str:
    """Say what is being done for a batch, or what somebody has to do."""
    if status.parked and (status.progress is None or status.progress.phase == "parked"):
        return f"parked: {status.parked[0].reason}; see complyq parked"
    return _phase(status.progress)


def _phase(progress: Progress | None) -> str:
    if progress is None:
        return "running"
    words = PHASES.get(progress.phase, progress.phase.replace("_", " "))
    if not progress.bytes_total:
        return words
    percent = progress.bytes_done * 100 // progress.bytes_total
    return f"{words} {mega(progress.bytes_done)} of {mega(progress.bytes_total)} ({percent}%)"


def _cancelling(status: BatchStatus) -> str:
    return " (cancel asked for)" if status.cancel_requested else ""
