"""Metrics for Prometheus: what Redis tells of the scheduler, read anew at each scrape.

Nothing is kept in a process, so that it does not matter how many workers run and which one is asked. They are served
by a process of their own: a thread in a parent that forks could leave its children a lock that nobody opens.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from complyq_config.errors import ConfigurationError
from complyq_config.settings import variable
from complyq_producer.facts import utc_now
from complyq_producer.live import LiveBudget, RedisLiveView, connect_redis, usual_seconds
from complyq_producer.model import ComplianceType
from complyq_producer.overview import FRESH
from complyq_workers.coordination import CoordinationError, Counter, RedisCoordination
from complyq_workers.supervisor import is_orphan

if TYPE_CHECKING:
    from types import FrameType

    from prometheus_client import Metric

    from complyq_config.settings import Settings
    from complyq_producer.estimates import JobDuration
    from complyq_producer.live import LiveJob, LiveQueue, LiveView
    from complyq_workers.coordination import Coordination

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TypeState:
    """What Redis tells of a type at one moment. What it does not know of has no sample."""

    now: datetime
    shown: LiveJob | None
    """The job that was last shown, which may have ended since."""
    queue: LiveQueue | None
    durations: Sequence[JobDuration]
    slot_holder: str | None
    counted: Mapping[Counter, int]

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

    def _since(self, moment: datetime) -> float:
        return max(0.0, (self.now - moment).total_seconds())


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """A metric: how its value is told from what is known, None if it is not known. `_total` makes it a counter."""

    name: str
    help: str
    value: Callable[[T], float | None]

    def family(self, label: str, known: Mapping[str, T]) -> Metric:
        """Make the samples, one for each value of the label."""
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        family = kind(self.name, self.help, labels=[label])
        for labelled, state in known.items():
            value = self.value(state)
            if value is not None:
                family.add_metric([labelled], value)
        return family


OF_TYPES: tuple[Row[TypeState], ...] = (
    Row("complyq_slot_busy", "1 while a job has the slot of the type, or is about to be created at X.",
        lambda state: state.slot_holder is not None),
    Row("complyq_slot_held_seconds", "Seconds since the job that has the slot was planned.",
        lambda state: state.held_seconds),
    Row("complyq_queue_fresh", "1 while control workers look at what waits; 0 if they have not for two minutes.",
        lambda state: state.queue_is_fresh),
    Row("complyq_queue_batches", "Batches that wait for a job.",
        lambda state: state.queue.batches if state.queue else None),
    Row("complyq_queue_ids", "IDs that wait for a job; those count twice that batches have in common.",
        lambda state: state.queue.ids if state.queue else None),
    Row("complyq_queue_oldest_seconds", "Seconds for which the batch has waited that waits longest.",
        lambda state: state.oldest_seconds),
    Row("complyq_queue_late_batches", "Waiting batches that may miss their deadline.",
        lambda state: state.queue.late if state.queue else None),
    Row("complyq_job_seconds", "Seconds that X usually takes over a job, from the end of its upload.",
        lambda state: usual_seconds(state.durations)),
    Row("complyq_batches_ended_late_total", "Batches that ended after their deadline.",
        lambda state: state.counted[Counter.BATCHES_ENDED_LATE]),
)  # fmt: skip
OF_ENDPOINTS: tuple[Row[LiveBudget], ...] = (
    Row("complyq_requests_remaining", "Requests that may still be sent to an endpoint of X in this window.",
        lambda budget: 0 if budget.seconds_blocked else budget.remaining),
    Row("complyq_requests_limit", "Requests that X allows an endpoint in a window.",
        lambda budget: budget.limit),
)  # fmt: skip


class SchedulerMetrics(Collector):
    """Asks Redis at each scrape. A Redis that does not answer is told by a metric of its own, never by an error."""

    def __init__(self, live: LiveView, coordination: Coordination, now: Callable[[], datetime] = utc_now) -> None:
        self._live = live
        self._coordination = coordination
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Make all metrics."""
        families = self._known()
        yield GaugeMetricFamily("complyq_redis_up", "1 if Redis answers, else no more is known.", bool(families))
        yield from families

    def _known(self) -> list[Metric]:
        if not self._live.answers():
            return []
        try:
            budgets, types = self._live.budgets(), {str(type_): self._state(type_) for type_ in ComplianceType}
        except CoordinationError as error:
            log.warning("metrics_unknown", error=str(error))
            return []
        of_types = [row.family("type", types) for row in OF_TYPES]
        return of_types + [row.family("endpoint", budgets) for row in OF_ENDPOINTS]

    def _state(self, type_: ComplianceType) -> TypeState:
        """Ask for all of a type; last what fails if Redis went away, since the live view then only knows nothing."""
        return TypeState(
            now=self._now(),
            shown=self._live.job(type_),
            queue=self._live.queue(type_),
            durations=self._live.durations(type_),
            slot_holder=self._coordination.slot_holder(type_),
            counted={counter: self._coordination.counted(counter, type_) for counter in Counter},
        )


def serve(settings: Settings) -> None:
    """Serve metrics until a signal comes, or until the supervisor has died.

    Raises:
        ConfigurationError: There is no port, or it cannot be listened on.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    redis_url = settings.redis_url.get_secret_value()
    live = RedisLiveView(connect_redis(redis_url), settings.namespace)
    registry = CollectorRegistry()
    registry.register(SchedulerMetrics(live, RedisCoordination(redis_url, settings.namespace)))
    with _listening(settings) as (host, port):
        start_http_server(port, host, registry)
    log.info("metrics_served", host=host, port=port)
    while not is_orphan():
        time.sleep(1)


def prove_port(settings: Settings) -> None:
    """Make sure that metrics can be served, before workers are started beside them.

    Raises:
        ConfigurationError: There is no port, or it cannot be listened on.
    """
    with _listening(settings) as (host, port):
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        socket.create_server(address[:2], family=family).close()


@contextmanager
def _listening(settings: Settings) -> Iterator[tuple[str, int]]:
    """Lend host and port, and say of an error which settings it comes from."""
    host, port = settings.metrics_host, settings.metrics_port
    if port is None:
        raise ConfigurationError(f"{variable('metrics_port')} is not set: it says where to serve metrics")
    try:
        yield host, port
    except OSError as error:
        names = f"{variable('metrics_port')}={port} ({variable('metrics_host')}={host})"
        raise ConfigurationError(f"{names}: metrics cannot be served there: {error.strerror}") from error


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
