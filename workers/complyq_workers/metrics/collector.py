"""Asks Redis at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from complyq_producer.facts import utc_now
from complyq_producer.model import ComplianceType
from complyq_workers.coordination import CoordinationError
from complyq_workers.metrics.counts import FAMILIES
from complyq_workers.metrics.gauges import OF_ENDPOINTS, OF_ROLES, OF_TYPES, TypeState, backlog_family

if TYPE_CHECKING:
    from prometheus_client import Metric

    from complyq_producer.live import LiveView
    from complyq_workers.coordination import Coordination

ROLES = ("control", "transfer")

log = structlog.get_logger(__name__)


class Metrics(Collector):
    """All metrics. A Redis that does not answer is told by a metric of its own, never by an error."""

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
            return self._ask()
        except CoordinationError as error:
            log.warning("metrics_unknown", error=str(error))
            return []

    def _ask(self) -> list[Metric]:
        """Ask for all; last what fails if Redis went away, since the live view then only knows nothing."""
        budgets, types = self._live.budgets(), {str(type_): self._state(type_) for type_ in ComplianceType}
        alive, counts = {role: self._coordination.alive(role) for role in ROLES}, self._coordination.counted()
        families = [gauge.family("type", types) for gauge in OF_TYPES]
        families += [gauge.family("endpoint", budgets) for gauge in OF_ENDPOINTS]
        families += [gauge.family("role", alive) for gauge in OF_ROLES]
        families += [backlog_family(self._coordination.backlog())]
        return families + [family(counts) for family in FAMILIES]

    def _state(self, type_: ComplianceType) -> TypeState:
        return TypeState(
            now=self._now(),
            shown=self._live.job(type_),
            queue=self._live.queue(type_),
            durations=self._live.durations(type_),
            slot_holder=self._coordination.slot_holder(type_),
            unsettled=self._coordination.unsettled(type_),
        )
