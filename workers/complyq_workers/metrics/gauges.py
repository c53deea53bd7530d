"""What is so at the moment of a scrape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client.core import GaugeMetricFamily

from complyq_producer.live import LiveBudget, usual_seconds
from complyq_producer.overview import FRESH

if TYPE_CHECKING:
    from prometheus_client import Metric

    from complyq_producer.estimates import JobDuration
    from complyq_producer.live import LiveJob, LiveQueue
    from complyq_workers.coordination import Unsettled

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TypeState:
    """What Redis tells of a type at one moment. What it does not know of has no sample."""

    now: datetime
    shown: LiveJob | None
    """The job that was last shown, which may have ended since."""
    queue: LiveQueue | None
    durations: Sequence[JobDuration]
    slot_holder: str | None
    unsettled: Sequence[Unsettled] | None

    @property
    def held_seconds(self) -> float | None:
        """How long the job that has the slot has been planned."""
        if self.slot_holder is None or self.shown is None:
            return None
        is_holder = self.slot_holder.partition(":")[0] == str(self.shown.plan)
        return self._since(self.shown.since) if is_holder else None

    @property
    def oldest_seconds(self) -> float | None:
        """How long the batch has waited that waits longest, 0 if none waits."""
        if self.queue is None:
            return None
        return self._since(self.queue.oldest) if self.queue.oldest else 0.0

    @property
    def queue_is_fresh(self) -> bool:
        """Whether the queue was shown lately."""
        return self.queue is not None and self.now - self.queue.shown_at < FRESH

    @property
    def undelivered(self) -> int | None:
        """How many batches have ended of which listeners have not heard the end."""
        return None if self.unsettled is None else sum(batch.has_ended for batch in self.unsettled)

    @property
    def undelivered_seconds(self) -> float | None:
        """How long ago the first of them ended, 0 if there is none."""
        if self.unsettled is None:
            return None
        return max((self._since(batch.since) for batch in self.unsettled if batch.has_ended), default=0.0)

    @property
    def parked(self) -> int | None:
        """How much work is parked."""
        return None if self.unsettled is None else sum(batch.parked for batch in self.unsettled)

    def _since(self, moment: datetime) -> float:
        return max(0.0, (self.now - moment).total_seconds())


@dataclass(frozen=True, slots=True)
class Gauge(Generic[T]):
    """How a value is told from what is known, None if it is not known."""

    name: str
    help: str
    value: Callable[[T], float | None]

    def family(self, label: str, known: Mapping[str, T]) -> Metric:
        """Make the samples, one for each value of the label."""
        family = GaugeMetricFamily(self.name, self.help, labels=[label])
        for labelled, state in known.items():
            value = self.value(state)
            if value is not None:
                family.add_metric([labelled], value)
        return family


OF_TYPES: tuple[Gauge[TypeState], ...] = (
    Gauge("complyq_slot_busy", "1 while a job has the slot of the type, or is about to be created at X.",
        lambda state: state.slot_holder is not None),
    Gauge("complyq_slot_held_seconds", "Seconds since the job that has the slot was planned.",
        lambda state: state.held_seconds),
    Gauge("complyq_queue_fresh", "1 while control workers look at what waits; 0 if they have not for two minutes.",
        lambda state: state.queue_is_fresh),
    Gauge("complyq_queue_batches", "Batches that wait for a job.",
        lambda state: state.queue.batches if state.queue else None),
    Gauge("complyq_queue_ids", "IDs that wait for a job; those count twice that batches have in common.",
        lambda state: state.queue.ids if state.queue else None),
    Gauge("complyq_queue_oldest_seconds", "Seconds for which the batch has waited that waits longest.",
        lambda state: state.oldest_seconds),
    Gauge("complyq_queue_late_batches", "Waiting batches that may miss their deadline.",
        lambda state: state.queue.late if state.queue else None),
    Gauge("complyq_job_seconds", "Seconds that X usually takes over a job, from the end of its upload.",
        lambda state: usual_seconds(state.durations)),
    Gauge("complyq_parked", "Jobs, and batches to be published, that crashed their workers and wait to be released.",
        lambda state: state.parked),
    Gauge("complyq_undelivered_batches", "Batches that have ended, of which the results queue has not confirmed all.",
        lambda state: state.undelivered),
    Gauge("complyq_undelivered_seconds", "Seconds since the first of them ended or was parked, 0 if there is none.",
        lambda state: state.undelivered_seconds),
)  # fmt: skip
OF_ENDPOINTS: tuple[Gauge[LiveBudget], ...] = (
    Gauge("complyq_requests_remaining", "Requests that may still be sent to an endpoint of X in this window.",
        lambda budget: 0 if budget.seconds_blocked else budget.remaining),
    Gauge("complyq_requests_limit", "Requests that X allows an endpoint in a window.",
        lambda budget: budget.limit),
)  # fmt: skip
OF_ROLES: tuple[Gauge[int], ...] = (
    Gauge("complyq_worker_processes", "Processes that run steps, of workers whose main process shows signs of life.",
        lambda alive: alive),
)  # fmt: skip


def backlog_family(events: int | None) -> Metric:
    """Make the one sample of the backlog, if it is known."""
    family = GaugeMetricFamily("complyq_events_backlog", "Events on the results queue that listeners have not handled.")
    if events is not None:
        family.add_metric([], events)
    return family
