"""One line of X's answer.

X's format is documented loosely and has changed before, so a line is taken for what it says: fields that are
unknown are passed on, values that are unknown too; only a line that does not tell which ID it is about is refused.
"""

import itertools
import re
from typing import Any

import msgspec

from complyq_producer.results import Rejected, Result
from complyq_workers.results.times import to_utc_milliseconds

MAX_LINE_BYTES = 65_536
MAX_ID = 2**64 - 1
MAX_DEPTH = 64
"""How deeply objects and lists may be nested: readers of results, in whatever language, break far beyond."""


class UnreadableLineError(ValueError):
    """The line does not say which ID it is about; the message says why."""


def parse_line(line: bytes, job_type: str) -> Result | Rejected | None:
    """Read one line, with or without its end; None if it is blank.

    Args:
        line: as X sent it.
        job_type: "tweets" or "users", which X does not repeat in each line.

    Raises:
        UnreadableLineError: if it is too long, nested too deeply, not a JSON object, or names no ID.
    """
    if len(line) > MAX_LINE_BYTES:
        raise UnreadableLineError(f"longer than {MAX_LINE_BYTES} bytes")
    return _parse_usual(line, job_type) or _parse_unusual(line, job_type)


def id_number(identifier: str) -> int | None:
    """The ID as a number, or None if no ID of ours can look like that (not decimal, zero, beyond 64 bits)."""
    if len(identifier) > 20 or not (identifier.isdigit() and identifier.isascii()):
        return None
    number = int(identifier)
    return number if 0 < number <= MAX_ID else None


class _UsualLine(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What nearly every line looks like: decoded in one step, several times faster than field by field."""

    id: str
    action: str | None = None
    reason: str | None = None
    created_at: str | None = None
    redacted_at: str | None = None


_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_decode_usual = msgspec.json.Decoder(_UsualLine).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _parse_usual(line: bytes, job_type: str) -> Result | None:
    """Read the line if it has nothing but known fields of the documented kinds, else None."""
    try:
        usual = _decode_usual(line)
    except ValueError:  # both msgspec's errors and bytes that are not UTF-8
        return None
    created_at = None if usual.created_at is None else to_utc_milliseconds(usual.created_at)
    redacted_at = None if usual.redacted_at is None else to_utc_milliseconds(usual.redacted_at)
    unreadable = (created_at is None) != (usual.created_at is None) or (redacted_at is None) != (
        usual.redacted_at is None
    )
    if unreadable or not usual.id.isdigit() or usual.id[0] == "0":
        return None
    return Result(usual.id, job_type, usual.action, usual.reason, created_at, redacted_at)


def _parse_unusual(line: bytes, job_type: str) -> Result | Rejected | None:
    text = line.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        return None
    fields = _fields_of(text)
    identifier = _identifier(fields)
    type_named = fields.pop("type", None)
    if type_named is not None and _value(type_named) != job_type:
        fields["type_raw"] = type_named
    if _value(fields.get("error")) is not None:
        return Rejected(identifier, job_type, fields.pop("error"), _passed_on(fields))
    if not identifier:
        raise UnreadableLineError("without an ID")
    return _result(identifier, job_type, fields)


def _fields_of(text: bytes) -> dict[str, msgspec.Raw]:
    try:
        text.decode()  # fields that are only passed on are not decoded one by one
        fields = _decode_fields(text)
        is_deep = _is_deep(text)
    except RecursionError:
        is_deep = True
    except msgspec.ValidationError:
        raise UnreadableLineError("not a JSON object") from None
    except ValueError:
        raise UnreadableLineError("not JSON") from None
    if is_deep:
        raise UnreadableLineError(f"nested more than {MAX_DEPTH} deep")
    return fields


def _is_deep(text: bytes) -> bool:
    """Measure valid JSON; of other text the search for strings could take very long."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    steps = (_STEPS.get(byte, 0) for byte in _STRINGS.sub(b"", text))
    return max(itertools.accumulate(steps)) > MAX_DEPTH


def _identifier(fields: dict[str, msgspec.Raw]) -> str:
    """The ID in its canonical form; an exponent or a fraction means that digits were lost on the way."""
    value = _value(fields.pop("id", None))
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UnreadableLineError("without an ID")
    text = str(value).strip()
    number = id_number(text.lstrip("0"))
    return text if number is None else str(number)


def _result(identifier: str, job_type: str, fields: dict[str, msgspec.Raw]) -> Result:
    if _value(fields.get("redacted_at")) is None and "deleted_at" in fields:
        fields["redacted_at"] = fields.pop("deleted_at")
    action, reason = _text(fields, "action"), _text(fields, "reason")
    created_at, redacted_at = _time(fields, "created_at"), _time(fields, "redacted_at")
    return Result(identifier, job_type, action, reason, created_at, redacted_at, _passed_on(fields))


def _text(fields: dict[str, msgspec.Raw], name: str) -> str | None:
    raw = fields.pop(name, None)
    value = _value(raw)
    if isinstance(value, str):
        return value
    if raw is not None and value is not None:
        fields[f"{name}_raw"] = raw
    return None


def _time(fields: dict[str, msgspec.Raw], name: str) -> str | None:
    raw = fields.pop(name, None)
    value = _value(raw)
    if raw is None or value is None:
        return None
    instant = to_utc_milliseconds(value) if isinstance(value, str) else None
    if instant is None:
        fields[f"{name}_raw"] = raw
    return instant


def _value(raw: msgspec.Raw | None) -> Any:
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except msgspec.ValidationError:  # a number beyond a double is neither an ID, a word nor a time
        return float("inf")


def _passed_on(fields: dict[str, msgspec.Raw]) -> dict[str, Any]:
    """Values exactly as X wrote them, without the white space between their parts."""
    return {name: msgspec.Raw(msgspec.json.format(raw, indent=-1)) for name, raw in fields.items()}
