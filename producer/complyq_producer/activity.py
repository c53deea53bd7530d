"""What happens with a type right now: its open jobs as the facts tell them, and what the workers show of it in Redis."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from complyq_producer.ledger import JobPhase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from complyq_producer.estimates import JobDuration
    from complyq_producer.facts import Plan
    from complyq_producer.ledger import JobView
    from complyq_producer.live import LiveJob, LiveQueue, LiveView
    from complyq_producer.model import ComplianceType

SHOWN_DURING = {
    "waiting_for_slot": JobPhase.PLANNED,
    "waiting_for_foreign_job": JobPhase.PLANNED,
    "uploading": JobPhase.CREATED,
    "processing": JobPhase.UPLOADED,
    "waiting_for_expiry": JobPhase.UPLOADED,
}
"""What workers show of a job, and the phase in which it is true. When the facts are past it, it is out of date."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What is known of a type at one moment.

    Attributes:
        jobs: its plans that have a marker, in order; the last ones at least.
        shown: what the workers show of the slot.
        queue: what they show of the queue.
        durations: how long its last jobs took, the newest first.
        redis_answers: whether Redis could be asked; where it could not, only `jobs` is known.
    """

    jobs: Sequence[JobView]
    shown: LiveJob | None = None
    queue: LiveQueue | None = None
    durations: Sequence[JobDuration] = ()
    redis_answers: bool = True

    @property
    def in_slot(self) -> list[JobView]:
        """The job that has the slot, and behind it the one that gets it next."""
        return [job for job in self.jobs if job.plan and job.holds_slot]

    @property
    def planned_since(self) -> list[JobView]:
        """The jobs that were planned after the queue was shown: what they carry does not wait any more."""
        if self.queue is None:
            return []
        return [job for job in self.jobs if job.plan and job.plan.recorded_at > self.queue.shown_at]

    @property
    def waiting(self) -> LiveQueue | None:
        """What waits: of the queue as it was shown what was not planned since."""
        if self.queue is None or not self.planned_since:
            return self.queue
        plans = [job.plan for job in self.planned_since if job.plan]
        batches = max(0, self.queue.batches - sum(map(_batches_in_full, plans)))
        jobs = max(min(1, self.queue.jobs), self.queue.jobs - len(plans)) if batches else 0
        ids = max(0, self.queue.ids - sum(plan.count for plan in plans))
        return msgspec.structs.replace(
            self.queue, batches=batches, ids=ids, jobs=jobs, late=min(self.queue.late, batches),
            oldest=self.queue.oldest if batches else None,
        )  # fmt: skip

    def has_slot(self, job: JobView) -> bool:
        """Whether a job has the slot now."""
        return [first.keys for first in self.in_slot[:1]] == [job.keys]

    def shown_of(self, job: JobView) -> LiveJob | None:
        """Return what workers show of a job, unless the facts are past it."""
        shown = self.shown
        if shown is None or shown.plan != job.keys.plan_number:
            return None
        return shown if SHOWN_DURING.get(shown.phase, job.phase) is job.phase else None

    def slot_since(self, job: JobView) -> datetime | None:
        """Return since when a job has the slot: its creation at X, or before that its plan; None if it has not."""
        begun = job.created or job.plan
        return begun.recorded_at if begun and self.has_slot(job) else None


def read_activity(type_: ComplianceType, jobs: Sequence[JobView], live: LiveView) -> Activity:
    """Ask Redis for what the workers show of a type, once: one that is away must not be waited for at each question."""
    if not live.answers():
        return Activity(jobs, redis_answers=False)
    return Activity(jobs, shown=live.job(type_), queue=live.queue(type_), durations=live.durations(type_))


def _batches_in_full(plan: Plan) -> int:
    """Count the batches all of whose parts are in a plan."""
    parts = Counter(part.batch_id for part in plan.parts)
    return sum(parts[part.batch_id] == part.of for part in plan.parts if part.part == 0)
