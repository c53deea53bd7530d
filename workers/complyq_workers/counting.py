"""What of a worker's doings is counted for metrics, and under which labels: few, whatever the other side answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from complyq_workers.coordination import Counter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from complyq_workers.coordination import Coordination
    from complyq_workers.x import Exchange

log = structlog.get_logger(__name__)

UNANSWERED = "none"
"""The status of a request that got no answer."""
UNKNOWN = "other"
_STATUSES = frozenset(HTTPStatus)


def count_exchange(coordination: Coordination, exchange: Exchange) -> None:
    """Count an answer by its status, and the bytes that went over the wire; log it unless all is well."""
    is_well = exchange.status is not None and exchange.status < 400
    (log.debug if is_well else log.info)("x_answered", endpoint=exchange.endpoint, status=exchange.status)
    coordination.count(Counter.ANSWERS, exchange.endpoint, _status(exchange.status))
    for direction, amount in (("sent", exchange.sent), ("received", exchange.received)):
        if amount:
            coordination.count(Counter.BYTES, exchange.endpoint, direction, amount=amount)


def count_event(coordination: Coordination, event_id: str) -> None:
    """Count an event that was published, by its kind: that of results has the number of a part in its id."""
    kind = event_id.split("/")[1]
    coordination.count(Counter.EVENTS_PUBLISHED, "results" if kind.isdecimal() else kind)


def count_failure(coordination: Coordination, step: str, error: Exception, expected: Sequence[type[Exception]]) -> None:
    """Count a step that failed, by the kind of its error; what nobody expects is one kind."""
    kind = next((kind.__name__ for kind in expected if isinstance(error, kind)), "unexpected")
    coordination.count(Counter.STEP_FAILURES, step.partition(":")[0], kind.removesuffix("Error"))


def _status(status: int | None) -> str:
    if status is None:
        return UNANSWERED
    return str(status) if status in _STATUSES else UNKNOWN
