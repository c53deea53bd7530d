"""Makes the example ID files: invented IDs that are built the way X builds its own, always the same ones.

    python scripts/make_example_ids.py            # writes into producer/complyq_producer/examples/

A snowflake ID is 41 bits of milliseconds since 2010-11-04 01:42:54.657 UTC, 10 bits that name the machine (5 its data
centre, 5 its worker) and 12 bits that count the IDs of that machine in that millisecond. User IDs were counted up from 12
until X moved them to snowflakes in 2016.
"""

# ruff: noqa: INP001 - a script on its own, no package

from __future__ import annotations

import argparse
import gzip
import random
from datetime import UTC, datetime
from pathlib import Path

EPOCH_MS = 1_288_834_974_657
LAST_DAY = datetime(2026, 11, 1, tzinfo=UTC)
FIRST_SNOWFLAKE_USER = datetime(2016, 2, 1, tzinfo=UTC)
HIGHEST_COUNTED_USER = 4_900_000_000
POSTS = 120_000
USERS = 12_000
SEED = 20_101_104
FOLDER = Path(__file__).parents[1] / "producer" / "complyq_producer" / "examples"

# How a collection of Posts spreads over the years: little at first, most in the middle of the 2010s, and no gap.
POSTS_BY_YEAR = {
    2010: 1, 2011: 10, 2012: 26, 2013: 42, 2014: 48, 2015: 50, 2016: 50, 2017: 48, 2018: 46,
    2019: 46, 2020: 52, 2021: 50, 2022: 52, 2023: 44, 2024: 42, 2025: 40, 2026: 30,
}  # fmt: skip
# Most machines count a single ID in a millisecond; busy ones a few.
SEQUENCES = (0, 1, 2, 3, 4, 5, 6, 7)
SEQUENCE_WEIGHTS = (700, 160, 70, 35, 18, 9, 5, 3)


def main() -> None:
    """Write both files."""
    folder = _arguments().folder
    folder.mkdir(parents=True, exist_ok=True)
    posts = _text(post_ids(POSTS))
    # No time and no name in the header, so that the same IDs give the same file.
    (folder / "post-ids.txt.gz").write_bytes(gzip.compress(posts, compresslevel=9, mtime=0))
    (folder / "user-ids.txt").write_bytes(_text(user_ids(USERS)))


def post_ids(count: int) -> list[int]:
    """Return that many different Post IDs, oldest first, as an export of an archive has them."""
    dice = random.Random(SEED)  # noqa: S311 - the same IDs each time are the point
    years = dice.choices(list(POSTS_BY_YEAR), weights=list(POSTS_BY_YEAR.values()), k=count)
    found = {_snowflake(dice, _moment(dice, year)) for year in years}
    while len(found) < count:
        found.add(_snowflake(dice, _moment(dice, 2020)))
    return sorted(found)


def user_ids(count: int) -> list[int]:
    """Return that many different user IDs in no order, three of five counted and the others snowflakes."""
    dice = random.Random(SEED + 1)  # noqa: S311 - the same IDs each time are the point
    found: set[int] = set()
    while len(found) < count:
        found.add(_counted_user(dice) if dice.random() < 0.6 else _snowflake_user(dice))
    shuffled = sorted(found)
    dice.shuffle(shuffled)
    return shuffled


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="where to write (default: %(default)s)")
    return parser.parse_args()


def _moment(dice: random.Random, year: int) -> int:
    """Return a millisecond of a year, within the time of snowflakes; evenings have more than early mornings."""
    first = max(_ms(datetime(year, 1, 1, tzinfo=UTC)), EPOCH_MS + 1)
    last = min(_ms(datetime(year + 1, 1, 1, tzinfo=UTC)), _ms(LAST_DAY))
    day = dice.randrange(first, last) // 86_400_000
    hour = dice.triangular(0, 24, 18)
    return min(max(first, day * 86_400_000 + int(hour * 3_600_000)), last - 1)


def _snowflake(dice: random.Random, moment_ms: int) -> int:
    machine = dice.randrange(10, 12) << 5 | dice.randrange(32)
    sequence = dice.choices(SEQUENCES, SEQUENCE_WEIGHTS)[0]
    return (moment_ms - EPOCH_MS) << 22 | machine << 12 | sequence


def _counted_user(dice: random.Random) -> int:
    return 12 + int((HIGHEST_COUNTED_USER - 12) * dice.random() ** 1.4)


def _snowflake_user(dice: random.Random) -> int:
    return _snowflake(dice, dice.randrange(_ms(FIRST_SNOWFLAKE_USER), _ms(LAST_DAY)))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _text(ids: list[int]) -> bytes:
    return "".join(f"{number}\n" for number in ids).encode()


if __name__ == "__main__":
    main()
