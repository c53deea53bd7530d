"""How long a transfer keeps trying by itself before it leaves the rest to a later run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

_MOST_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How many failures in a row, without progress, end a run, and how it waits some seconds between them."""

    failures: int = 5
    wait: Callable[[float], None] = time.sleep


def backoff(failures: int) -> float:
    """Give the seconds to wait after so many failures: doubling from half a second to eight, with jitter."""
    return min(0.5 * 2.0 ** (failures - 1), _MOST_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter
