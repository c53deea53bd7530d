"""What the workers show at one moment: each question is put to Redis once, however many parts of the page ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from complyq_producer.estimates import JobDuration
    from complyq_producer.live import LiveBudget, LiveJob, LivePlace, LiveQueue, LiveView
    from complyq_producer.model import BatchId, ComplianceType

T = TypeVar("T")


class OneLook:
    """Implements `LiveView` over another one. A Redis that is away is waited for once."""

    def __init__(self, live: LiveView) -> None:
        self._live = live
        self._told: dict[Hashable, Any] = {}

    def answers(self) -> bool:
        """Whether there is anybody to ask."""
        return self._once("answers", self._live.answers)

    def job(self, type_: ComplianceType) -> LiveJob | None:
        """Return what the slot of a type is doing, or None if that is not known."""
        return self._once(("job", type_), lambda: self._live.job(type_))

    def queue(self, type_: ComplianceType) -> LiveQueue | None:
        """Return what waits, without the places, or None if that is not known."""
        return self._once(("queue", type_), lambda: self._live.queue(type_))

    def position(self, type_: ComplianceType, batch_id: BatchId) -> LivePlace | None:
        """Return where a waiting batch stands, or None if it does not wait or that is not known."""
        return self._once(("position", batch_id), lambda: self._live.position(type_, batch_id))

    def durations(self, type_: ComplianceType) -> list[JobDuration]:
        """Return how long the last jobs of the type took, newest first; empty if that is not known."""
        return self._once(("durations", type_), lambda: self._live.durations(type_))

    def budgets(self) -> dict[str, LiveBudget]:
        """Return what is known of X's request budgets, by endpoint."""
        return self._once("budgets", self._live.budgets)

    def _once(self, question: Hashable, ask: Callable[[], T]) -> T:
        if question not in self._told:
            self._told[question] = ask()
        return cast("T", self._told[question])
