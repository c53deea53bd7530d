"""Reads what is shown of one batch: its parts, jobs and events, and what happened, told from its facts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from complyq_producer.activity import read_activity
from complyq_producer.dashboard.tally import Tally, tally_parts
from complyq_producer.dashboard.timeline import OVER, Course, Window, course, window
from complyq_producer.facts import CancelRequested, Published, utc_now
from complyq_producer.status import BatchStatus, batch_status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from complyq_producer.dashboard.one_look import OneLook
    from complyq_producer.facts import Attempt, Fact, PartInfo
    from complyq_producer.ledger import BatchView, JobView, Ledger

PARTS_A_PAGE = 50
MOST_JOBS = 20
"""So many of the last jobs of a batch are shown."""
MOST_ERRORS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """A part of the batch. `jobs` are the plans that carried it; counts are None while it has no results."""

    index: int
    ids: int
    state: str
    jobs: Sequence[int]
    flagged: int | None
    rejected: int | None
    events: int | None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a fact tells of."""

    at: datetime
    words: str
    detail: str = ""
    is_trouble: bool = False


@dataclass(frozen=True, slots=True)
class EventRow:
    """Events that the batch has on the results queue, or will have: `ids` names one, or the pattern of many."""

    type: str
    ids: str
    count: int
    is_published: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPage:
    """What is shown of a batch."""

    now: datetime
    status: BatchStatus
    courses: Sequence[Course]
    window: Window
    parts: Sequence[PartRow]
    parts_page: int
    parts_pages: int
    events: Sequence[EventRow]
    published_at: datetime | None
    history: Sequence[Happening]
    tally: Tally


def read_batch_page(view: BatchView, ledger: Ledger, look: OneLook, parts_page: int) -> BatchPage:
    """Read what is shown of a batch, of its parts a page, counted from 1."""
    now, status = utc_now(), batch_status(view, ledger, look)
    jobs = [ledger.job(status.type, job.plan) for job in status.jobs[-MOST_JOBS:]]
    activity = read_activity(status.type, ledger.marked_jobs(status.type) if not view.outcome else jobs, look)
    courses = [each for job in reversed(jobs) if (each := course(job, activity, now))]
    published = ledger.facts.read(view.keys.published, Published) if view.published else None
    pages = max(1, -(-len(view.record.parts) // PARTS_A_PAGE))
    parts_page = min(max(1, parts_page), pages)
    first = (parts_page - 1) * PARTS_A_PAGE
    return BatchPage(
        now=now,
        status=status,
        courses=courses,
        window=window(courses, _end(courses, view, now), is_over=view.outcome is not None),
        parts=[_part(info, view, jobs) for info in view.record.parts[first : first + PARTS_A_PAGE]],
        parts_page=parts_page,
        parts_pages=pages,
        events=_events(view),
        published_at=published.recorded_at if published else None,
        history=_history(view, jobs, ledger),
        tally=tally_parts([part.results for part in view.counted_parts()]),
    )


def _end(courses: Sequence[Course], view: BatchView, now: datetime) -> datetime:
    """Where the line of time ends: now, or for a batch that has ended when it had."""
    ends = [view.outcome.recorded_at, *(course.end for course in courses)] if view.outcome else [now]
    return min(now, max(ends))


def _part(info: PartInfo, view: BatchView, jobs: Sequence[JobView]) -> PartRow:
    checked, attempts = view.checked.get(info.index), view.attempts.get(info.index, [])
    carrying = [job.keys.plan_number for job in jobs if job.plan and _carries(job, view, info.index)]
    carried = {attempt.plan for attempt in attempts if attempt.plan} | ({checked.plan} if checked else set())
    return PartRow(
        index=info.index,
        ids=info.count,
        state=_part_state(info.index, view, carrying),
        jobs=sorted(carried | set(carrying)),
        flagged=checked.results.count if checked else None,
        rejected=checked.results.rejected if checked else None,
        events=len(checked.results.messages) if checked else None,
    )


def _carries(job: JobView, view: BatchView, part: int) -> bool:
    is_open = job.phase not in OVER
    parts = job.plan.parts if job.plan and is_open else ()
    return any(planned.batch_id == view.record.batch_id and planned.part == part for planned in parts)


def _part_state(part: int, view: BatchView, carrying: Sequence[int]) -> str:
    if part in view.checked:
        return "checked"
    if view.outcome:
        return "not checked"
    if view.parking(part):
        return "parked"
    return f"in job {carrying[-1]}" if carrying else "waiting"


def _events(view: BatchView) -> list[EventRow]:
    """Tell which events there are so far; those of the end are published last."""
    batch_id, is_published = view.record.batch_id, view.published
    results = sum(len(part.results.messages) for part in view.counted_parts())
    rows = [EventRow("complyq.batch.results.v1", f"{batch_id}/<part>/<sequence>", results, is_published)]
    rows += [
        EventRow("complyq.batch.parked.v1", f"{batch_id}/parked/{name}", 1, is_published)
        for name in sorted(view.parked)
    ]
    if view.outcome:
        state = view.outcome.state
        rows.append(EventRow(f"complyq.batch.{state}.v1", f"{batch_id}/{state}", 1, is_published))
    return [row for row in rows if row.count]


def _history(view: BatchView, jobs: Sequence[JobView], ledger: Ledger) -> list[Happening]:
    """Tell what happened, the newest first."""
    told = chain(
        [Happening(view.accepted_at, "Accepted", f"{view.record.unique:,} IDs, in parts: {len(view.record.parts):,}")],
        *map(_of_job, jobs),
        _of_attempts(view),
        _of_parking(view),
        _of_end(view, ledger),
    )
    return sorted(told, key=lambda happening: happening.at, reverse=True)


def _of_job(job: JobView) -> Iterator[Happening]:
    name = f"Job {job.keys.plan_number}"
    if job.plan:
        others = len(job.plan.batch_ids) - 1
        yield Happening(
            job.plan.recorded_at, f"{name} planned", f"shared with other batches: {others:,}" if others else ""
        )
    if job.created:
        yield Happening(job.created.recorded_at, f"{name} created at X", f"X's id {job.created.remote_id}")
    if job.uploaded:
        words = "IDs uploaded" if job.uploaded.complete else "upload given up"
        yield Happening(
            job.uploaded.recorded_at, f"{name}: {words}", job.uploaded.reason or "", not job.uploaded.complete
        )
    if job.finished:
        words, is_trouble = f"{name}: X says {job.finished.status}", not job.finished.has_results
        yield Happening(job.finished.recorded_at, words, job.finished.error or "", is_trouble)
    if job.collected:
        words = "results collected" if job.collected.available else "results could not be fetched"
        yield Happening(
            job.collected.recorded_at, f"{name}: {words}", job.collected.error or "", not job.collected.available
        )


def _of_attempts(view: BatchView) -> Iterator[Happening]:
    """Tell of each plan that did not check parts of the batch."""
    plans: dict[tuple[int, str, str | None, bool], list[tuple[int, Attempt]]] = {}
    for part, attempts in view.attempts.items():
        for attempt in attempts:
            key = (attempt.plan, attempt.status, attempt.error, attempt.counted)
            plans.setdefault(key, []).append((part, attempt))
    for (plan, status, error, counted), those in list(plans.items())[-MOST_ERRORS:]:
        parts = ", ".join(str(part) for part, _ in those[:5]) + (", …" if len(those) > 5 else "")
        words = f"Job {plan} did not check part{'s' if len(those) > 1 else ''} {parts}: {status}"
        detail = " — ".join(text for text in (error, "counts as a failure" if counted else None) if text)
        yield Happening(max(attempt.recorded_at for _, attempt in those), words, detail, is_trouble=True)


def _of_parking(view: BatchView) -> Iterator[Happening]:
    for name, fact in view.parked.items():
        released = ", released since" if name in view.released else ""
        yield Happening(fact.recorded_at, f"Parked: {fact.step} of {_parked_name(name)}{released}", fact.reason, True)


def _parked_name(name: str) -> str:
    return f"job {name}" if name.isdecimal() else "this batch"


def _of_end(view: BatchView, ledger: Ledger) -> Iterator[Happening]:
    cancelling = ledger.facts.read(view.keys.cancel_requested, CancelRequested) if view.cancel_requested else None
    published = ledger.facts.read(view.keys.published, Published) if view.published else None
    ends: list[tuple[Fact | None, str, str, bool]] = [
        (cancelling, "Somebody asked to cancel it", "", False),
        (published, "All events confirmed by the results queue", "", False),
    ]
    if view.outcome:
        state = view.outcome.state
        ends.append((view.outcome, state.capitalize(), view.outcome.error or "", state == "failed"))
    for fact, words, detail, is_trouble in ends:
        if fact:
            yield Happening(fact.recorded_at, words, detail, is_trouble)
