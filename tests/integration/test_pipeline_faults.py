"""The same path when X, the network or the store misbehave: what is recovered, what is given up, what is said."""

import json

import pytest

from complyq_producer.errors import BatchFailedError
from complyq_producer.model import BatchState, ComplianceType
from support.simulator_process import Simulator
from support.world import POSTS, World, has_job_fact


def test_a_job_whose_create_answer_was_lost_is_adopted(world: World, simulator: Simulator) -> None:
    """The name carries our job id, so the list tells whether it exists."""
    simulator.arm({"on": "create", "fault": "lost_answer", "times": 1})
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    assert len(simulator.jobs()) == 1


def test_a_job_of_somebody_else_is_waited_for(world: World, simulator: Simulator) -> None:
    """Ours is created when the slot is free at X."""
    foreign = world.workers.ports.remote.create_job(ComplianceType.TWEETS, "theirs", resumable=False).value
    batch = world.producer.enqueue(POSTS, "tweets")
    for _ in range(6):
        world.workers.run_one()
    assert [job["name"] for job in simulator.jobs()] == ["theirs"]
    assert world.workers.coordination.jobs[ComplianceType.TWEETS].phase == "waiting_for_foreign_job"
    simulator.advance_clock(16 * 60)  # its upload window lapses
    world.finish(batch.id)
    assert foreign.name == "theirs"


def test_a_failed_job_is_tried_again(world: World, simulator: Simulator) -> None:
    """The batch completes with the next job."""
    simulator.arm({"on": "job", "fault": "fail", "error": "internal", "times": 1})
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    assert [job.status for job in world.producer.status(batch.id).jobs] == ["failed", "complete"]


def test_a_batch_whose_jobs_always_fail_ends_failed(world: World, simulator: Simulator) -> None:
    """After the attempts it may have, with the reason, and an event that says so."""
    simulator.arm({"on": "job", "fault": "fail", "error": "broken input", "times": 3})
    batch = world.producer.enqueue(POSTS, "tweets", labels={"tenant": "b"})
    world.finish(batch.id, BatchState.FAILED)
    (end,) = world.events()
    assert end["type"] == "complyq.batch.failed.v1"
    assert "broken input" in end["data"]["error"]
    assert end["data"]["unchecked"] == 30_000
    with pytest.raises(BatchFailedError, match="broken input"):
        world.producer.results(batch.id)


def test_an_expired_job_is_tried_again(world: World, simulator: Simulator) -> None:
    """Every final state ends the polling."""
    simulator.arm({"on": "job", "fault": "expire", "times": 1})
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id)
    assert [job.status for job in world.producer.status(batch.id).jobs] == ["expired", "complete"]


def test_an_upload_goes_on_after_the_connection_broke(cloud_world: World, cloud: Simulator) -> None:
    """From the server's offset, not from the start."""
    cloud.arm({"on": "upload", "fault": "disconnect", "after_bytes": 300_000, "times": 1})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    ranges = [line["content_range"] for line in cloud.journal() if line.get("content_range")]
    assert ranges[-1].startswith("bytes 262144-")


def test_a_dead_session_is_replaced(cloud_world: World, cloud: Simulator) -> None:
    """While the upload window lasts a new session does."""
    cloud.arm({"on": "upload", "fault": "dead_session", "times": 1})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    assert len(cloud.jobs()) == 1


def test_a_lapsed_window_costs_a_job_but_no_attempt(world: World, simulator: Simulator) -> None:
    """Its parts are planned again."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.run_until(lambda: bool(simulator.jobs()))
    world.workers.run_until(lambda: bool(world.workers.ports.ledger.job(ComplianceType.TWEETS, 1).created))
    simulator.advance_clock(16 * 60)
    world.finish(batch.id)
    assert len(simulator.jobs()) == 2
    attempts = world.workers.ports.ledger.batch(batch.id).attempts  # type: ignore[union-attr]
    assert [attempt.counted for attempt in attempts[0]] == [False]


def test_a_truncated_download_is_never_taken_for_compliant(world: World, simulator: Simulator) -> None:
    """Not even when it was cut at the end of a line."""
    whole = world.producer.enqueue(POSTS, "tweets")
    world.finish(whole.id)
    simulator.arm({"on": "download", "fault": "truncate", "times": 2})
    cut = world.producer.enqueue(POSTS, "tweets")
    world.finish(cut.id)
    assert world.flagged(cut.id) == world.flagged(whole.id)


def test_a_payload_too_large_is_split(direct_world: World, direct: Simulator) -> None:
    """X's own limit counts, whatever ours is."""
    direct.arm({"on": "upload", "fault": "status", "status": 413, "times": 1})
    posts = range(10**18, 10**18 + 1_000_000)
    batch = direct_world.producer.enqueue(posts, "tweets")
    direct_world.finish(batch.id)
    assert [job.status for job in direct_world.producer.status(batch.id).jobs] == ["failed", "complete", "complete"]


def test_a_batch_that_lost_a_part_fails_with_its_event(world: World) -> None:
    """An accepted batch never ends silently."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.ports.store.delete(f"batches/{batch.id}/ids/00000.txt")
    world.finish(batch.id, BatchState.FAILED)
    assert "missing" in str(world.producer.status(batch.id).error)
    assert world.events()[-1]["type"] == "complyq.batch.failed.v1"


def test_lines_that_x_answered_with_an_error_are_counted_apart(world: World, simulator: Simulator) -> None:
    """They are neither flagged nor compliant."""
    clean = world.producer.enqueue(POSTS[:100], "tweets")
    world.finish(clean.id)
    free = next(post for post in POSTS[:100] if str(post) not in world.flagged(clean.id))
    simulator.arm(
        {"on": "job", "fault": "inject_lines", "lines": [json.dumps({"id": str(free), "error": "invalid_id"})]}
    )
    batch = world.producer.enqueue(POSTS[:100], "tweets")
    world.finish(batch.id)
    data = world.events()[-1]["data"]
    assert data["rejected"] == 1
    assert data["compliant"] == 100 - 1 - data["flagged"]


def test_a_job_whose_upload_was_damaged_is_not_believed(cloud_world: World, cloud: Simulator) -> None:
    """X checked other bytes than ours: what it does not mention is not compliant, it is unknown."""
    cloud.arm({"on": "upload", "fault": "wrong_hash", "times": 1})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    assert [job.status for job in cloud_world.producer.status(batch.id).jobs] == ["abandoned", "complete"]


def test_a_url_that_points_elsewhere_gets_nothing_and_blocks_nobody(cloud_world: World, cloud: Simulator) -> None:
    """Nothing is sent there; the job is given up, and the next one runs."""
    elsewhere = "https://example.invalid"
    cloud.arm({"on": "create", "fault": "foreign_url", "origin": elsewhere, "times": 1})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "uploaded"))
    cloud.advance_clock(16 * 60)
    cloud_world.finish(batch.id)
    assert len(cloud.jobs()) == 2


def test_a_session_that_never_answers_ends_with_its_job(cloud_world: World, cloud: Simulator) -> None:
    """X is asked, rather than the session for ever."""
    cloud.arm({"on": "upload", "fault": "status", "status": 503, "times": 5})
    cloud.arm({"on": "query", "fault": "status", "status": 503, "times": 5})
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "session-000"))
    cloud.advance_clock(16 * 60)
    cloud_world.finish(batch.id)
    assert cloud_world.producer.status(batch.id).jobs[0].status == "expired"


def test_a_create_that_x_refuses_for_good_fails_the_batch(world: World, simulator: Simulator) -> None:
    """Others get the slot, and the owner learns why."""
    simulator.arm({"on": "create", "fault": "status", "status": 422, "times": 15})
    batch = world.producer.enqueue(POSTS, "tweets")
    world.finish(batch.id, BatchState.FAILED)
    assert "refused to create" in str(world.producer.status(batch.id).error)
    simulator.disarm()
    after = world.producer.enqueue(POSTS[:100], "tweets")
    world.finish(after.id)


def test_results_at_a_foreign_host_wait_for_the_setting(world: World, simulator: Simulator) -> None:
    """Nothing is sent there and nothing is given up: X keeps the results for days."""
    simulator.arm({"on": "get", "fault": "foreign_url", "origin": "https://example.invalid", "times": 1000})
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.run_until(lambda: has_job_fact(world, "finished"))
    for _ in range(3):
        world.workers.run_one()
    assert not has_job_fact(world, "collected")
    simulator.disarm()
    world.finish(batch.id)
    assert len(simulator.jobs()) == 1
