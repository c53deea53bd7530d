"""Which IDs are flagged, and how: a pure function of the ID and the seed.

    h = splitmix64(id XOR splitmix64(seed))          flagged when h's upper 53 bits < rate · 2^53
    d = splitmix64(h)                                chooses action, reason, times and their notation
    o = splitmix64(d)                                the order of the lines in the results

The type of the job does not decide whether an ID is flagged, only how: `rehydrate` and `scrub_geo` exist for tweets.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]

_TWITTER_EPOCH_MS = 1_288_834_974_657
_FIRST_TWEET_MS = 1_142_974_214_000  # 2006-03-21
_PRE_SNOWFLAKE_MS = _TWITTER_EPOCH_MS - _FIRST_TWEET_MS
_FIRST_SNOWFLAKE_ID = 1 << 35
_TWO_YEARS_MS = 63_072_000_000

# (action, reason, weight); the weights of a type sum to 100
_TWEETS = (
    ("delete", "deleted", 46),
    ("delete", "deactivated", 12),
    ("delete", "protected", 12),
    ("delete", "suspended", 12),
    ("delete", "bounced", 2),
    ("rehydrate", "tweet_edited", 8),
    ("scrub_geo", "geo_scrubbed", 4),
    ("scrub_geo", "scrub_geo", 4),
)
_USERS = (
    ("delete", "deleted", 38),
    ("delete", "deactivated", 20),
    ("delete", "protected", 20),
    ("delete", "suspended", 20),
    ("delete", "bounced", 2),
)
KINDS: dict[str, tuple[tuple[str, str, int], ...]] = {"tweets": _TWEETS, "users": _USERS}

# How the time of redaction is written: as it is, absent, null, beside its alias, only under its alias.
_STYLES = ("plain",) * 12 + ("absent", "null", "both", "alias")
STYLES = len(_STYLES)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Columns of flagged IDs, in the order in which the results list them."""

    ids: U64
    kind: NDArray[np.int64]  # index into KINDS[type]
    created_ms: NDArray[np.int64]
    redacted_ms: NDArray[np.int64]
    whole_seconds: NDArray[np.bool_]  # times as `2019-03-02T03:37:59+00:00`
    style: NDArray[np.int64]


def splitmix64(values: U64) -> U64:
    """Mix each number into another; a bijection on 64 bits."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def flagged(ids: U64, seed: int, flagged_rate: float) -> NDArray[np.bool_]:
    """Say for each ID whether it is flagged."""
    return (_hash(ids, seed) >> np.uint64(11)) < np.uint64(int(flagged_rate * (1 << 53)))


def outcomes(ids: U64, seed: int, flagged_rate: float, type_: str) -> Outcomes:
    """Choose the flagged among these IDs, each once, and what becomes of them."""
    unique = np.unique(ids[flagged(ids, seed, flagged_rate)])
    detail = splitmix64(_hash(unique, seed))
    order = np.argsort(splitmix64(detail))
    return _describe(unique[order], detail[order], type_)


def outcome(id_: int, seed: int, flagged_rate: float, type_: str) -> dict[str, Any] | None:
    """Return the line that the results hold for this ID, as a dict, or None when it is compliant."""
    columns = outcomes(np.array([id_], dtype=np.uint64), seed, flagged_rate, type_)
    return next(iter(records(columns, type_)), None)


def records(columns: Outcomes, type_: str) -> list[dict[str, Any]]:
    """Return the lines of these outcomes as dicts, exactly with the fields and notations that are sent."""
    rows = zip(
        columns.ids.tolist(),
        columns.kind.tolist(),
        times(columns.created_ms, columns.whole_seconds),
        times(columns.redacted_ms, columns.whole_seconds),
        columns.style.tolist(),
        strict=True,
    )
    return [_record(id_, KINDS[type_][kind], created, redacted, style) for id_, kind, created, redacted, style in rows]


def times(milliseconds: NDArray[np.int64], whole_seconds: NDArray[np.bool_]) -> list[str]:
    """Write times in one of X's two notations."""
    fine = np.datetime_as_string(milliseconds.astype("datetime64[ms]"), unit="ms").tolist()
    return [
        text[:19] + "+00:00" if whole else text + "Z" for text, whole in zip(fine, whole_seconds.tolist(), strict=True)
    ]


def redaction(style: int, redacted: str) -> dict[str, str | None]:
    """Return the fields that tell when an ID was redacted, in the style chosen for it."""
    name = _STYLES[style]
    fields: dict[str, str | None] = {}
    if name in {"plain", "both"}:
        fields["redacted_at"] = redacted
    if name == "null":
        fields["redacted_at"] = None
    if name in {"both", "alias"}:
        fields["deleted_at"] = redacted
    return fields


def _hash(ids: U64, seed: int) -> U64:
    return splitmix64(ids ^ splitmix64(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)))


def _describe(ids: U64, detail: U64, type_: str) -> Outcomes:
    weights = [weight for _, _, weight in KINDS[type_]]
    kind = np.repeat(np.arange(len(weights)), weights)[(detail % np.uint64(100)).astype(np.int64)]
    created = _created_ms(ids, detail)
    delay = ((detail >> np.uint64(8)) % np.uint64(_TWO_YEARS_MS)).astype(np.int64)
    whole_seconds = ((detail >> np.uint64(56)) & np.uint64(3)) == 0
    style = ((detail >> np.uint64(60)) & np.uint64(15)).astype(np.int64)
    return Outcomes(ids, kind, created, created + delay, whole_seconds, style)


def _created_ms(ids: U64, detail: U64) -> NDArray[np.int64]:
    """Read the time out of a snowflake; older IDs get one between the first tweet and the first snowflake."""
    snowflake = (ids >> np.uint64(22)).astype(np.int64) + _TWITTER_EPOCH_MS
    before = (detail % np.uint64(_PRE_SNOWFLAKE_MS)).astype(np.int64) + _FIRST_TWEET_MS
    return np.where(ids >= np.uint64(_FIRST_SNOWFLAKE_ID), snowflake, before)


def _record(id_: int, kind: tuple[str, str, int], created: str, redacted: str, style: int) -> dict[str, Any]:
    action, reason, _ = kind
    fields = redaction(style, redacted)
    return {"id": str(id_), "action": action, "created_at": created, **fields, "reason": reason}
