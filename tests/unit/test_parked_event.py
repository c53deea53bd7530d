"""The event that asks somebody to look: made from facts alone, with all that was promised."""

import json
from datetime import UTC, datetime, timedelta

from complyq_workers.events import BatchInfo, ParkedInfo, parked_event

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BATCH = BatchInfo(batch_id="b1", type="tweets", name="archive", key="k", labels={"tenant": "a"})
JOB = ParkedInfo(
    parked="3", plan=3, step="upload_job", reason="why", parked_at=NOON, fails_at=NOON + timedelta(hours=12),
    retried_at=None,
)  # fmt: skip
PUBLISHING = ParkedInfo(
    parked="publish-1", plan=None, step="publish_batch", reason="why", parked_at=NOON, fails_at=None,
    retried_at=NOON + timedelta(hours=12),
)  # fmt: skip


def test_a_parked_job_is_told_with_its_deadline() -> None:
    """Which batch and plan, what crashed, since when, and when the batch fails."""
    event = json.loads(parked_event("default", BATCH, JOB).body)
    assert (event["id"], event["type"], event["subject"]) == ("b1/parked/3", "complyq.batch.parked.v1", "b1")
    assert (event["dataschema"], event["time"]) == ("urn:complyq:batch-parked:v1", "2026-11-22T12:00:00.000Z")
    assert event["data"] == {
        "batch_id": "b1", "type": "tweets", "name": "archive", "key": "k", "labels": {"tenant": "a"}, "plan": 3,
        "step": "upload_job", "reason": "why", "parked_at": "2026-11-22T12:00:00.000Z",
        "fails_at": "2026-11-23T00:00:00.000Z", "retried_at": None,
    }  # fmt: skip


def test_parked_publishing_is_told_with_its_next_chance() -> None:
    """It has no plan and no deadline."""
    event = json.loads(parked_event("default", BATCH, PUBLISHING).body)
    assert event["id"] == "b1/parked/publish-1"
    assert (event["data"]["plan"], event["data"]["fails_at"]) == (None, None)
    assert event["data"]["retried_at"] == "2026-11-23T00:00:00.000Z"
