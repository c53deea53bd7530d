"""What is replayed and compared: arrivals, with merging and without, and what a perfect scheduler would reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from replay.arrivals import BULK_IDS, bursty, steady, steady_with_bulk
from replay.bars import Bar, bar_of_bulk, bars_of_merging, bars_of_replay
from replay.figures import Figures, Latency, bulk_under_way, figures, latency, latency_of, small
from replay.perfect import least_total, never_waiting
from replay.plot import Curve
from replay.world import Conditions, replay

if TYPE_CHECKING:
    from replay.arrivals import Arrival
    from replay.world import Replayed


class Scenario(StrEnum):
    """How batches arrive."""

    STEADY = "steady"
    BURSTY = "bursty"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Perfect:
    """What a scheduler would reach that knows the future: one whose slot never idles, and one whose slot may."""

    never_waiting: Latency
    least_total: Latency

    @property
    def median(self) -> float:
        """The lower of the two medians."""
        return min(self.never_waiting.median, self.least_total.median)


@dataclass(frozen=True, slots=True)
class Compared:
    """A scenario that was replayed in several ways, by name. Times in seconds."""

    scenario: Scenario
    seconds: float
    runs: dict[str, Figures]
    perfect: Perfect
    bars: list[Bar]
    curves: list[Curve]
    noted: dict[str, float] = field(default_factory=dict)
    """What only this scenario has."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Replays scenarios; `progress` is told the name of a replay and the virtual second that it has reached."""

    seconds: float
    conditions: Conditions
    bulk_ids: int = BULK_IDS
    progress: Callable[[str, float], None] = lambda _, __: None

    def of(self, scenario: Scenario) -> Compared:
        """Replay a scenario in all the ways that are compared."""
        if scenario is Scenario.BULK:
            return self._bulk_beside_small()
        return self._merging(scenario, steady(self.seconds) if scenario is Scenario.STEADY else bursty(self.seconds))

    def _merging(self, scenario: Scenario, arrivals: list[Arrival]) -> Compared:
        replays = {
            "one by one": self._replay("one by one", arrivals, merge=False),
            "merged": self._replay("merged", arrivals, merge=True),
        }
        runs = {name: figures(replayed) for name, replayed in replays.items()}
        perfect, curve = self._perfect(arrivals)
        bars = bars_of_merging(
            scenario,
            runs["merged"],
            runs["one by one"],
            perfect.median,
            seconds=self.seconds,
            judged=scenario is Scenario.STEADY,
        )
        return self._compared(scenario, replays, runs, perfect, [*bars], curve)

    def _bulk_beside_small(self) -> Compared:
        """Compare those small batches that came while the bulk one was under way: over hours it would hardly be seen."""
        replays = {
            "beside bulk": self._replay("beside bulk", steady_with_bulk(self.seconds, self.bulk_ids), merge=True),
            "without bulk": self._replay("without bulk", steady(self.seconds), merge=True),
        }
        runs = {name: figures(replayed) for name, replayed in replays.items()}
        since, until = bulk_under_way(replays["beside bulk"])
        beside, alone = (latency(replayed, since, until).p95 for replayed in replays.values())
        perfect, curve = self._perfect(steady(self.seconds))
        compared = self._compared(
            Scenario.BULK, replays, runs, perfect, [bar_of_bulk(Scenario.BULK, beside, alone)], curve
        )
        compared.noted.update(bulk_took=until - since, p95_meanwhile=beside, p95_meanwhile_without_bulk=alone)
        return compared

    def _compared(
        self,
        scenario: Scenario,
        replays: dict[str, Replayed],
        runs: dict[str, Figures],
        perfect: Perfect,
        bars: list[Bar],
        perfect_curve: Curve,
    ) -> Compared:
        for name, run in runs.items():
            bars += bars_of_replay(scenario, name, run, self.conditions.rate_limit)
        curves = [*(_curve(name, replayed) for name, replayed in replays.items()), perfect_curve]
        return Compared(scenario, self.seconds, runs, perfect, bars, curves)

    def _replay(self, name: str, arrivals: Sequence[Arrival], *, merge: bool) -> Replayed:
        return replay(arrivals, self.seconds, self.conditions, merge=merge, progress=partial(self.progress, name))

    def _perfect(self, arrivals: Sequence[Arrival]) -> tuple[Perfect, Curve]:
        times = [arrival.at for arrival in arrivals]
        busy, best = (reach(times, self.conditions.processing_seconds) for reach in (never_waiting, least_total))
        perfect = Perfect(latency_of(busy), latency_of(best))
        better = min((busy, best), key=lambda latencies: latency_of(latencies).median)
        return perfect, Curve("perfect", [(at + waits, waits) for at, waits in zip(times, better, strict=True)])


def _curve(name: str, replayed: Replayed) -> Curve:
    ends = ((batch.arrival.at, batch.completed) for batch in small(replayed))
    return Curve(name, sorted((end, end - at) for at, end in ends if end is not None))
