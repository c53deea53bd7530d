"""What a stored results object holds, counted from the object alone.

Whoever stored it, whenever: the same object gives the same summary, so that a second writer can describe
what the first one wrote.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

import msgspec

from complyq_producer.results import DamagedResultsError, read_lines

MESSAGE_BYTES = 150_000
MESSAGE_LINES = 1_000
# X's sets are open. What it sends must not let a summary grow beyond what an event can carry.
MAX_VALUES = 50
MAX_VALUE_LENGTH = 64
KNOWN_ACTIONS = frozenset({"delete", "rehydrate", "scrub_geo"})
KNOWN_REASONS = frozenset(
    {"deleted", "deactivated", "protected", "suspended", "bounced", "tweet_edited", "geo_scrubbed", "scrub_geo"}
)
UNKNOWN = "unknown"
OTHER = "other"

Opener = Callable[[], AbstractContextManager[BinaryIO]]


class PartSummary(msgspec.Struct, frozen=True):
    """One part's results, as facts and events tell them.

    Attributes:
        count: result lines, which is flagged IDs.
        bytes: length of the gzip object.
        sha256: of the gzip object, hexadecimal.
        by_action: lines per action; "unknown" where X gave none, "other" beyond 50 different ones.
        by_reason: the same per reason.
        rejected: lines of the rejected object, 0 if there is none.
        messages: lines of each results event, in order; each at most 1,000 lines and 150,000 bytes of JSON.
    """

    count: int
    bytes: int
    sha256: str
    by_action: dict[str, int]
    by_reason: dict[str, int]
    rejected: int
    messages: list[int]


def summarize(open_results: Opener, open_rejected: Opener | None = None) -> PartSummary:
    """Read a part's objects once, streamed, and count; raises DamagedResultsError if one is cut short."""
    tally = Tally()
    with open_results() as stream:
        hashed = _HashedStream(stream)
        for _ in tally.counted(read_lines(hashed)):  # type: ignore[arg-type]  # reading is all that unpacking needs
            pass
    return tally.summary(hashed.length, hashed.digest.hexdigest(), _count_lines(open_rejected))


def unexpected_values(summary: PartSummary) -> dict[str, int]:
    """Actions and reasons that X's documentation does not know, or that X left out, with their counts: for the log."""
    actions = {f"action {name}": count for name, count in summary.by_action.items() if name not in KNOWN_ACTIONS}
    reasons = {f"reason {name}": count for name, count in summary.by_reason.items() if name not in KNOWN_REASONS}
    return actions | reasons


class _Tallied(msgspec.Struct, gc=False):
    action: str | None = None
    reason: str | None = None


_decode = msgspec.json.Decoder(_Tallied).decode


class Tally:
    """Counts the lines of a results object by action, by reason, and into messages."""

    def __init__(self) -> None:
        self._actions: Counter[str | None] = Counter()
        self._reasons: Counter[str | None] = Counter()
        self._messages: list[int] = []
        self._message_bytes = MESSAGE_BYTES

    def counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The same lines, counted as they pass; raises DamagedResultsError at one that is no result."""
        for line in lines:
            self._add(line)
            yield line

    def summary(self, length: int, sha256: str, rejected: int) -> PartSummary:
        """What was counted, with the length and checksum of the gzip object, and how many lines the rejected one has."""
        return PartSummary(
            count=sum(self._messages),
            bytes=length,
            sha256=sha256,
            by_action=_bounded(self._actions),
            by_reason=_bounded(self._reasons),
            rejected=rejected,
            messages=self._messages,
        )

    def _add(self, line: bytes) -> None:
        try:
            fields = _decode(line)
        except ValueError as error:
            raise DamagedResultsError(f"A stored results object holds a line that is none: {error}") from error
        self._count(self._actions, fields.action)
        self._count(self._reasons, fields.reason)
        self._add_to_message(len(line))

    def _count(self, counts: Counter[str | None], value: str | None) -> None:
        if value in counts:
            counts[value] += 1
        elif value is None or (len(value) <= MAX_VALUE_LENGTH and len(counts) < MAX_VALUES):
            counts[value] = 1
        else:
            counts[OTHER] += 1

    def _add_to_message(self, length: int) -> None:
        """A line's newline counts for the comma or bracket it becomes in the event's array; one more opens it."""
        if self._message_bytes + length > MESSAGE_BYTES or self._messages[-1] == MESSAGE_LINES:
            self._messages.append(0)
            self._message_bytes = 1
        self._messages[-1] += 1
        self._message_bytes += length


class _HashedStream:
    """A stream that remembers the length and the checksum of what was read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.length = 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self.digest.update(chunk)
        self.length += len(chunk)
        return chunk


def _bounded(counts: Counter[str | None]) -> dict[str, int]:
    named: Counter[str] = Counter()
    for value, count in counts.items():
        named[UNKNOWN if value is None else value] += count
    return dict(sorted(named.items()))


def _count_lines(open_rejected: Opener | None) -> int:
    if open_rejected is None:
        return 0
    with open_rejected() as stream:
        return sum(1 for _ in read_lines(stream))
