"""Results as they are stored in gzip objects of JSON lines: one line for each ID that X flagged.

Workers write these lines and build events from them; services read them through `Producer.results`. Results that are
stored in another format (see `tables`) are read as the same lines.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeVar

import msgspec

from complyq_producer.errors import StoreError

_READ_BYTES = 1 << 20


class DamagedResultsError(StoreError):
    """A stored results object is cut short or is not what was written; collect the job again."""


class Result(msgspec.Struct, frozen=True):
    """What X answered about one ID.

    Attributes:
        id: the Post or user ID, decimal.
        type: "tweets" or "users".
        action: what X asks for ("delete", "rehydrate", "scrub_geo", …; an open set), None if X did not say.
        reason: why ("deleted", "suspended", …; an open set), None if X did not say.
        created_at: RFC 3339, UTC, milliseconds and "Z"; None if unknown.
        redacted_at: the same for the moment the content was withdrawn.
        extras: what else X sent, by name; a time that could not be read is kept as `<field>_raw`.
    """

    id: str
    type: str
    action: str | None = None
    reason: str | None = None
    created_at: str | None = None
    redacted_at: str | None = None
    extras: dict[str, Any] = {}

    def to_json(self) -> bytes:
        """The stored line, without its newline: known fields first, then the extra ones sorted by name."""
        known = _KnownResult(self.id, self.type, self.action, self.reason, self.created_at, self.redacted_at)
        return _with_extras(_encode(known), self.extras)

    @classmethod
    def from_line(cls, line: bytes) -> "Result":
        """Read one stored line; raises DamagedResultsError if it is none."""
        try:
            known = _decode_known(line)
        except msgspec.DecodeError:
            return _from_line(cls, line)
        return cls(known.id, known.type, known.action, known.reason, known.created_at, known.redacted_at)


class Rejected(msgspec.Struct, frozen=True):
    """An ID (or what X took for one) that X answered with an error, and so did not check.

    Attributes:
        id: what X called it; not always an ID.
        type: "tweets" or "users".
        error: X's word for what was wrong, usually a string such as "invalid_id".
        extras: what else X sent, by name.
    """

    id: str
    type: str
    error: Any = None
    extras: dict[str, Any] = {}

    def to_json(self) -> bytes:
        """The stored line, without its newline."""
        return _with_extras(_encode(_KnownRejected(self.id, self.type, self.error)), self.extras)

    @classmethod
    def from_line(cls, line: bytes) -> "Rejected":
        """Read one stored line; raises DamagedResultsError if it is none."""
        return _from_line(cls, line)


def read_results(stream: BinaryIO) -> Iterator[Result]:
    """Results of a stored object, in its order (ascending by ID), streamed; raises DamagedResultsError."""
    return map(Result.from_line, read_lines(stream))


def read_rejected(stream: BinaryIO) -> Iterator[Rejected]:
    """Rejected IDs of a stored object, in its order, streamed; raises DamagedResultsError."""
    return map(Rejected.from_line, read_lines(stream))


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines of a gzip object as they are, each with its newline; raises DamagedResultsError if it is cut short."""
    with gzip.GzipFile(fileobj=stream, mode="rb") as unpacked, io.BufferedReader(unpacked, _READ_BYTES) as lines:
        try:
            yield from lines
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DamagedResultsError(f"A stored results object cannot be unpacked: {error}") from error


class KnownFields(msgspec.Struct, gc=False):
    """What a stored line says but for its extra fields; see `Result`."""

    id: str
    type: str
    action: str | None = None
    reason: str | None = None
    created_at: str | None = None
    redacted_at: str | None = None


class _KnownResult(KnownFields, gc=False, forbid_unknown_fields=True):
    """A line without extras, which nearly all are: read and written in one step."""


class _KnownRejected(msgspec.Struct, gc=False):
    id: str
    type: str
    error: Any


_encode = msgspec.json.Encoder().encode
_decode_known = msgspec.json.Decoder(_KnownResult).decode


_decode_fields = msgspec.json.Decoder(KnownFields).decode


def split_line(line: bytes) -> tuple[KnownFields, bytes]:
    """Take a stored line apart, with or without its newline: known fields, and the JSON object of the others.

    That is empty if there are none. `join_line` gives the very same line, without its newline.

    Raises:
        DamagedResultsError: it is no stored line.
    """
    try:
        known = _decode_fields(line)
    except ValueError as error:
        raise _no_line(error) from error
    others = line.removesuffix(b"\n")[len(_encode(known)) :]
    return known, b"{" + others if others else b""


def join_line(known: KnownFields, extras: bytes) -> bytes:
    """Put a stored line together again."""
    return _joined(_encode(known), extras)


def _joined(known: bytes, extras: bytes) -> bytes:
    return known[:-1] + b"," + extras[1:] if extras else known


def _with_extras(known: bytes, extras: dict[str, Any]) -> bytes:
    return _joined(known, _encode(dict(sorted(extras.items()))) if extras else b"")


_Line = TypeVar("_Line", Result, Rejected)


def _from_line(shape: type[_Line], line: bytes) -> _Line:
    """Read a line that may have extras: whatever is no field of `shape` is one."""
    try:
        fields = _json_object(line)
        known = {name: fields.pop(name) for name in shape.__struct_fields__[:-1] if name in fields}
        return msgspec.convert({**known, "extras": fields}, shape)
    except ValueError as error:
        raise _no_line(error) from error


def _no_line(error: ValueError) -> DamagedResultsError:
    return DamagedResultsError(f"A stored results object holds a line that is none: {error}")


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.ValidationError:  # a number beyond a double, which only the standard library takes
        return dict(json.loads(line))
