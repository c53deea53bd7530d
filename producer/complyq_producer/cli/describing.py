"""Says in a line how far a batch is. Pure: status in, text out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from complyq_producer.facts import utc_now
from complyq_producer.model import BatchState

if TYPE_CHECKING:
    from datetime import datetime

    from complyq_producer.status import BatchStatus, Progress

PHASES = {
    "merging": "merging the IDs of its batches",
    "planned": "planned",
    "waiting_for_slot": "waiting for X's one job of this type",
    "waiting_for_foreign_job": "waiting for another program's job at X to end",
    "created": "created at X",
    "uploading": "uploading",
    "uploaded": "uploaded",
    "processing": "X is checking",
    "waiting_for_expiry": "waiting for the job's window to close",
    "finished": "checked, results to be collected",
    "collecting": "collecting results",
    "parked": "parked",
    "split": "its job failed, to be tried again with half of the batches",
}
"""The workers' words for a phase, as people read them; a word that is not here is shown as it is."""

_ANY_MOMENT = timedelta(seconds=5)
_SOON = timedelta(minutes=5)
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
        return ", ".join(_waiting(status)) + _cancelling(status) + _expected(status)
    return "accepted; no worker has looked at it yet" + _cancelling(status) + _and_late(status)


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
        status.late,
    )


def phase(name: str, done: int, total: int) -> str:
    """Say what is being done, with the share of the bytes where they are known."""
    words = PHASES.get(name, name.replace("_", " "))
    if not total:
        return words
    return f"{words} {mega(done)} of {mega(total)} ({done * 100 // total}%)"


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


def around(time: datetime) -> str:
    """Say when something may happen, in this machine's time; with the day where that is another one."""
    now = utc_now()
    if time - now < _ANY_MOMENT:
        return "any moment"
    there = time.astimezone()
    if time - now < _SOON:
        return f"about {there:%H:%M:%S}"
    return f"about {there:%H:%M}" if there.date() == now.astimezone().date() else f"about {there:%Y-%m-%d %H:%M}"


def _expected(status: BatchStatus) -> str:
    """Say when it may end, and whether that is too late."""
    return (f", done {around(status.estimate)}" if status.estimate else "") + _and_late(status)


def lateness(status: BatchStatus) -> str:
    """Say that a batch ended late, is late or may be; nothing where it is not."""
    if not status.late or status.deadline is None:
        return ""
    if status.ended_at:
        return f"late: {clock((status.ended_at - status.deadline).total_seconds())} after its deadline"
    return f"{'late: was' if status.deadline < utc_now() else 'may be late:'} due {moment(status.deadline)}"


def _and_late(status: BatchStatus) -> str:
    return f", {lateness(status)}" if status.late else ""


def _stage(progress: Progress | None) -> float:
    """Return how far a job is; only of its upload is the progress known."""
    if progress is None:
        return 0.0
    uploaded = progress.bytes_done / progress.bytes_total if progress.bytes_total else 0.0
    return _STAGES.get(progress.phase, 0.0) + (0.4 * uploaded if progress.phase == "uploading" else 0.0)


def _ending(status: BatchStatus) -> str:
    if status.state is BatchState.COMPLETED:
        rejected = f", {status.rejected:,} not checked by X" if status.rejected else ""
        return f"completed: {status.flagged:,} of {status.unique:,} IDs flagged{rejected}" + _and_late(status)
    return (f"{status.state}: {status.error}" if status.error else str(status.state)) + _and_late(status)


def _waiting(status: BatchStatus) -> list[str]:
    ahead = status.jobs_ahead
    jobs = f"{ahead} {'job' if ahead == 1 else 'jobs'} of the queue before its own"
    return [f"waiting, place {status.position} in the queue", *([jobs] if ahead else [])]


def _running(status: BatchStatus, slot_seconds: float | None) -> list[str]:
    words = [_now(status) + _cancelling(status)]
    if slot_seconds is not None and slot_seconds >= 1:
        words.append(f"{clock(slot_seconds)} in the slot")
    if status.parts > 1:
        words.append(f"{status.parts_done} of {status.parts} parts done")
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
    return phase(progress.phase, progress.bytes_done, progress.bytes_total) if progress else "running"


def _cancelling(status: BatchStatus) -> str:
    return " (cancel asked for)" if status.cancel_requested else ""
