"""What was not an ID: how many, and the first few for the message."""

from typing import Literal

from complyq_producer.errors import InvalidIdsError

_SHOWN = 5
_SHOWN_CHARACTERS = 40


class Rejects:
    """Counts invalid IDs; remembers the first few.

    Attributes:
        count: how many there are.
    """

    def __init__(self, unit: Literal["line", "item"]) -> None:
        self.count = 0
        self._unit = unit
        self._first: list[str] = []

    def add(self, position: int, value: object) -> None:
        """Count the value of this line, or of this item of an iterable; the first has position 1."""
        self.count += 1
        if len(self._first) < _SHOWN:
            self._first.append(f"{self._unit} {position}: {_shown(value)}")

    def refuse(self) -> None:
        """Raise InvalidIdsError if there is any."""
        if self.count:
            raise InvalidIdsError(f"{self.describe()}; nothing was enqueued: correct them, or {_WAY_OUT}")

    def describe(self) -> str:
        """Return how many there are and the first of them, for a message."""
        one = self.count == 1
        more = self.count - len(self._first)
        listed = "; ".join(self._first) + (f"; and {more:,} more" if more else "")
        return f"{self.count:,} {'ID is' if one else 'IDs are'} not a decimal number from 1 to {2**64 - 1} ({listed})"


_WAY_OUT = 'skip and count them with --on-invalid skip (on_invalid="skip")'


def _shown(value: object) -> str:
    if isinstance(value, str):
        cut = value[:_SHOWN_CHARACTERS]
        return repr(cut) + ("…" if len(value) > len(cut) else "")
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"  # Python refuses to print the largest ones
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
