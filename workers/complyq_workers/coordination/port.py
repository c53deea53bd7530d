"""What the pipeline needs of Redis. Losing any of it costs time, never correctness: the facts decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from complyq_config.errors import ComplyqError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from complyq_producer.live import LiveJob
    from complyq_producer.model import BatchId, ComplianceType


class CoordinationError(ComplyqError):
    """Redis does not answer or refuses. The step ends and is tried again; nothing is lost."""


class Coordination(Protocol):
    """Leases and hints between workers. Times are in seconds. Every method is safe to repeat after a lost reply."""

    def take_step(self, name: str, nonce: str, seconds: float) -> int:
        """Take or renew the lease on a step.

        Where somebody else holds it, leave word that the step was asked for.

        Returns:
            How often the step was begun, this time included, since it last came to an end or made progress; more
            than once, and whoever ran it before died of it or with it. 0 if somebody else holds the lease.
        """

    def end_step(self, name: str, nonce: str) -> bool:
        """End the step in order and give the lease back, if it is still ours; return whether it was asked for meanwhile."""

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

    def count_failure(self, name: str) -> int:
        """Count one more failure in a row of a step; return how many there are now."""

    def clear_failures(self, name: str) -> None:
        """Forget the failures of a step that went well."""

    def block(self, endpoint: str, seconds: float) -> None:
        """Declare that an endpoint of X has no requests left for `seconds`."""

    def seconds_blocked(self, endpoint: str) -> float:
        """Return how long an endpoint is still blocked, 0 if it is not."""

    def show_job(self, type_: ComplianceType, job: LiveJob) -> None:
        """Show what the slot of a type is doing."""

    def note_duration(self, type_: ComplianceType, seconds: float) -> None:
        """Remember how long a job took from its plan to its end, for estimates."""

    def show_queue(self, type_: ComplianceType, waiting: Sequence[BatchId]) -> None:
        """Show which batches wait, in order."""
