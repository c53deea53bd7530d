"""The races: who runs against whom, on what, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from racing.inputs import expected, make_input
from racing.measuring import Conditions, Run, measure
from racing.task import SMALL_BATCH_IDS

if TYPE_CHECKING:
    from collections.abc import Sequence


DUPLICATES = 0.05
"""The share of lines whose ID stands in the file for the second time."""
MERGED_BATCHES = 1000
MANY_TIMES = 4
"""How many times as many IDs the larger of two batches has whose memory is compared."""
_ENQUEUED_BATCHES = 1000
_BATCH_IDS = 5000
_SMALL_BATCHES = 200
_UPLOADERS = ("one stream", "8 MiB chunks", "google-resumable-media", "one stream, cut once")

Progress = Callable[[str], None]


class Row(StrEnum):
    """What may be asked for, by its number."""

    TWARC = "1"
    TUTORIAL = "2"
    STRAIGHT = "3"
    MEMORY = "4"
    READING = "5"
    UPLOAD = "6"
    CHAIN = "7"
    ENQUEUE = "8"
    SCALE = "scale"


@dataclass(frozen=True, slots=True)
class Race:
    """Some competitors under the same conditions."""

    title: str
    conditions: Conditions
    competitors: tuple[str, ...]
    lines: int
    duplicates: float = DUPLICATES
    repetitions: int | None = None
    """Where it is no use to repeat as often as was asked for."""


@dataclass(slots=True)
class Raced:
    """All runs of a race, in the order in which they took place."""

    race: Race
    runs: list[Run] = field(default_factory=list)

    def of(self, competitor: str) -> list[Run]:
        """Return the runs of one competitor."""
        return [run for run in self.runs if run.competitor == competitor]

    def seconds(self, competitor: str) -> float:
        """Return the median of its wall time."""
        return median(run.seconds for run in self.of(competitor))

    def cpu_seconds(self, competitor: str) -> float:
        """Return the median of what all its processes computed."""
        return median(run.cpu_seconds for run in self.of(competitor))

    def peak(self, competitor: str) -> float:
        """Return the median of the most bytes that any one of its processes had."""
        return median(run.peak_bytes for run in self.of(competitor))

    def times(self, slower: str, faster: str) -> list[float]:
        """Return how many times as long one took as the other, for each repetition: the two ran side by side in time."""
        return [one.seconds / other.seconds for one, other in zip(self.of(slower), self.of(faster), strict=True)]


class Title(StrEnum):
    """The races that bars refer to."""

    TEN_PERCENT = "directory, 10 % flagged"
    THIRTY_PERCENT = "directory, 30 % flagged"
    S3 = "S3, 10 % flagged"
    READING = "reading"
    UPLOAD = "upload, X 50 ms away"
    CHAIN = "small batches"
    ENQUEUE = "enqueue"
    MEMORY = "memory"
    SCALE = "worker processes"
    SCALE_SLOW_X = "worker processes, X sends 5 MB/s"


def races(rows: Sequence[Row], lines: int) -> Iterator[Race]:
    """Choose the races that the rows need; one serves several."""
    straight = ("straight", "straight, IDs stored") if Row.STRAIGHT in rows else ()
    tutorial = ("tutorial",) if Row.TUTORIAL in rows else ()
    peers = (*(("twarc2",) if Row.TWARC in rows else ()), *tutorial, *straight)
    if peers:
        yield Race(Title.TEN_PERCENT, Conditions(rate=0.1), ("complyq", *peers), lines)
    if tutorial:
        yield Race(Title.THIRTY_PERCENT, Conditions(rate=0.3), ("complyq", *tutorial), lines)
    if straight:
        yield Race(Title.S3, Conditions(rate=0.1, s3=True), ("complyq", *straight), lines)
    if Row.READING in rows:
        yield Race(Title.READING, Conditions(checks_flagged=False), ("ingest", "per-line set"), lines)
    if Row.UPLOAD in rows:
        yield Race(Title.UPLOAD, Conditions(distant=True, checks_flagged=False), _UPLOADERS, lines, duplicates=0.0)
    if Row.CHAIN in rows:
        given = min(lines // SMALL_BATCH_IDS, _SMALL_BATCHES) * SMALL_BATCH_IDS
        competitors = ("all at once", "one by one", "straight, one by one")
        yield Race(Title.CHAIN, Conditions(merge=False), competitors, given, duplicates=0.0)
    if Row.ENQUEUE in rows:
        given = min(lines, _BATCH_IDS * _ENQUEUED_BATCHES)
        yield Race(Title.ENQUEUE, Conditions(checks_flagged=False), ("enqueue",), given, duplicates=0.0)
    if Row.MEMORY in rows:
        yield from _memory_races(lines)
    if Row.SCALE in rows:
        yield from _scale_races(lines)


def memory_title(lines: int, batches: int, rate: float, limit_mb: int) -> str:
    """Name one of the runs that are made for their memory."""
    batch = "one batch" if batches == 1 else f"{batches:,} batches"
    limit = f", limit {limit_mb} MB" if limit_mb else ""
    return f"{Title.MEMORY}: {lines:,} IDs, {batch}, {rate:.0%} flagged{limit}"


LIMIT_MB = 256
MEMORY_CASES = (
    *((times, batches, rate, 0) for times, batches, rate in product((1, MANY_TIMES), (1, MERGED_BATCHES), (0.1, 1.0))),
    *((MANY_TIMES, batches, 1.0, LIMIT_MB) for batches in (1, MERGED_BATCHES)),
)
"""Times as many IDs, batches, rate, MB of data that each process may have (0: any)."""


def _memory_races(lines: int) -> Iterator[Race]:
    for times, batches, rate, limit_mb in MEMORY_CASES:
        title = memory_title(lines * times, batches, rate, limit_mb)
        conditions = Conditions(rate=rate, batches=batches, limit_mb=limit_mb)
        yield Race(title, conditions, ("complyq",), lines * times, duplicates=0.0, repetitions=1)


SCALED = ("1 process", "2 processes", "4 processes")
SCALED_BATCHES = 16
SCALED_LINES = 6_400_000
_SLOW_MB = 5


def _scale_races(lines: int) -> Iterator[Race]:
    """Half of what is checked is flagged, so that there is much to collect."""
    conditions = Conditions(rate=0.5, batches=SCALED_BATCHES, merge=False, cut=True)
    given = min(lines, SCALED_LINES)
    yield Race(Title.SCALE, conditions, SCALED, given, duplicates=0.0)
    slow = replace(conditions, download_mb=_SLOW_MB)
    yield Race(Title.SCALE_SLOW_X, slow, SCALED, given // 4, duplicates=0.0)


def run_race(race: Race, repetitions: int, work: Path, progress: Progress) -> Raced:
    """Let the competitors take turns, so that what else the machine does meets all of them."""
    progress(f"{race.title}: preparing {race.lines:,} IDs")
    given = make_input(work, race.lines, duplicates=race.duplicates)
    right = expected(given.unique, race.conditions.rate)
    raced = Raced(race)
    for turn, competitor in product(range(race.repetitions or repetitions), race.competitors):
        progress(f"{race.title}: {competitor}, {turn + 1}")
        raced.runs.append(run := measure(competitor, given, right, race.conditions, work))
        progress(f"    {run.seconds:.2f} s, {run.peak_bytes / 1e6:.0f} MB, load {run.load:.1f}")
    return raced
