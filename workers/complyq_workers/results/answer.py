"""X's answer, read line by line from the file it was downloaded to."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from complyq_producer.results import Rejected, Result
from complyq_workers.results.errors import ResultsUnreadableError
from complyq_workers.results.parse import MAX_LINE_BYTES, UnreadableLineError, parse_line

_BUFFER_BYTES = 1 << 20
_EXCERPT_BYTES = 120


def read_answer(path: Path, job_type: str) -> Iterator[Result | Rejected]:
    """What each line says, in X's order, blank lines left out.

    Raises:
        ResultsUnreadableError: at the first damaged line: it is never taken for "compliant".
    """
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        # Of a line that is too long only so much is read as shows that it is.
        lines = iter(partial(file.readline, MAX_LINE_BYTES + 1), b"")
        for number, line in enumerate(lines, 1):
            try:
                outcome = parse_line(line, job_type)
            except UnreadableLineError as error:
                raise ResultsUnreadableError(number, _excerpt(line), str(error)) from error
            if outcome is not None:
                yield outcome


def _excerpt(line: bytes) -> str:
    shown = ascii(line[:_EXCERPT_BYTES].decode(errors="replace"))
    return shown if len(line) <= _EXCERPT_BYTES else f"{shown} … ({len(line)} bytes)"
