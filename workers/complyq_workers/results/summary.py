"""What a stored results object holds, counted from the object alone.

Whoever stored it, whenever: the same object gives the same summary, so that a second writer can describe
what the first one wrote.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, cast

import msgspec
import numpy as np
import numpy.typing as npt

from complyq_producer.results import DamagedResultsError, read_lines
from complyq_workers.results.kinds import UNTOLD, Kind, Kinds
from complyq_workers.results.lines import Lines, in_pieces

_READ_BYTES = 1 << 20
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
        bytes: length of the object.
        sha256: of the object, hexadecimal.
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


def summarize(
    open_results: Opener, open_rejected: Opener | None = None, read: Callable[[BinaryIO], Iterator[bytes]] = read_lines
) -> PartSummary:
    """Read a part's objects once, streamed, and count.

    Args:
        open_results: opens the results.
        open_rejected: opens what X answered with an error, if there is such an object.
        read: gives the lines of the results.

    Raises:
        DamagedResultsError: an object is cut short.
    """
    tally = Tally()
    with open_results() as stream:
        hashed = HashedStream(stream)
        for _ in tally.counted(
            in_pieces(read(cast("BinaryIO", hashed)), UNTOLD)
        ):  # reading is all that is done with it
            pass
    return tally.summary(hashed.length, hashed.digest.hexdigest(), count_lines(open_rejected))


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
        self._byte_room = self._line_room = 0

    def counted(self, pieces: Iterable[Lines], kinds: Kinds | None = None) -> Iterator[Lines]:
        """The same lines, counted as they pass, with hardly a look at those whose kind is known.

        Raises:
            DamagedResultsError: a line is no result.
        """
        for piece in pieces:
            known = kinds is not None and not (piece.kinds == UNTOLD).any()
            for kind, times in _told(piece, kinds) if kinds and known else _read(piece):
                self._count(self._actions, kind[0], times)
                self._count(self._reasons, kind[1], times)
            self._cut(piece.lengths)
            yield piece

    def summary(self, length: int, sha256: str, rejected: int) -> PartSummary:
        """What was counted, with the length and checksum of the object, and how many lines the rejected one has."""
        return PartSummary(
            count=sum(self._messages),
            bytes=length,
            sha256=sha256,
            by_action=_bounded(self._actions),
            by_reason=_bounded(self._reasons),
            rejected=rejected,
            messages=self._messages,
        )

    def _count(self, counts: Counter[str | None], value: str | None, times: int) -> None:
        fits = value is None or value in counts or (len(value) <= MAX_VALUE_LENGTH and len(counts) < MAX_VALUES)
        counts[value if fits else OTHER] += times

    def _cut(self, lengths: npt.NDArray[Any]) -> None:
        """A line's newline counts for the comma or bracket it becomes in the event's array; one more opens it."""
        ends = np.cumsum(lengths, dtype=np.int64)
        done = before = 0
        while done < len(ends):
            fitting = min(self._room_for(ends, before), done + self._line_room)
            if fitting <= done:
                self._messages.append(0)
                self._byte_room, self._line_room = MESSAGE_BYTES - 1, MESSAGE_LINES
                fitting = max(done + 1, min(self._room_for(ends, before), done + MESSAGE_LINES))
            self._messages[-1] += fitting - done
            self._line_room -= fitting - done
            self._byte_room -= int(ends[fitting - 1]) - before
            done, before = fitting, int(ends[fitting - 1])

    def _room_for(self, ends: npt.NDArray[np.int64], before: int) -> int:
        return int(np.searchsorted(ends, before + self._byte_room, side="right"))


class HashedStream:
    """A stream that remembers the length and the checksum of what was read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.length = 0

    def read_to_end(self) -> None:
        """Read to the end."""
        while self.read(_READ_BYTES):
            pass

    def read(self, size: int = -1) -> bytes:
        """Read and remember."""
        chunk = self._stream.read(size)
        self.digest.update(chunk)
        self.length += len(chunk)
        return chunk


def _told(piece: Lines, kinds: Kinds) -> Iterator[tuple[Kind, int]]:
    """The kinds of some lines in order of appearance, by which is decided whose names are kept."""
    found, firsts, counts = np.unique(piece.kinds, return_index=True, return_counts=True)
    for place in np.argsort(firsts).tolist():
        yield kinds.pair(int(found[place])), int(counts[place])


def _read(piece: Lines) -> Iterator[tuple[Kind, int]]:
    for line in piece.data.tobytes().splitlines(keepends=True):
        try:
            fields = _decode(line)
        except ValueError as error:
            raise DamagedResultsError(f"A stored results object holds a line that is none: {error}") from error
        yield (fields.action, fields.reason), 1


def _bounded(counts: Counter[str | None]) -> dict[str, int]:
    named: Counter[str] = Counter()
    for value, count in counts.items():
        named[UNKNOWN if value is None else value] += count
    return dict(sorted(named.items()))


def count_lines(open_rejected: Opener | None) -> int:
    """How many lines an object of rejected IDs has; 0 if there is none."""
    if open_rejected is None:
        return 0
    with open_rejected() as stream:
        return sum(1 for _ in read_lines(stream))
