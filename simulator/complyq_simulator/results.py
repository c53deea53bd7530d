"""Writing the results of a job: NDJSON in an order of its own, with X's oddities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from complyq_simulator import crc32c
from complyq_simulator.outcomes import KINDS, STYLES, Outcomes, flagged, outcomes, redaction, times
from complyq_simulator.uploads import blocks_of_ids

_ROWS = 8192
_BLANK_EVERY = 100
_TIME = "\0"


@dataclass(frozen=True, slots=True)
class Results:
    """A finished results file."""

    path: Path
    size: int
    crc32c: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a job asks: the uploaded file, and everything its answer depends on."""

    upload: Path
    type: str
    seed: int
    flagged_rate: float
    extra_lines: Sequence[str] = ()


def answer(question: Question, target: Path) -> Results:
    """Read the upload and write the results; takes about a second for six million IDs."""
    invalid: dict[str, None] = {}
    found = [ids[flagged(ids, question.seed, question.flagged_rate)] for ids in blocks_of_ids(question.upload, invalid)]
    ids = np.concatenate([np.empty(0, dtype=np.uint64), *found])
    columns = outcomes(ids, question.seed, question.flagged_rate, question.type)
    with target.open("wb") as file:
        return _write(file, target, _pieces(columns, question, list(invalid)))


def _pieces(columns: Outcomes, question: Question, invalid: Sequence[str]) -> Iterator[bytes]:
    number = 0
    for first in range(0, len(columns.ids), _ROWS):
        lines = _lines(columns, slice(first, first + _ROWS), question.type)
        yield "".join(_with_blanks(lines, first)).encode()
        number += len(lines)
    for text in invalid:
        yield msgspec.json.encode({"id": text, "error": "invalid_id"}) + b"\n"
    for text in question.extra_lines:
        yield text.encode() + b"\n"
    yield b"\n\n"


def _with_blanks(lines: Sequence[str], first: int) -> Iterator[str]:
    for number, line in enumerate(lines, first):
        yield line
        if number % _BLANK_EVERY == 1:
            yield "\n"


def _lines(columns: Outcomes, rows: slice, type_: str) -> list[str]:
    whole_seconds = columns.whole_seconds[rows]
    kinds = [
        (f'","action":"{action}","created_at":"', f',"reason":"{reason}"}}\n') for action, reason, _ in KINDS[type_]
    ]
    redactions = [_redaction(style) for style in range(STYLES)]
    parts = zip(
        columns.ids[rows].tolist(),
        columns.kind[rows].tolist(),
        times(columns.created_ms[rows], whole_seconds),
        times(columns.redacted_ms[rows], whole_seconds),
        columns.style[rows].tolist(),
        strict=True,
    )
    return [
        f'{{"id":"{id_}{kinds[kind][0]}{created}"{redactions[style].replace(_TIME, redacted)}{kinds[kind][1]}'
        for id_, kind, created, redacted, style in parts
    ]


def _redaction(style: int) -> str:
    """Return the text of a style, with a mark where the time goes."""
    fields = redaction(style, _TIME).items()
    return "".join(f',"{name}":null' if value is None else f',"{name}":"{value}"' for name, value in fields)


def _write(file: BinaryIO, path: Path, pieces: Iterator[bytes]) -> Results:
    checksum, size = 0, 0
    for piece in pieces:
        file.write(piece)
        checksum = crc32c.extend(checksum, piece)
        size += len(piece)
    return Results(path, size, crc32c.encoded(checksum))
