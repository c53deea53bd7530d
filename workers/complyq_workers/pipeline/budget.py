"""The request budget at X, as the requests of one worker process go through it.

All workers share it through the coordination. What this process was told by X itself it keeps to in any case; without
the coordination it has a small share of its own.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from complyq_config.errors import ComplyqError
from complyq_producer.live import ENDPOINTS
from complyq_workers.coordination import CoordinationError
from complyq_workers.coordination.quota import ASSUMED_REQUESTS, ASSUMED_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from complyq_workers.clock import Clock
    from complyq_workers.coordination import Coordination, Quota

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 2.0
"""A request waits for so long by itself, for instance while another one learns the window; longer waits are the step's."""
ASSUMED_PROCESSES = 20
"""So many worker processes may be at work, each without knowing of the others' requests."""
LOCAL_REQUESTS = ASSUMED_REQUESTS // ASSUMED_PROCESSES
"""What each of them may send of X's allowance, if all do."""


class BudgetError(ComplyqError):
    """No request is left for an endpoint of X until its window ends. Waiting is no failure."""

    def __init__(self, endpoint: str, wait_seconds: float) -> None:
        super().__init__(f"no {endpoint} request is left at X for {wait_seconds:.0f} s")
        self.wait_seconds = wait_seconds


class RequestBudget:
    """Lets a request go only if X allows it. Safe for threads."""

    def __init__(self, coordination: Coordination, clock: Clock) -> None:
        self._coordination = coordination
        self._clock = clock
        self._local = {endpoint: _LocalBudget(clock.monotonic) for endpoint in ENDPOINTS}

    def reserve(self, endpoint: str) -> str:
        """Wait until a request may be sent, for a moment at most; return the name by which it is settled.

        Raises:
            BudgetError: if that would take longer.
        """
        nonce, waited = secrets.token_hex(8), 0.0
        while (wait := self._seconds_to_wait(endpoint, nonce)) > 0:
            if waited + wait > PATIENCE_SECONDS:
                raise BudgetError(endpoint, wait)
            self._clock.sleep(wait)
            waited += wait
        return nonce

    def settle(self, endpoint: str, nonce: str, quota: Quota | None, *, sent: bool) -> None:
        """Tell how a request ended. What X has answered is not lost because this fails.

        Args:
            endpoint: its name.
            nonce: what `reserve` returned.
            quota: what the headers of the answer said, if there were any.
            sent: False if X has certainly not seen the request.
        """
        if quota:
            self._local[endpoint].note(quota)
        try:
            self._coordination.settle(endpoint, nonce, quota, sent=sent)
        except CoordinationError as error:
            log.warning("budget_not_settled", endpoint=endpoint, error=str(error))

    def block(self, endpoint: str, seconds: float) -> None:
        """Have everybody keep away from an endpoint for a while: X has refused a request."""
        log.warning("rate_limited_by_x", endpoint=endpoint, seconds=seconds)
        self._local[endpoint].block(seconds)
        try:
            self._coordination.block(endpoint, seconds)
        except CoordinationError as error:
            log.warning("budget_not_blocked", endpoint=endpoint, error=str(error))

    def pace(self, endpoint: str) -> float:
        """Return how many seconds should pass from one request to the next to last until the window's reset.

        Less than a third of the window's requests must be left for that to matter; else 0.
        """
        try:
            budget = self._coordination.budgets().get(endpoint)
        except CoordinationError:
            return ASSUMED_SECONDS / LOCAL_REQUESTS
        if budget is None or budget.limit is None or budget.remaining is None or budget.remaining >= budget.limit / 3:
            return 0.0
        return budget.seconds_left / max(budget.remaining, 1)

    def _seconds_to_wait(self, endpoint: str, nonce: str) -> float:
        local = self._local[endpoint]
        forbidden = local.seconds_forbidden()
        if forbidden > 0:
            return forbidden
        try:
            return self._coordination.reserve(endpoint, nonce)
        except CoordinationError as error:
            log.warning("budget_not_shared", endpoint=endpoint, error=str(error))
            return local.reserve()


@dataclass(slots=True)
class _LocalBudget:
    """What one process knows by itself of an endpoint: what X told it, and what it sent without asking the others."""

    monotonic: Callable[[], float]
    _remaining: int = ASSUMED_REQUESTS
    _resets_at: float = 0.0
    _blocked_until: float = 0.0
    _sent: deque[float] = field(default_factory=lambda: deque(maxlen=LOCAL_REQUESTS))
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, quota: Quota) -> None:
        """Remember what X said."""
        with self._lock:
            self._remaining, self._resets_at = quota.remaining, self.monotonic() + quota.seconds_left

    def block(self, seconds: float) -> None:
        """Remember that X refuses requests."""
        with self._lock:
            self._blocked_until = self.monotonic() + seconds

    def seconds_forbidden(self) -> float:
        """Return for how long X itself has told us to send nothing; 0 if it has not."""
        with self._lock:
            return max(self._blocked_until - self.monotonic(), self._seconds_without(1))

    def reserve(self) -> float:
        """Take one request of this process's own share: 0, or the seconds until there is one again.

        Where X has fewer left than there may be processes, there is none for sure.
        """
        with self._lock:
            now, used_up = self.monotonic(), len(self._sent) == LOCAL_REQUESTS
            share = self._sent[0] + ASSUMED_SECONDS - now if used_up else 0.0
            wait = max(share, self._seconds_without(ASSUMED_PROCESSES))
            if wait <= 0:
                self._sent.append(now)
            return max(0.0, wait)

    def _seconds_without(self, requests: int) -> float:
        """Return for how long X has fewer than so many requests left; 0 or less if it has them, for all we know."""
        return self._resets_at - self.monotonic() if self._remaining < requests else 0.0
