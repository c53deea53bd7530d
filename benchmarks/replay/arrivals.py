"""When batches arrive, and which IDs they hold. Always the same: nothing is drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

SMALL_IDS = 5_000
BULK_IDS = 20_000_000
BURST_SECONDS = 600
BURST_BATCHES = 300
BURST_LENGTH = 10.0

_FIRST_ID = 1_000_000_000_000_000_000
_STRIDE = 4_001
_SLOTS = 1_009
_SLOT_STEP = 3
_BULK_OFFSET = 3_500


@dataclass(frozen=True, slots=True)
class Arrival:
    """One batch: the second in which it is enqueued, and its IDs."""

    at: float
    ids: range

    @property
    def is_bulk(self) -> bool:
        """Whether it is the huge one."""
        return len(self.ids) > SMALL_IDS


def steady(seconds: float) -> list[Arrival]:
    """One small batch a second."""
    return [Arrival(float(second), small_ids(second)) for second in range(int(seconds))]


def bursty(seconds: float) -> list[Arrival]:
    """Three hundred small batches within ten seconds, every ten minutes."""
    starts = range(0, int(seconds), BURST_SECONDS)
    pause = BURST_LENGTH / BURST_BATCHES
    times = [start + place * pause for start in starts for place in range(BURST_BATCHES)]
    return [Arrival(at, small_ids(number)) for number, at in enumerate(times)]


def steady_with_bulk(seconds: float, bulk_ids: int = BULK_IDS) -> list[Arrival]:
    """One small batch a second, and when a quarter of the time has passed a huge one."""
    bulk = Arrival(float(seconds // 4), huge_ids(bulk_ids))
    return sorted([*steady(seconds), bulk], key=lambda arrival: arrival.at)


def small_ids(number: int) -> range:
    """Return the IDs of a small batch, spread as thinly as those of the bulk batch; a thousand batches share none.

    After that they come again: what is stored of them then is stored once, and a job that carries both uploads them once.
    """
    first = _FIRST_ID + number % _SLOTS * _SLOT_STEP
    step = _STRIDE * (BULK_IDS // SMALL_IDS)
    return range(first, first + SMALL_IDS * step, step)


def huge_ids(count: int) -> range:
    """Return the IDs of the huge batch; it shares none with the others."""
    first = _FIRST_ID + _BULK_OFFSET
    return range(first, first + count * _STRIDE, _STRIDE)
