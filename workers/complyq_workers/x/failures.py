"""Turns what requests and urllib3 raise into errors of ours, whose text holds no URL's query."""

from __future__ import annotations

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError

from complyq_workers.x.errors import AmbiguousAnswerError, UnreachableError

VENDOR_ERRORS = (requests.RequestException, HTTPError, OSError, ValueError)
"""What sending, or reading an answer, may raise. ValueError: malformed chunk sizes, headers and the like."""

_BEFORE_SENDING = (ConnectTimeoutError, NewConnectionError, ProxyError)
_DEEPEST = 12


def no_answer(error: BaseException, name: str) -> AmbiguousAnswerError:
    """Make the error for a request that got no answer.

    Args:
        error: What the vendor's library raised.
        name: Method, origin and path.
    """
    if any(isinstance(cause, _BEFORE_SENDING) for cause in _causes_of(error)):
        return UnreachableError(f"{name}: no connection ({_reason(error)}).")
    return AmbiguousAnswerError(f"{name}: no answer ({_reason(error)}).")


def broken_answer(error: BaseException, name: str, status: int) -> AmbiguousAnswerError:
    """Make the error for an answer whose body ended early."""
    return AmbiguousAnswerError(f"{name}: the answer broke off ({_reason(error)}).", status=status)


def _reason(error: BaseException) -> str:
    """Say what broke without the vendor's own text, which holds whole URLs."""
    causes = _causes_of(error)
    names = " ".join(map(_type_name, causes))
    if "imeout" in names:
        return "timed out"
    if "SSL" in names or "Certificate" in names:
        return "TLS failed"
    said = [phrase for cause in causes if (phrase := _system_phrase(cause))]
    return said[-1].lower() if said else _type_name(causes[-1])


def _system_phrase(cause: BaseException) -> str:
    """Give the operating system's own words, which are fixed phrases; empty for other errors."""
    if not isinstance(cause, OSError) or isinstance(cause, requests.RequestException):
        return ""
    return cause.strerror or ""


def _type_name(cause: BaseException) -> str:
    return type(cause).__name__


def _causes_of(error: BaseException) -> list[BaseException]:
    """The error and what lies beneath: urllib3 keeps causes in `reason`, requests in its arguments.

    Not `__context__`: it may lead to an error of another connection that the caller is just handling.
    """
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < _DEEPEST:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            waiting += [getattr(cause, "reason", None), cause.__cause__, *cause.args]
    return found
