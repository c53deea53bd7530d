"""Wraps the ports, so that each call that changes something outside the process reaches a failpoint.

The tables name every method of every port; a method without a name changes nothing. Names are made of the port, the
method, and what the call is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog

from complyq_producer import task_names
from complyq_producer.layout import kind_of
from complyq_workers.failpoints.points import Failpoints, When, enabled
from complyq_workers.pipeline.remote import Remote
from complyq_workers.pipeline.step import Hint

if TYPE_CHECKING:
    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.x.messages import Request

P = TypeVar("P")
Effects = Mapping[str, Callable[..., str] | None]
"""The methods of a port: how the failpoint of a call is named from its arguments, or None if it changes nothing."""

log = structlog.get_logger(__name__)


def with_failpoints(ports: Ports) -> Ports:
    """Wrap the ports that have side effects, if this process runs with failpoints; else return them as they are."""
    points = enabled()
    if points is None:
        return ports
    log.warning("failpoints_enabled", file=str(points.file))
    coordination = _wrapped(ports.coordination, COORDINATION, points)
    return replace(
        ports,
        store=_wrapped(ports.store, STORE, points),
        coordination=coordination,
        remote=Remote(_wrapped(ports.remote.client, X, points), coordination, ports.clock),
        transport=_wrapped(ports.transport, TRANSPORT, points),
        events=_wrapped(ports.events, EVENTS, points),
    )


def _wrapped(port: P, effects: Effects, points: Failpoints) -> P:
    return cast("P", _Wrapped(port, effects, points))


class _Wrapped:
    """Looks like the port, and reaches a failpoint before and after each call that changes something."""

    def __init__(self, port: object, effects: Effects, points: Failpoints) -> None:
        self._port = port
        self._effects = effects
        self._points = points

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        named = self._effects.get(name)
        return partial(self._call, attribute, named) if named else attribute

    def _call(self, method: Callable[..., Any], named: Callable[..., str], *args: Any, **kwargs: Any) -> Any:
        name = named(*args, **kwargs)
        self._points.reach(name, When.BEFORE)
        try:
            return method(*args, **kwargs)
        finally:  # what raised may have had its effect all the same
            self._points.reach(name, When.AFTER)


def _by_key(method: str) -> Callable[..., str]:
    return lambda key, *_: f"store.{method}.{kind_of(key)}"


def _by_purpose(method: str) -> Callable[..., str]:
    """Name what is counted or awaited; all steps count as one."""
    return lambda name, *_: f"coordination.{method}.{'step' if _first(name) in STEPS else _first(name)}"


def _by_step(method: str) -> Callable[..., str]:
    return lambda name, *_, **__: f"coordination.{method}.{_first(name)}"


def _plain(name: str) -> Callable[..., str]:
    return lambda *_, **__: name


def _first(name: str) -> str:
    return name.partition(":")[0]


def _event(_batch_id: str, event_id: str, _body: bytes) -> str:
    kind = event_id.split("/")[1]
    return f"events.publish.{'results' if kind.isdecimal() else kind}"


def _request(request: Request, **_: object) -> str:
    content_range = request.headers.get("Content-Range")
    if request.method == "POST":
        return "x.start_session"
    if content_range is None:
        return "x.put_whole"
    # A question may end an upload: the server takes what has come in as the whole.
    return "x.query_session" if content_range.startswith("bytes */") else "x.send_chunk"


STEPS = frozenset(
    Hint(task).step for name, task in vars(task_names).items() if name.isupper() and isinstance(task, str)
)
STORE: Effects = {
    "create": _by_key("create"),
    "create_from": _by_key("create_from"),
    "replace": _by_key("replace"),
    "delete": _by_key("delete"),
    "verify": _plain("store.verify"),
    "read": None,
    "open": None,
    "info": None,
    "list": None,
    "url": None,
}
COORDINATION: Effects = {
    "take_step": _by_step("take_step"),
    "end_step": _by_step("end_step"),
    "note_progress": _plain("coordination.note_progress"),
    "hold_slot": _plain("coordination.hold_slot"),
    "release_slot": _plain("coordination.release_slot"),
    "postpone": _by_purpose("postpone"),
    "count_failure": _by_purpose("count_failure"),
    "reserve": _plain("coordination.reserve"),
    "settle": _plain("coordination.settle"),
    "block": _plain("coordination.block"),
    "show_job": _plain("coordination.show_job"),
    "show_queue": _plain("coordination.show_queue"),
    "note_duration": _plain("coordination.note_duration"),
    "show_unsettled": _plain("coordination.show_unsettled"),
    "seconds_until_due": None,
    "is_idle": None,
    "budgets": None,
    "durations": None,
    "slot_holder": None,
    "show_backlog": _plain("coordination.show_backlog"),
    "count": None,  # told with the end of a step
    "observe": None,
    "counted": None,
    "unsettled": None,
    "show_alive": None,  # by a worker's main process, which runs no step
    "alive": None,
    "backlog": None,
}
X: Effects = {
    "create_job": _plain("x.create_job"),
    "cancel_job": _plain("x.cancel_job"),
    "get_job": None,
    "list_jobs": None,
}
TRANSPORT: Effects = {
    "send": _request,
    "stream": None,
    "use": None,
    "renew_bearer": None,
    "close": None,
}
"""The client of X has the transport to itself: what goes through this one is bytes."""
EVENTS: Effects = {
    "publish": _event,
    "verify": None,  # proves, and leaves nothing behind
    "backlog": None,
    "life": _plain("events.life"),
}
