"""Files of IDs, made from a seed, and what the simulated X must answer about them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from complyq_producer.ids.values import line_ends
from complyq_simulator.outcomes import KINDS, outcomes
from racing.task import JOB_TYPE, Answer, IdArray

if TYPE_CHECKING:
    from pathlib import Path

SEED = 1
# Posts of 2011 to 2026 at an even rate: half of their IDs have 18 digits, half have 19.
_OLDEST, _NEWEST = 20_000_000_000_000_000, 2_100_000_000_000_000_000
_LINES_AT_ONCE = 1_000_000
_LEAST_SHARE = 100


@dataclass(frozen=True, slots=True)
class Input:
    """A file of `lines` IDs and, sorted, the different ones among them."""

    path: Path
    lines: int
    unique: IdArray

    def upload_sizes(self) -> tuple[int, ...]:
        """Return how many bytes these IDs are: once each, or as they are given, with the last line feed and without."""
        once, given = int(line_ends(self.unique)[-1]), self.path.stat().st_size
        return once, once - 1, given, given - 1


@dataclass(frozen=True, slots=True)
class Expected:
    """What is right: counts, and digests of the flagged IDs and of the unique ones."""

    answer: Answer
    flagged: str
    unique: str


def make_input(folder: Path, lines: int, *, duplicates: float, seed: int = SEED) -> Input:
    """Write so many IDs in random order, of which a share stand there for the second time; made once in a folder."""
    path = folder / f"{lines}-{duplicates:g}-{seed}.txt"
    known = path.with_suffix(".npy")
    if not known.exists():
        rng = np.random.default_rng(seed)
        unique = _distinct(rng, lines - int(lines * duplicates))
        given = np.concatenate([unique, rng.choice(unique, lines - len(unique))])
        rng.shuffle(given)
        _write(given, path)
        np.save(known, unique)
    return Input(path, lines, np.load(known))


def cut(given: Input, batches: int) -> list[Input]:
    """Cut a file into files; made once. Each is a little longer than the one before, so that X can tell them by size."""
    if batches == 1:
        return [given]
    paths = pieces(given.path, batches)
    ids = np.fromstring(given.path.read_bytes(), np.uint64, sep="\n")
    shares = np.cumsum(np.arange(_LEAST_SHARE, _LEAST_SHARE + batches))
    cuts = np.split(ids, (len(ids) * shares[:-1] // shares[-1]).tolist())
    for path, piece in zip(paths, cuts, strict=True):
        if not path.exists():
            _write(piece, path)
    return [Input(path, len(piece), np.unique(piece)) for path, piece in zip(paths, cuts, strict=True)]


def pieces(path: Path, batches: int) -> list[Path]:
    """Return where the files are that one of IDs is cut into."""
    return [path.with_name(f"{path.stem}-{number:03}-of-{batches}.txt") for number in range(batches)]


def _write(given: IdArray, path: Path) -> None:
    with path.open("w") as file:
        for start in range(0, len(given), _LINES_AT_ONCE):
            file.writelines(f"{identifier}\n" for identifier in given[start : start + _LINES_AT_ONCE].tolist())


def expected(unique: IdArray, rate: float) -> Expected:
    """Work out what is flagged: a pure function of ID and seed that the simulator documents."""
    found = outcomes(unique, SEED, rate, JOB_TYPE)
    by_action: dict[str, int] = {}
    by_reason: dict[str, int] = {}
    counts = np.bincount(found.kind, minlength=len(KINDS[JOB_TYPE])).tolist()
    for (action, reason, _), count in zip(KINDS[JOB_TYPE], counts, strict=True):
        if count:
            by_action[action] = by_action.get(action, 0) + count
            by_reason[reason] = by_reason.get(reason, 0) + count
    answer = Answer(unique=len(unique), flagged=len(found.ids), by_action=by_action, by_reason=by_reason)
    return Expected(answer, digest(found.ids), digest(unique))


def digest(ids: IdArray) -> str:
    """Tell sets of IDs apart, and a set from one with an ID twice."""
    return hashlib.sha256(np.sort(ids).astype("<u8").tobytes()).hexdigest()


def _distinct(rng: np.random.Generator, count: int) -> IdArray:
    ids = np.empty(0, np.uint64)
    while len(ids) < count:
        more = rng.integers(_OLDEST, _NEWEST, count - len(ids), dtype=np.uint64)
        ids = np.unique(np.concatenate([ids, more]))
    return ids
