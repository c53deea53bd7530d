"""What must hold of the figures, and whether it does. Pure."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from racing.races import MANY_TIMES, MEMORY_CASES, SCALED, SCALED_LINES, Row, Title, memory_title
from replay.bars import Bar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from racing.races import Raced

FEWEST_JUDGED = 1_000_000
"""IDs: with fewer the fixed costs of starting and polling outweigh what is compared."""
PEAK_BYTES = 192_000_000
GROWTH = 1.2
ENQUEUE_MS = 3.0
FEWEST_UPLOADED = 10_000_000
"""IDs: with fewer there are fewer chunks, and it is their number that one stream saves."""
BATCHES_A_SECOND = 30.0
ADDED_MS = 50.0
TIMES_AS_FAST = (1.6, 2.5)
"""With two and with four processes."""


def bars(rows: Sequence[Row], raced: Mapping[str, Raced], lines: int) -> list[Bar]:
    """Compare what was measured with the bounds of the rows that were asked for."""
    judge = _Judge(raced, lines)
    makers = {
        Row.TWARC: judge.twarc,
        Row.TUTORIAL: judge.tutorial,
        Row.STRAIGHT: judge.straight,
        Row.MEMORY: judge.memory,
        Row.READING: judge.reading,
        Row.UPLOAD: judge.upload,
        Row.CHAIN: judge.chain,
        Row.ENQUEUE: judge.enqueue,
        Row.SCALE: judge.scale,
    }
    return [*judge.right_answers(), *(bar for row in rows for bar in makers[row]())]


class _Judge:
    def __init__(self, raced: Mapping[str, Raced], lines: int) -> None:
        self._raced = raced
        self._lines = lines

    def right_answers(self) -> Iterator[Bar]:
        for title, raced in self._raced.items():
            wrong = [f"{run.competitor}: {what}" for run in raced.runs for what in run.wrong]
            yield Bar(title, "wrong answers, of all competitors", "; ".join(wrong) or "0", "0", not wrong)

    def twarc(self) -> Iterator[Bar]:
        yield self._faster(Title.TEN_PERCENT, "twarc2", "complyq", 4.0)

    def tutorial(self) -> Iterator[Bar]:
        for title, times, share in ((Title.TEN_PERCENT, 2.5, 10.0), (Title.THIRTY_PERCENT, 3.5, 25.0)):
            yield self._faster(title, "tutorial", "complyq", times)
            raced = self._raced[title]
            ratio = raced.peak("tutorial") / raced.peak("complyq")
            yield self._bar(title, "peak memory of tutorial, in those of complyq", ratio, "≥", share)

    def straight(self) -> Iterator[Bar]:
        """Judge against code that does the same: in a directory storing IDs costs nobody much, an S3 server takes its time for them."""
        yield self._slower(Title.TEN_PERCENT, "straight", 1.3)
        yield self._slower(Title.S3, "straight, IDs stored", 1.3)
        yield replace(self._slower(Title.S3, "straight", 1.3), met=None)

    def memory(self) -> Iterator[Bar]:
        for times, batches, rate, limit_mb in MEMORY_CASES:
            title = memory_title(self._lines * times, batches, rate, limit_mb)
            peak = self._raced[title].peak("complyq")
            met = peak <= PEAK_BYTES if self._lines >= FEWEST_JUDGED else None
            yield Bar(title, "peak of any one process", _mb(peak), f"≤ {_mb(PEAK_BYTES)}", met)
            if times == MANY_TIMES and not limit_mb:
                fewer = self._raced[memory_title(self._lines, batches, rate, limit_mb)].peak("complyq")
                yield self._bar(title, "the same, in that of a quarter of the IDs", peak / fewer, "≤", GROWTH)

    def reading(self) -> Iterator[Bar]:
        yield self._faster(Title.READING, "per-line set", "ingest", 8.0)

    def upload(self) -> Iterator[Bar]:
        for slower in ("8 MiB chunks", "google-resumable-media"):
            bar = self._faster(Title.UPLOAD, slower, "one stream", 4.0)
            yield bar if self._lines >= FEWEST_UPLOADED else replace(bar, met=None)

    def chain(self) -> Iterator[Bar]:
        pace = self._figure(Title.CHAIN, "all at once", "batches a second")
        yield self._bar(Title.CHAIN, "batches a second, all at once", pace, "≥", BATCHES_A_SECOND)
        floor = self._figure(Title.CHAIN, "straight, one by one", "median ms, in all")
        added = self._figure(Title.CHAIN, "one by one", "median ms, from the call") - floor
        yield self._bar(Title.CHAIN, f"ms that one takes beyond the {floor:.0f} of its requests", added, "≤", ADDED_MS)

    def enqueue(self) -> Iterator[Bar]:
        runs = self._raced[Title.ENQUEUE].of("enqueue")
        for kind in ("int", "str"):
            milliseconds = median(run.figures[f"median ms, {kind}"] for run in runs)
            what, bound = f"5,000 IDs of type {kind}", f"≤ {ENQUEUE_MS:g} ms"
            met = milliseconds <= ENQUEUE_MS if self._lines >= FEWEST_JUDGED else None
            yield Bar(Title.ENQUEUE, what, f"{milliseconds:.2f} ms", bound, met)

    def scale(self) -> Iterator[Bar]:
        """Judge where processes wait for X, since then it does not matter how many processors this machine has."""
        one, *more = SCALED
        for competitor, times in zip(more, TIMES_AS_FAST, strict=True):
            bar = self._faster(Title.SCALE_SLOW_X, one, competitor, times)
            yield bar if self._lines >= SCALED_LINES else replace(bar, met=None)

    def _figure(self, title: str, competitor: str, name: str) -> float:
        return float(median(run.figures[name] for run in self._raced[title].of(competitor)))

    def _faster(self, title: str, slower: str, faster: str, bound: float) -> Bar:
        raced = self._raced[title]
        ratio = raced.seconds(slower) / raced.seconds(faster)
        return self._bar(title, f"time of {slower}, in those of {faster}", ratio, "≥", bound)

    def _slower(self, title: str, reference: str, bound: float) -> Bar:
        raced = self._raced[title]
        ratio = raced.seconds("complyq") / raced.seconds(reference)
        return self._bar(title, f"time of complyq, in those of {reference}", ratio, "≤", bound)

    def _bar(self, title: str, what: str, ratio: float, sign: str, bound: float) -> Bar:
        met = ratio >= bound if sign == "≥" else ratio <= bound
        return Bar(title, what, f"{ratio:.2f}", f"{sign} {bound:g}", met if self._lines >= FEWEST_JUDGED else None)


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB"
