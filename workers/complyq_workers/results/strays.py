"""What X says that is about none of our IDs: errors, of which we know how many IDs they stand for, and results of others."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import repeat

from complyq_producer.results import Rejected

_KEPT_LINES = 4_096
_MAX_LINE_BYTES = 1_024
_EXAMPLES = 5
_EXAMPLE_LENGTH = 64


class StrayErrors:
    """Counts error lines, and keeps what they say in bounded memory.

    Kept are the lines that sort first: a set that does not depend on the order in which X sent them. Each of the
    others is told as a line without an ID.
    """

    def __init__(self, job_type: str) -> None:
        self._others = Rejected("", job_type, "not kept: X sent too many different errors").to_json() + b"\n"
        self._counts: Counter[bytes] = Counter()
        self.total = 0

    def add(self, line: bytes) -> None:
        """Count one stored line, which ends with its newline."""
        self.total += 1
        if len(line) <= _MAX_LINE_BYTES:
            self._counts[line] += 1
        if len(self._counts) > 2 * _KEPT_LINES:
            self._forget_last()

    def join(self, others: "StrayErrors") -> None:
        """Count what another process has counted."""
        self.total += others.total
        self._counts.update(others._counts)  # noqa: SLF001 - of this class
        if len(self._counts) > 2 * _KEPT_LINES:
            self._forget_last()

    def lines(self, first: int, count: int) -> Iterator[bytes]:
        """So many of those that were counted, from place `first` on: kept ones in order, then stand-ins for the others."""
        if not count:  # as for each of the thousands of parts of a merged job
            return
        kept = sorted(self._counts.items())[:_KEPT_LINES]
        others = self.total - sum(times for _, times in kept)
        for line, times in [*kept, (self._others, others)]:
            taken = min(max(0, times - first), count)
            yield from repeat(line, taken)
            first, count = max(0, first - times), count - taken

    def _forget_last(self) -> None:
        for line in sorted(self._counts)[_KEPT_LINES:]:
            del self._counts[line]


class ForeignIds:
    """Counts results about IDs that nobody asked for, and keeps the first of these IDs."""

    def __init__(self) -> None:
        self.total = 0
        self.examples: tuple[str, ...] = ()

    def add(self, identifiers: Sequence[str]) -> None:
        """Count what some results call their ID."""
        self.total += len(identifiers)
        self._show(identifiers)

    def join(self, others: "ForeignIds") -> None:
        """Count what another process has counted."""
        self.total += others.total
        self._show(others.examples)

    def _show(self, identifiers: Sequence[str]) -> None:
        room = _EXAMPLES - len(self.examples)
        self.examples += tuple(identifier[:_EXAMPLE_LENGTH] for identifier in identifiers[:room])
