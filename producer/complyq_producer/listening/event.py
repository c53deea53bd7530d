"""What a listener gets."""

from datetime import datetime
from typing import Any

import msgspec

MAX_EVENT_BYTES = 200_000


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event: a CloudEvents 1.0 envelope around `data`.

    Attributes:
        specversion: "1.0".
        id: the same for every copy of the event.
        source: `/complyq/<namespace>`.
        type: for example `complyq.batch.completed.v1`.
        subject: the batch id.
        time: when it happened.
        data: the event's own fields; later versions may add some.
        datacontenttype: "application/json".
        dataschema: names the shape of `data`.
        traceparent: the trace it belongs to, where known.
    """

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any]
    datacontenttype: str = "application/json"
    dataschema: str | None = None
    traceparent: str | None = None
