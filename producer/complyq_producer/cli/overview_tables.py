"""What is going on, as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from complyq_producer.cli.describing import around, clock, moment, phase
from complyq_producer.facts import utc_now
from complyq_producer.live import ENDPOINTS
from complyq_producer.overview import FRESH, MOST_COUNTED

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from complyq_producer.live import LiveBudget
    from complyq_producer.overview import JobOverview, Overview, QueueOverview, TypeOverview

_NOT_KNOWN = "not known"


def types_table(overview: Overview) -> Table:
    """Lay out the types side by side: slot, queue, estimate."""
    table = Table("", *overview.types, box=None, padding=(0, 2, 0, 0))
    for name, say in _ROWS.items():
        cells = [say(type_) for type_ in overview.types.values()]
        if any(cells):
            table.add_row(name, *cells)
    return table


def budget_table(overview: Overview) -> Table:
    """Lay out how many requests are left at X."""
    table = Table("requests to X", "left", "window ends in", box=None, padding=(0, 2, 0, 0))
    for endpoint in ENDPOINTS:
        table.add_row(endpoint, *budget_cells(overview.budgets.get(endpoint)))
    return table


def told(type_: TypeOverview) -> dict[str, str]:
    """Say what there is to say of a type, by name."""
    return {name: text for name, say in _ROWS.items() if (text := say(type_))}


def budget_cells(budget: LiveBudget | None) -> tuple[str, str]:
    """Say how many requests are left, and when the window ends."""
    if budget is None:
        return _NOT_KNOWN, ""
    if budget.seconds_blocked:
        return "refused by X", clock(budget.seconds_blocked)
    return f"{budget.remaining} of {budget.limit}", clock(budget.seconds_left)


def _slot(type_: TypeOverview) -> str:
    slot = type_.slot
    if slot is None:
        return "free"
    return f"job {slot.plan}: {phase(slot.phase, slot.bytes_done, slot.bytes_total)}"


def _since(type_: TypeOverview) -> str:
    return f"for {_ago(type_.slot.since)}" if type_.slot and type_.slot.since else ""


def _carries(type_: TypeOverview) -> str:
    return _ids_of(type_.slot) if type_.slot else ""


def _remote(type_: TypeOverview) -> str:
    return (type_.slot.remote_id or "") if type_.slot else ""


def _next(type_: TypeOverview) -> str:
    following = type_.next
    if following is None:
        return ""
    is_ready = following.phase == "planned"
    return f"job {following.plan} {'is ready' if is_ready else 'is made ready'}: {_ids_of(following)}"


def _collecting(type_: TypeOverview) -> str:
    return ", ".join(f"job {plan}" for plan in type_.collecting)


def _waiting(type_: TypeOverview) -> str:
    if type_.queue:
        return _queue(type_.queue)
    return _NOT_KNOWN if type_.open_batches else "nothing"


def _open(type_: TypeOverview) -> str:
    if not type_.open_batches:
        return ""
    return f"{type_.open_batches:,}{' or more' if type_.open_batches == MOST_COUNTED else ''}, by the store"


def _oldest(type_: TypeOverview) -> str:
    return f"for {_ago(type_.queue.oldest)}" if type_.queue and type_.queue.oldest else ""


def _late(type_: TypeOverview) -> str:
    return f"{_batches(type_.queue.late)} may be late" if type_.queue and type_.queue.late else ""


def _done(type_: TypeOverview) -> str:
    if type_.estimate:
        return around(type_.estimate)
    return _NOT_KNOWN if type_.slot or type_.open_batches or (type_.queue and type_.queue.batches) else ""


def _job_seconds(type_: TypeOverview) -> str:
    return clock(type_.job_seconds) if type_.job_seconds is not None else _NOT_KNOWN


_ROWS: dict[str, Callable[[TypeOverview], str]] = {
    "slot": _slot,
    "": _since,
    "carries": _carries,
    "X's id": _remote,
    "next": _next,
    "collecting": _collecting,
    "waiting": _waiting,
    "oldest": _oldest,
    "deadlines": _late,
    "open batches": _open,
    "all done": _done,
    "a job takes": _job_seconds,
}


def _queue(queue: QueueOverview) -> str:
    is_old = utc_now() - queue.shown_at >= FRESH
    seen = f", as of {moment(queue.shown_at)}" if is_old else ""
    return (f"{_batches(queue.batches)}, {queue.ids:,} IDs" if queue.batches else "nothing") + seen


def _ids_of(job: JobOverview) -> str:
    return f"{job.ids:,} IDs of {_batches(job.batches)}"


def _batches(count: int) -> str:
    return f"{count:,} {'batch' if count == 1 else 'batches'}"


def _ago(time: datetime) -> str:
    return clock(max(0.0, (utc_now() - time).total_seconds()))
