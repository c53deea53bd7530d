"""Deadlines as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from complyq_producer.cli.deadlines import parse_deadline
from complyq_producer.errors import InvalidArgumentError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("24h", NOON + timedelta(days=1)),
        ("90m", NOON + timedelta(minutes=90)),
        ("1d12h", NOON + timedelta(hours=36)),
        ("7d", NOON + timedelta(days=7)),
        ("1h30m15s", NOON + timedelta(seconds=5415)),
        ("0s", NOON),
        ("2026-12-01T18:00:00+01:00", datetime(2026, 12, 1, 17, tzinfo=UTC)),
        ("2026-12-01T18:00:00Z", datetime(2026, 12, 1, 18, tzinfo=UTC)),
        ("2020-01-01T00:00:00Z", datetime(2020, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_a_deadline_is_a_duration_from_now_or_a_time(text: str, due: datetime) -> None:
    """Also one that has passed: the batch is late, not wrong."""
    assert parse_deadline(text, NOON) == due


def test_no_deadline_is_none() -> None:
    """It may be left out."""
    assert parse_deadline(None, NOON) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "24h"),
        ("tomorrow", "24h"),
        ("24", "24h"),
        ("-1h", "RFC 3339"),
        ("1.5h", "RFC 3339"),
        ("12h1d", "RFC 3339"),
        ("9" * 5000 + "h", "RFC 3339"),
        ("2026-12-01T18:00:00", "no time zone: write 2026-12-01T18:00:00Z"),
        ("999999999d", "farther away"),
        ("9999999d", "farther away"),
        ("0001-01-01T00:00:00+14:00", "farther away"),
    ],
)
def test_what_is_no_deadline_is_refused_with_an_example(text: str, said: str) -> None:
    """The message shows how to write it."""
    with pytest.raises(InvalidArgumentError) as refused:
        parse_deadline(text, NOON)
    assert said in str(refused.value)
