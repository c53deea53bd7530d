"""What jobs went through, and where that lies on a line of time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from complyq_producer.cli.describing import clock, phase
from complyq_producer.forecast import end_of_job
from complyq_producer.ledger import JobPhase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from complyq_producer.activity import Activity
    from complyq_producer.ledger import JobView

ENOUGH_JOBS = 10
"""The line of time is as short as it may be while so many jobs have begun in it."""
FUTURE_SHARE = 0.3
"""At most so much of the line lies ahead."""
MOST_TICKS = 6
EDGE = 3.0
"""Percent at either end in which no tick stands: its words would reach beyond."""

_LENGTHS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 20, 30, 60, 120, 180, 360, 720, 1440, 2880, 4320, 10080, 43200)
)
_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800)
)
_ENDED_WELL = "complete"

OVER = {JobPhase.CLOSED, JobPhase.SPLIT}
"""Phases in which nothing more happens to a job; what it carried may be planned again."""


class Stage(StrEnum):
    """What is done with a job during a stretch of time."""

    PLANNED = "planned"
    UPLOADING = "uploading"
    CHECKING = "checking"
    COLLECTING = "collecting"

    @property
    def words(self) -> str:
        """How people call it."""
        return {"uploading": "upload", "checking": "at X"}.get(self, self)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in the life of a job."""

    stage: Stage
    begin: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.begin).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a job went through.

    Attributes:
        number: its plan.
        remote_id: X's id, once there is one.
        ids: how many it carries.
        batches: how many share it.
        spans: what was done with it, in order; the last one of an open job ends now.
        words: what is done with it now, or how it ended.
        error: what X, or a worker, said went wrong.
        is_open: whether something is left to do.
        is_well: whether nothing went wrong with it.
        expected: when X may be done with it, where that is known.
    """

    number: int
    remote_id: str | None
    ids: int
    batches: int
    spans: Sequence[Span]
    words: str
    error: str | None
    is_open: bool
    is_well: bool
    expected: datetime | None

    @property
    def begin(self) -> datetime:
        """When it was planned."""
        return self.spans[0].begin

    @property
    def end(self) -> datetime:
        """When its last stretch ended."""
        return self.spans[-1].end

    @property
    def took(self) -> str:
        """How long each stretch of a second or more took, for people."""
        told = [f"{span.stage.words} {clock(span.seconds)}" for span in self.spans if span.seconds >= 1]
        return ", ".join(text.replace(" ", "\N{NO-BREAK SPACE}") for text in told) or "under 1 s"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the line of time; `is_over` where nothing happens any more, so that `now` is the end of it all."""

    begin: datetime
    now: datetime
    end: datetime
    is_over: bool = False

    def share(self, moment: datetime) -> float:
        """Tell where a moment lies, in percent of the window."""
        share = (moment - self.begin) / (self.end - self.begin)
        return round(100 * min(1.0, max(0.0, share)), 2)

    def width(self, begin: datetime, end: datetime) -> float:
        """Tell how wide a stretch is, in percent of the window; what there is can be seen."""
        return max(0.4, round(self.share(end) - self.share(begin), 2))

    def shows(self, course: Course) -> bool:
        """Whether something of a job lies in it."""
        return course.end >= self.begin

    def ticks(self) -> list[datetime]:
        """Return round moments in it."""
        length = self.end - self.begin
        step = next((step for step in _STEPS if length / step <= MOST_TICKS), _STEPS[-1])
        first = datetime.fromtimestamp(-(-self.begin.timestamp() // step.total_seconds()) * step.total_seconds(), UTC)
        ticks = (first + index * step for index in range(MOST_TICKS + 1))
        return [tick for tick in ticks if EDGE < self.share(tick) < 100 - EDGE]


def course(job: JobView, activity: Activity, now: datetime) -> Course | None:
    """Tell what a job went through; None if there is no such plan."""
    if job.plan is None:
        return None
    finished, is_open = job.finished, job.phase not in OVER
    error = _error(job)
    return Course(
        number=job.keys.plan_number,
        remote_id=job.remote_id,
        ids=job.count,
        batches=len(job.plan.batch_ids),
        spans=_spans(job, now if is_open else None),
        words=_words(job, activity),
        error=error,
        is_open=is_open,
        is_well=error is None and job.parked is None and (finished is None or finished.status == _ENDED_WELL),
        expected=end_of_job(activity, job.keys.plan_number, now) if job.holds_slot else None,
    )


def window(courses: Sequence[Course], now: datetime, *, is_over: bool = False) -> Window:
    """Choose what to show: the last jobs, and what is expected of the open ones; all of them where it is over."""
    begun = sorted((course.begin for course in courses), reverse=True)[: None if is_over else ENOUGH_JOBS]
    past = now - begun[-1] if begun else _LENGTHS[0]
    length = next((length for length in _LENGTHS if length >= past), _LENGTHS[-1])
    expected = max((course.expected for course in courses if course.expected), default=now)
    ahead = min(max(expected - now, timedelta()), length * FUTURE_SHARE)
    return Window(now - length, now, now + ahead + length * 0.02, is_over)


def _spans(job: JobView, now: datetime | None) -> list[Span]:
    """Put the facts of a job in order of time; each stretch ends where the next begins."""
    facts = (
        (Stage.PLANNED, job.plan),
        (Stage.UPLOADING, job.created),
        (Stage.CHECKING, job.uploaded),
        (Stage.COLLECTING, job.finished if job.finished and job.finished.has_results else None),
    )
    begun = [(stage, fact.recorded_at) for stage, fact in facts if fact]
    last = now or max(fact.recorded_at for fact in (job.plan, job.finished, job.collected) if fact)
    ends = [*(moment for _, moment in begun[1:]), last]
    return [Span(stage, begin, max(begin, end)) for (stage, begin), end in zip(begun, ends, strict=True)]


def _words(job: JobView, activity: Activity) -> str:
    if job.phase in OVER:
        return _ending(job)
    shown = activity.shown_of(job)
    share = f" {shown.bytes_done * 100 // shown.bytes_total}%" if shown and shown.bytes_total else ""
    return phase(shown.phase if shown else job.phase, 0, 0) + share


def _ending(job: JobView) -> str:
    if job.collected and not job.collected.available:
        return "results lost"
    status = job.finished.status if job.finished else "closed"
    return "done" if status == _ENDED_WELL else status


def _error(job: JobView) -> str | None:
    told = (
        job.finished.error if job.finished else None,
        job.collected.error if job.collected else None,
        job.uploaded.reason if job.uploaded else None,
        job.parked.reason if job.parked else None,
    )
    return next((text for text in told if text), None)
