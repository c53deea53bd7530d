"""What the body of a refusal says, in one short line that shows no credential.

X answers problem+json or its legacy `{"errors": […]}`, OAuth `{"error", "error_description"}`, Cloud Storage XML.
"""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from complyq_config.redaction import MASK, redact

_MAX_CHARACTERS = 300
_SHORTEST_SECRET = 8
_XML_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_XML_MESSAGE = re.compile(r"<Message>([^<]{1,500})</Message>")


def describe(body: bytes, url: str = "") -> str:
    """Make one line of at most 300 characters from an error's body; empty where it says nothing readable.

    Args:
        body: The body, or its beginning.
        url: The URL that was asked: nothing of its query appears in the line, even where the server repeats it.
    """
    text = body.decode("utf-8", "replace").strip()
    return mask(" ".join((_from_json(text) or _from_xml(text) or _from_text(text)).split()), url)[:_MAX_CHARACTERS]


def xml_code(body: bytes) -> str:
    """Give the `<Code>` of a Cloud Storage error, such as ExpiredToken; empty where there is none."""
    found = _XML_CODE.search(body.decode("utf-8", "replace"))
    return found.group(1).strip() if found else ""


def mask(text: str, url: str = "") -> str:
    """Take credentials out of a text, among them whatever stands in the query of `url`."""
    for secret in _secrets_of(url):
        text = text.replace(secret, MASK)
    return redact(text)


def _secrets_of(url: str) -> list[str]:
    query = urlsplit(url).query
    values = {value for _, value in parse_qsl(query)} | {unquote(query), query}
    return sorted((value for value in values if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)


def _from_json(text: str) -> str:
    try:
        raw = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return ""
    return _from_object(raw) if isinstance(raw, dict) else ""


def _from_object(raw: dict[str, Any]) -> str:
    lines = [_from_problem(raw)] if "title" in raw or "detail" in raw else []
    errors = raw.get("errors")
    lines += map(_from_error, errors[:3] if isinstance(errors, list) else [])
    if "error" in raw:
        lines += [_from_error(raw["error"]), str(raw.get("error_description", ""))]
    return "; ".join(line for line in lines if line)


def _from_error(error: object) -> str:
    return _from_problem(error) if isinstance(error, dict) else str(error)


def _from_problem(raw: dict[str, Any]) -> str:
    """Join what stands in a problem (title, detail) or in a legacy error (message, code)."""
    said = [str(raw[field]) for field in ("title", "detail", "message") if raw.get(field)]
    code = f" (code {raw['code']})" if isinstance(raw.get("code"), int) else ""
    return ": ".join(dict.fromkeys(said)) + code


def _from_xml(text: str) -> str:
    said = [found.group(1) for pattern in (_XML_CODE, _XML_MESSAGE) if (found := pattern.search(text))]
    return html.unescape(": ".join(said))


def _from_text(text: str) -> str:
    """Plain text as it is; pages of markup say nothing worth a log line, other bytes nothing at all."""
    line = " ".join(text[:_MAX_CHARACTERS].split())
    return "" if line.startswith(("<", "{", "[")) or not line.isprintable() else line
