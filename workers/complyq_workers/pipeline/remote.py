"""X's compliance jobs as the pipeline asks for them: within the rate limit that all workers share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import structlog

from complyq_config.errors import ComplyqError
from complyq_workers.x import Answer, RateLimitedError, XError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from complyq_producer.model import ComplianceType, RemoteId
    from complyq_workers.clock import Clock
    from complyq_workers.coordination import Coordination
    from complyq_workers.x import ComplianceJob, RateLimit, XClient

T = TypeVar("T")

log = structlog.get_logger(__name__)

UNKNOWN_WAIT_SECONDS = 60.0
"""How long to stay away after a 429 that does not say when its window ends."""


class BudgetError(ComplyqError):
    """No request is left for an endpoint of X until its window ends. Waiting is no failure."""

    def __init__(self, endpoint: str, wait_seconds: float) -> None:
        super().__init__(f"no {endpoint} request is left at X for {wait_seconds:.0f} s")
        self.wait_seconds = wait_seconds


class Remote:
    """Asks X, and stays away from an endpoint that has no requests left until its window ends.

    Every method raises `BudgetError` where that is so, and else what `XClient` raises.
    """

    def __init__(self, client: XClient, coordination: Coordination, clock: Clock) -> None:
        self.client = client
        self._coordination = coordination
        self._clock = clock

    def create_job(
        self, type_: ComplianceType, name: str, *, resumable: bool, last_look: Callable[[], None] = lambda: None
    ) -> Answer[ComplianceJob]:
        """Create a remote job. Never retried here: a lost answer may have created it.

        Args:
            type_: the type.
            name: by which it is found again.
            resumable: whether its upload should be.
            last_look: called right before the request is sent; what it raises keeps it from being sent.
        """

        def ask() -> Answer[ComplianceJob]:
            last_look()
            return self.client.create_job(str(type_), name, resumable=resumable)

        return self._ask("create", ask)

    def get_job(self, remote_id: RemoteId) -> Answer[ComplianceJob]:
        """Ask for one job."""
        return self._ask("get", lambda: self.client.get_job(remote_id))

    def list_jobs(self, type_: ComplianceType) -> Answer[list[ComplianceJob]]:
        """Ask for all recent jobs of a type, and leave out those of another that the answer may hold all the same."""
        answer = self._ask("list", lambda: self.client.list_jobs(str(type_)))
        return replace(answer, value=[job for job in answer.value if job.type in {None, type_}])

    def cancel_job(self, remote_id: RemoteId) -> Answer[ComplianceJob | None]:
        """Cancel a job where the contract allows."""
        return self._ask("cancel", lambda: self.client.cancel_job(remote_id))

    def _ask(self, endpoint: str, question: Callable[[], Answer[T]]) -> Answer[T]:
        blocked = self._coordination.seconds_blocked(endpoint)
        if blocked > 0:
            raise BudgetError(endpoint, blocked)
        try:
            answer = question()
        except RateLimitedError as error:
            wait = self._seconds_until(error.retry_at, error.date)
            self._coordination.block(endpoint, wait)
            raise BudgetError(endpoint, wait) from error
        except XError as error:
            self._note(endpoint, error.rate_limit, error.date)
            raise
        self._note(endpoint, answer.rate_limit, answer.date)
        return answer

    def _note(self, endpoint: str, limit: RateLimit | None, date: datetime | None) -> None:
        if limit and limit.remaining == 0:
            log.warning("rate_limit_used_up", endpoint=endpoint, limit=limit.limit)
            self._coordination.block(endpoint, self._seconds_until(limit.reset, date))

    def _seconds_until(self, reset: float | None, date: datetime | None) -> float:
        """Return the seconds until an epoch time of X's, by X's own clock where the answer carried it."""
        if reset is None:
            return UNKNOWN_WAIT_SECONDS
        return max(1.0, reset - (date or self._clock.now()).timestamp())
