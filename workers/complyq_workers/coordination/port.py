"""What the pipeline needs of Redis. Losing any of it costs time, never correctness: the facts decide."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from complyq_config.errors import ComplyqError
from complyq_producer.model import BatchId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from complyq_producer.estimates import JobDuration
    from complyq_producer.live import LiveBudget, LiveJob, LiveQueue
    from complyq_producer.model import ComplianceType
    from complyq_workers.coordination.quota import Quota
    from complyq_workers.coordination.tally import Counter, Histogram


NOT_DUE = -1
"""What is told of a step that is postponed, instead of how often it was begun."""


class CoordinationError(ComplyqError):
    """Redis does not answer or refuses. The step ends and is tried again; nothing is lost."""


class Unsettled(msgspec.Struct, frozen=True, kw_only=True):
    """An open batch that somebody may have to look at, as a sweep saw it."""

    batch_id: BatchId
    since: datetime
    """When it ended or was first parked."""
    has_ended: bool
    """Whether all that is left to do is to deliver its events."""
    parked: int
    """How much of it is parked: jobs, and its publishing."""


class Coordination(Protocol):
    """Leases and hints between workers. Times are in seconds. Every method is safe to repeat after a lost reply."""

    def take_step(self, name: str, nonce: str, seconds: float, *, due_within: float | None = None) -> int:
        """Take or renew the lease on a step.

        Where somebody else holds it, leave word that the step was asked for.

        Args:
            name: the step.
            nonce: names who asks.
            seconds: how long the lease lasts.
            due_within: where given, a step that is postponed by so many seconds or more is not begun.

        Returns:
            How often the step was begun, this time included, since it last came to an end or made progress; more
            than once, and whoever ran it before died of it or with it. 0 if somebody else holds the lease, `NOT_DUE` if
            it is postponed.
        """

    def end_step(self, name: str, nonce: str, *, postponed: float = 0.0, went_well: bool = False) -> bool:
        """End the step in order and give the lease back, if it is still ours.

        Args:
            name: the step.
            nonce: by which it was taken.
            postponed: for how many seconds it is not due now.
            went_well: whether its failures in a row are over.

        Returns:
            Whether it was asked for meanwhile.
        """

    def note_progress(self, name: str, position: int) -> None:
        """Remember how far a step has come. Farther than ever before, its earlier starts are forgotten."""

    def hold_slot(self, type_: ComplianceType, holder: str, seconds: float) -> str:
        """Take or renew the lock of a type for a plan; return who holds it now."""

    def release_slot(self, type_: ComplianceType, holder: str) -> None:
        """Give the lock of a type back if this plan holds it."""

    def postpone(self, name: str, seconds: float) -> None:
        """Declare that a step is not due before `seconds` have passed."""

    def seconds_until_due(self, name: str) -> float:
        """Return how long a step is still postponed, 0 if it is due."""

    def is_idle(self, name: str) -> bool:
        """Whether a step is due and nobody runs it: else a hint at it is needless, what runs it will hint on."""

    def count_failure(self, name: str) -> int:
        """Count one more failure in a row of a step; return how many there are now."""

    def reserve(self, endpoint: str, nonce: str) -> float:
        """Ask whether a request may be sent to an endpoint of X now.

        While nothing is known of the endpoint's window, one request at a time may: its answer tells.

        Args:
            endpoint: its name.
            nonce: names the request. Who asks again with it after a yes is told yes again.

        Returns:
            0 if the request may be sent, once: it is reserved. Else after how many seconds to ask again.
        """

    def settle(self, endpoint: str, nonce: str, quota: Quota | None, *, sent: bool = True) -> None:
        """Tell how a reserved request ended.

        Args:
            endpoint: its name.
            nonce: names the request.
            quota: what the headers of the answer said; None if there were none, or no answer.
            sent: False if X has certainly not seen it: then the reservation is given back.
        """

    def block(self, endpoint: str, seconds: float) -> None:
        """Declare that X refuses requests to an endpoint for `seconds`; nothing is known of its window afterwards."""

    def budgets(self) -> dict[str, LiveBudget]:
        """Return what is known of the endpoints' windows, by endpoint."""

    def show_job(self, type_: ComplianceType, job: LiveJob) -> None:
        """Show what the slot of a type is doing."""

    def show_queue(self, type_: ComplianceType, queue: LiveQueue) -> None:
        """Show what waits, with the places of the first batches, in place of what was shown before."""

    def note_duration(self, type_: ComplianceType, duration: JobDuration) -> None:
        """Remember how long a job took."""

    def durations(self, type_: ComplianceType) -> list[JobDuration]:
        """Return how long the last jobs took, newest first; empty if none is known."""

    def slot_holder(self, type_: ComplianceType) -> str | None:
        """Return who holds the lock of a type, if anybody does."""

    def count(self, counter: Counter, *labels: str, amount: int = 1) -> None:
        """Count for metrics. It is told to the others when a step of this process next ends: that costs no request.

        So who dies in the middle of a step may lose its counts, and a lost reply may have them counted twice.
        """

    def observe(self, histogram: Histogram, type_: ComplianceType, seconds: float) -> None:
        """Take a duration into a histogram, as `count` counts."""

    def counted(self) -> Mapping[str, int]:
        """Return all that was counted and observed since Redis last lost what it held, by field, see `tally`."""

    def show_unsettled(self, type_: ComplianceType, batches: Sequence[Unsettled]) -> None:
        """Show which open batches have ended or are parked, in place of what was shown before."""

    def unsettled(self, type_: ComplianceType) -> list[Unsettled] | None:
        """Return which open batches were shown to have ended or to be parked; None if that is not known."""

    def show_backlog(self, events: int) -> None:
        """Show how many events wait on the results queue for their listeners."""

    def backlog(self) -> int | None:
        """Return how many events were last seen to wait; None if that is not known."""

    def show_alive(self, role: str, processes: Sequence[str], seconds: float) -> None:
        """Show that processes of a role live; they count for so many seconds."""

    def alive(self, role: str) -> int:
        """Return how many processes of a role live."""
