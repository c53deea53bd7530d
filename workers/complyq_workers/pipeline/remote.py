"""X's compliance jobs as the pipeline asks for them: within the request budget that all workers share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from complyq_workers.coordination import Quota
from complyq_workers.pipeline.budget import BudgetError, RequestBudget
from complyq_workers.x import Answer, ForbiddenOriginError, RateLimitedError, UnreachableError, XError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from complyq_producer.model import ComplianceType, RemoteId
    from complyq_workers.clock import Clock
    from complyq_workers.coordination import Coordination
    from complyq_workers.x import ComplianceJob, XClient

T = TypeVar("T")

__all__ = ["BudgetError", "Remote"]

UNKNOWN_WAIT_SECONDS = 60.0
"""How long to stay away after a 429 that does not say when its window ends."""
MARGIN_SECONDS = 1.0
"""X tells the end of a window in whole seconds. What is sent a little late is surely in the next one."""
NEVER_SENT = (ForbiddenOriginError, UnreachableError)
"""X has not seen such a request, so it cost nothing."""


class Remote:
    """Asks X, and stays away from an endpoint that has no requests left until its window ends.

    Every method that asks raises `BudgetError` where that is so, and else what `XClient` raises.
    """

    def __init__(self, client: XClient, coordination: Coordination, clock: Clock) -> None:
        self.client = client
        self._budget = RequestBudget(coordination, clock)
        self._clock = clock

    def pace(self, endpoint: str) -> float:
        """Return how many seconds should pass between requests to last until the window's reset; 0 while many are left."""
        return self._budget.pace(endpoint)

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
        return self._ask("create", lambda: self.client.create_job(str(type_), name, resumable=resumable), last_look)

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

    def _ask(
        self, endpoint: str, question: Callable[[], Answer[T]], last_look: Callable[[], None] = lambda: None
    ) -> Answer[T]:
        try:
            return self._ask_within_budget(endpoint, question, last_look)
        except RateLimitedError as error:
            wait = self._seconds_until(error.retry_at, error.date)
            self._budget.block(endpoint, wait)
            raise BudgetError(endpoint, wait) from error

    def _ask_within_budget(
        self, endpoint: str, question: Callable[[], Answer[T]], last_look: Callable[[], None]
    ) -> Answer[T]:
        nonce = self._budget.reserve(endpoint)
        quota, sent = None, False
        try:
            last_look()
            sent = True  # unless we learn better
            answer = question()
            quota = self._quota(answer)
            return answer
        except XError as error:
            quota, sent = self._quota(error), sent and not isinstance(error, NEVER_SENT)
            raise
        finally:
            self._budget.settle(endpoint, nonce, quota, sent=sent)

    def _quota(self, told: Answer[T] | XError) -> Quota | None:
        limit = told.rate_limit
        if limit is None:
            return None
        return Quota(limit.limit, limit.remaining, self._seconds_until(limit.reset, told.date) + MARGIN_SECONDS)

    def _seconds_until(self, reset: float | None, date: datetime | None) -> float:
        """Return the seconds until an epoch time of X's, by X's own clock where the answer carried it."""
        if reset is None:
            return UNKNOWN_WAIT_SECONDS
        return max(1.0, reset - (date or self._clock.now()).timestamp())
