"""What a replay comes to, in a few numbers. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replay.world import Answered, Replayed

    Interval = tuple[float, float]

WINDOW_SECONDS = 900.0
"""X's window: it begins with the first request after the last one has ended."""
LIMITED = ("create", "get", "list")


@dataclass(frozen=True, slots=True)
class Latency:
    """From enqueue to completed event, in seconds. Batches without an event count as if it had come with the last arrival."""

    median: float
    p95: float
    batches: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One replay. `busy` is the share of the time in which work waited that a job was active at X; 1 if none waited."""

    merge: bool
    latency: Latency
    jobs: int
    requests: dict[str, int]
    most_in_a_window: dict[str, int]
    refused: int
    busy: float
    wrong: list[str]
    store_calls: dict[str, int]
    steps: dict[str, int]
    work_seconds: dict[str, float]
    real_seconds: float


def figures(replayed: Replayed) -> Figures:
    """Work out what a replay comes to."""
    return Figures(
        merge=replayed.merge,
        latency=latency(replayed),
        jobs=len(replayed.jobs),
        requests=dict(Counter(name for _, name, _ in replayed.requests)),
        most_in_a_window={name: most_in_a_window(_times(replayed, name)) for name in LIMITED},
        refused=sum(status == 429 for _, _, status in replayed.requests),
        busy=busy_share(replayed),
        wrong=replayed.wrong,
        store_calls=replayed.store_calls,
        steps=replayed.steps,
        work_seconds={task: round(seconds, 3) for task, seconds in replayed.work.items()},
        real_seconds=round(replayed.real_seconds, 1),
    )


def latency(replayed: Replayed, since: float = 0.0, until: float = float("inf")) -> Latency:
    """Tell how long small batches that came in an interval waited for their answers."""
    batches = [batch for batch in small(replayed) if since <= batch.arrival.at < until]
    unanswered = sum(batch.completed is None for batch in batches)
    return latency_of([waited(replayed, batch) for batch in batches], unanswered)


def latency_of(seconds: Sequence[float], unanswered: int = 0) -> Latency:
    """Describe latencies, of which some have not ended."""
    median, p95 = np.percentile(seconds, [50, 95]) if seconds else (0.0, 0.0)
    return Latency(float(median), float(p95), len(seconds), unanswered)


def small(replayed: Replayed) -> list[Answered]:
    """Return the small batches, in order."""
    return [batch for batch in replayed.batches if not batch.arrival.is_bulk]


def waited(replayed: Replayed, batch: Answered) -> float:
    """Tell how long a batch waited for its answer; of one that was not answered, how long it had when arrivals ended."""
    return (replayed.seconds if batch.completed is None else batch.completed) - batch.arrival.at


def bulk_under_way(replayed: Replayed) -> Interval:
    """Return when the huge batch came and when it was answered; if it was not, when the replay ended."""
    batch = next(batch for batch in replayed.batches if batch.arrival.is_bulk)
    return batch.arrival.at, replayed.end if batch.completed is None else batch.completed


def most_in_a_window(times: Iterable[float]) -> int:
    """Count the requests of each of X's windows; return the most."""
    most = used = 0
    ends = -1.0
    for at in sorted(times):
        if at >= ends:
            used, ends = 0, at + WINDOW_SECONDS
        used += 1
        most = max(most, used)
    return most


def busy_share(replayed: Replayed) -> float:
    """Tell for which share of the time in which a batch waited for a job a job was active; 1 if none ever waited."""
    waiting = union(
        (batch.arrival.at, replayed.end if batch.carried is None else batch.carried) for batch in replayed.batches
    )
    busy = union((since, min(until, replayed.end)) for since, until in replayed.jobs)
    total = length(waiting)
    return length(intersection(waiting, busy)) / total if total else 1.0


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same time as intervals that are apart, ascending."""
    apart: list[Interval] = []
    for since, until in sorted(intervals):
        if apart and since <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], until))
        else:
            apart.append((since, until))
    return apart


def intersection(some: Sequence[Interval], others: Sequence[Interval]) -> list[Interval]:
    """Return the time that is in both; of each the intervals are apart and ascending."""
    both: list[Interval] = []
    one = other = 0
    while one < len(some) and other < len(others):
        since, until = max(some[one][0], others[other][0]), min(some[one][1], others[other][1])
        if since < until:
            both.append((since, until))
        if some[one][1] < others[other][1]:
            one += 1
        else:
            other += 1
    return both


def length(intervals: Iterable[Interval]) -> float:
    """Add up."""
    return sum(until - since for since, until in intervals)


def _times(replayed: Replayed, name: str) -> list[float]:
    return [at for at, request, _ in replayed.requests if request == name]
