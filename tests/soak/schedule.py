"""Which fault strikes when: drawn from a seed before a phase begins, so that the same seed strikes alike."""

import random
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault at a time of the phase, in seconds. `choice` (0 to 1) decides what it hits, `strength` how hard."""

    at: float
    fault: str
    choice: float
    strength: float

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  {self.fault:<18} choice {self.choice:.3f}  strength {self.strength:.3f}"


def draw(seed: str, seconds: float, weights: Mapping[str, int], *, pause: float) -> list[Strike]:
    """Draw the strikes of a phase, `pause` seconds apart on average."""
    dice = random.Random(seed)
    names, shares = list(weights), list(weights.values())
    strikes: list[Strike] = []
    at = dice.uniform(0, pause)
    while at < seconds:
        [fault] = dice.choices(names, shares)
        strikes.append(Strike(at, fault, dice.random(), dice.random()))
        at += dice.uniform(0.2, 1.8) * pause
    return strikes
