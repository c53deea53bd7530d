"""Faults that tests arm: what they may be, and which is next for an operation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

_EVERYWHERE = ("disconnect", "lost_answer", "status", "delay", "stall", "redirect")
_API = (*_EVERYWHERE, "rate_limit")

KINDS_OF: Mapping[str, tuple[str, ...]] = {
    "create": (*_API, "foreign_url", "expire_window"),
    "get": (*_API, "foreign_url", "expire_window"),
    "list": (*_API, "foreign_url"),
    "cancel": _API,
    "token": _API,
    "session": (*_EVERYWHERE, "foreign_url", "expire_window"),
    "upload": (
        *_EVERYWHERE,
        "persist_less",
        "claim_persisted",
        "dead_session",
        "expire_window",
        "wrong_hash",
        "throttle",
    ),
    "query": (*_EVERYWHERE, "claim_persisted", "dead_session", "expire_window", "wrong_hash"),
    "download": (*_EVERYWHERE, "truncate", "wrong_hash", "throttle", "expire_window"),
    "job": ("fail", "expire", "stuck", "inject_lines"),
}
"""Which faults an operation knows."""

_FIELDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # kind: (required, optional)
    "disconnect": ((), ("after_bytes",)),
    "lost_answer": ((), ()),
    "status": (("status",), ("headers", "body", "after_bytes")),
    "delay": (("seconds",), ()),
    "stall": ((), ("seconds", "after_bytes")),
    "redirect": (("location",), ("status",)),
    "rate_limit": ((), ("seconds",)),
    "foreign_url": (("origin",), ()),
    "expire_window": ((), ()),
    "persist_less": (("bytes",), ()),
    "claim_persisted": (("bytes",), ()),
    "dead_session": ((), ("status",)),
    "wrong_hash": ((), ()),
    "throttle": (("bytes_per_second",), ()),
    "truncate": ((), ("after_bytes",)),
    "fail": ((), ("error",)),
    "expire": ((), ()),
    "stuck": ((), ()),
    "inject_lines": (("lines",), ()),
}
_COMMON = frozenset({"on", "fault", "times", "skip"})


class Fault(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One armed fault: it strikes `times` requests of operation `on`, after letting `skip` pass.

    Attributes:
        on: The operation: a key of `KINDS_OF`.
        fault: The kind: one of `KINDS_OF[on]`.
        after_bytes: For disconnect, status, stall on an upload: strike once so many bytes of request bodies have come
            in, counted over several requests if need be. On a download: after so many bytes of the answer.
        status: The HTTP status to answer with.
        headers: Further headers of that answer.
        body: `problem`, `legacy`, `xml`, `empty`, or the text itself; by default what the origin usually sends.
        seconds: How long to wait; for `rate_limit` until the reset.
        location: Where a redirect leads.
        origin: The `scheme://host[:port]` put into the URLs handed out.
        bytes: How much of this PUT to keep (`persist_less`), or to claim as persisted in all (`claim_persisted`).
        bytes_per_second: The speed of a throttled body.
        error: What a failed job says.
        lines: Lines that the results hold beside the true ones.
    """

    on: str
    fault: str
    times: int = 1
    skip: int = 0
    after_bytes: int | None = None
    status: int | None = None
    headers: dict[str, str] | None = None
    body: str | None = None
    seconds: float | None = None
    location: str | None = None
    origin: str | None = None
    bytes: int | None = None
    bytes_per_second: float | None = None
    error: str | None = None
    lines: list[str] | None = None


class InvalidFaultError(ValueError):
    """A fault that does not exist; the message names those that do."""


@dataclass(slots=True)
class _Armed:
    fault: Fault
    times: int
    skip: int


class Faults:
    """The armed faults; for each operation they strike in the order of arming."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def arm(self, fault: Fault) -> None:
        """Add a fault that `parse` accepted."""
        self._armed.append(_Armed(fault, fault.times, fault.skip))

    def take(self, operation: str) -> Fault | None:
        """Return the fault that strikes this request, if any, and count it."""
        armed = next((armed for armed in self._armed if armed.fault.on == operation), None)
        if armed is None:
            return None
        if armed.skip:
            armed.skip -= 1
            return None
        armed.times -= 1
        if not armed.times:
            self._armed.remove(armed)
        return armed.fault

    def postpone(self, fault: Fault, received: int) -> None:
        """Put a fault back that waits for more bytes than this request had."""
        left = max(0, (fault.after_bytes or 0) - received)
        self._armed.insert(0, _Armed(msgspec.structs.replace(fault, after_bytes=left), 1, 0))

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    def listing(self) -> list[dict[str, Any]]:
        """Return the armed faults, with what is left of `times` and `skip`."""
        return [{**msgspec.to_builtins(armed.fault), "times": armed.times, "skip": armed.skip} for armed in self._armed]


def parse(body: bytes) -> Fault:
    """Read a fault; raises InvalidFaultError, whose message names what would be valid."""
    try:
        fault = msgspec.json.decode(body, type=Fault)
    except msgspec.DecodeError as error:
        raise InvalidFaultError(f"{error}. A fault is {{on, fault, times?, skip?, …}} with {_catalogue()}") from error
    _check(fault)
    return fault


def _check(fault: Fault) -> None:
    kinds = KINDS_OF.get(fault.on)
    if kinds is None:
        raise InvalidFaultError(f"No operation {fault.on!r}. Valid: {_catalogue()}")
    if fault.fault not in kinds:
        raise InvalidFaultError(f"No fault {fault.fault!r} on {fault.on!r}. Valid: {', '.join(kinds)}")
    if fault.times < 1 or fault.skip < 0:
        raise InvalidFaultError("times must be at least 1, skip at least 0")
    _check_fields(fault)


def _check_fields(fault: Fault) -> None:
    required, optional = _FIELDS[fault.fault]
    given = {name for name in msgspec.to_builtins(fault) if name not in _COMMON}
    missing, foreign = set(required) - given, given - {*required, *optional}
    if missing:
        raise InvalidFaultError(f"{fault.fault!r} needs {', '.join(sorted(missing))}")
    if foreign:
        allowed = ", ".join((*required, *optional)) or "none"
        raise InvalidFaultError(f"{fault.fault!r} takes no {', '.join(sorted(foreign))}. Valid: {allowed}")


def _catalogue() -> str:
    return "; ".join(f"on {operation}: {', '.join(kinds)}" for operation, kinds in KINDS_OF.items())
