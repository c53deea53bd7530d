"""The bodies in which X and Cloud Storage say no."""

from collections.abc import Mapping
from datetime import UTC, datetime
from xml.sax.saxutils import escape

import msgspec

from complyq_simulator.http import Response, json_response

_PROBLEMS = "https://api.twitter.com/2/problems"
_TITLES = {
    400: ("Invalid Request", f"{_PROBLEMS}/invalid-request"),
    401: ("Unauthorized", "about:blank"),
    403: ("Forbidden", f"{_PROBLEMS}/forbidden"),
    404: ("Not Found Error", f"{_PROBLEMS}/resource-not-found"),
    405: ("Method Not Allowed", "about:blank"),
    409: ("Conflict", f"{_PROBLEMS}/concurrent-compliance-jobs"),
    413: ("Payload Too Large", "about:blank"),
    415: ("Unsupported Media Type", "about:blank"),
    503: ("Service Unavailable", "about:blank"),
}
_LEGACY_CODES = {401: (32, "Could not authenticate you"), 429: (88, "Rate limit exceeded"), 503: (130, "Over capacity")}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer as X's version 2 does: problem+json."""
    title, type_ = _TITLES.get(status, ("Error", "about:blank"))
    body = {"title": title, "type": type_, "status": status, "detail": detail}
    content_type = {"content-type": "application/problem+json"}
    return Response(status, {**content_type, **(headers or {})}, msgspec.json.encode(body))


def legacy(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Answer as X's older layers do: `{"errors": [{"code", "message"}]}`."""
    code, message = _LEGACY_CODES.get(status, (131, "Internal error"))
    return json_response(status, {"errors": [{"code": code, "message": message}]}, headers)


def xml(status: int, code: str, message: str, details: str = "") -> Response:
    """Answer as Cloud Storage's XML API does."""
    more = f"<Details>{escape(details)}</Details>" if details else ""
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{escape(message)}</Message>{more}</Error>"
    return Response(status, {"content-type": "application/xml; charset=UTF-8"}, text.encode())


def signature_mismatch() -> Response:
    """Answer to a request that is not the one that was signed."""
    return xml(
        403,
        "SignatureDoesNotMatch",
        "Access denied.",
        "The request signature we calculated does not match the signature you provided.",
    )


def expired_signature(at: float) -> Response:
    """Answer to a signed URL whose time is over; `at` in epoch seconds. Cloud Storage says 400 here, not 403."""
    when = datetime.fromtimestamp(int(at), UTC).isoformat()
    details = f"The provided token has expired. Request signature expired at: {when}"
    return xml(400, "ExpiredToken", "Invalid argument.", details)
