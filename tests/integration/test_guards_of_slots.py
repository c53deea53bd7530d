"""What keeps the slot of a type in order: each test takes one way to break it, with X and time in its hands."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec
import pytest

from complyq_producer import task_names
from complyq_producer.facts import Plan
from complyq_producer.layout import JobKeys
from complyq_producer.model import new_job_id
from complyq_workers.coordination import Coordination
from complyq_workers.pipeline import Hint
from complyq_workers.pipeline.creating import remote_name
from complyq_workers.x import AmbiguousAnswerError
from complyq_workers.x.messages import Reply, Request
from support.quiet_world import TWEETS, DiedError, Interrupted, QuietWorld

CREATE, POLL, UPLOAD = task_names.CREATE_JOB, task_names.POLL_JOB, task_names.UPLOAD_JOB
PUBLISH = task_names.PUBLISH_BATCH
NO_JOBS = Reply(200, {}, b'{"meta": {"result_count": 0}}')
MINUTE, DAY = 60.0, 86_400.0


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X that cannot cancel, and takes what it is asked for, whatever is active."""
    return QuietWorld(tmp_path, one_at_a_time=False)


@pytest.fixture
def direct(tmp_path: Path) -> QuietWorld:
    """An X that can cancel."""
    return QuietWorld(tmp_path, direct=True, one_at_a_time=False)


def plan_of(world: QuietWorld, number: int = 1) -> Plan:
    """Read a plan."""
    plan = world.job(number).plan
    assert plan is not None
    return plan


def plan_beside(world: QuietWorld, number: int) -> Plan:
    """Make a plan that no planner would make while there is a lower one."""
    plan = msgspec.structs.replace(plan_of(world), number=number, job_id=new_job_id())
    keys = JobKeys(TWEETS, number)
    world.store.create(keys.marker, b"")
    world.ports.facts.create(keys.plan, plan)
    return plan


def test_a_plan_waits_for_the_lower_one(world: QuietWorld) -> None:
    """Even where the lower one's job is not known yet, and the lock of the type is free."""
    world.enqueue()
    world.run_to("plan")
    plan_beside(world, 2)
    world.run(CREATE, "tweets", 2)
    assert world.remote_jobs() == []


def test_a_late_hint_creates_no_second_job(world: QuietWorld) -> None:
    """Nor where X does not list the first one yet, and Redis has forgotten it."""
    world.enqueue()
    world.run_to("created")
    world.world.coordination.flush()
    world.transport.meddle("list", NO_JOBS, times=2)
    for _ in range(2):
        world.run(CREATE, "tweets", 1)
        world.world.pass_time(100)  # longer than any create may be under way
    assert len(world.remote_jobs()) == 1


def lose(_: Request) -> Reply:
    """Lose the answer, or the request."""
    raise AmbiguousAnswerError("no answer")


def perish(_: Request) -> Reply:
    """End the worker."""
    raise DiedError


@pytest.mark.parametrize(("ending", "seconds"), [(lose, 15.0), (perish, 90.0)], ids=["lost answer", "death"])
def test_a_create_that_may_be_under_way_is_not_sent_again(
    world: QuietWorld, ending: Callable[[Request], Reply], seconds: float
) -> None:
    """X does not list the job; only when so much time has passed it is believed that there is none."""
    world.enqueue()
    world.run_to("plan")
    world.transport.meddle("create", ending)
    with suppress(DiedError):
        world.run(CREATE, "tweets", 1)
    world.world.pass_time(seconds - 5)
    world.run(CREATE, "tweets", 1)
    assert world.transport.asked.count("create") == 1
    world.world.pass_time(10)
    world.run(CREATE, "tweets", 1)
    assert world.transport.asked.count("create") == 2


def test_a_creator_that_froze_over_the_list_does_not_ask(world: QuietWorld) -> None:
    """Its lease may be another worker's by then, who may have created the job."""

    def freeze(_: Request) -> Reply:
        world.world.pass_time(1000)
        return NO_JOBS

    world.enqueue()
    world.run_to("plan")
    world.transport.meddle("list", freeze)
    ports = replace(world.ports, limits=replace(world.ports.limits, lease_seconds=30))
    world.run(CREATE, "tweets", 1, ports=ports)
    assert "create" not in world.transport.asked


def test_a_creator_that_froze_with_an_old_list_does_not_ask(world: QuietWorld) -> None:
    """Its lease is its own, and Redis may have been lost meanwhile: others may have created the job."""
    world.enqueue()
    world.run_to("plan")
    coordination = Interrupted(
        world.ports.coordination,
        lambda name, *args: name == "postpone" and args[0].startswith("unanswered"),
        lambda: world.world.pass_time(60),
    )
    ports = replace(world.ports, coordination=cast("Coordination", coordination))
    world.run(CREATE, "tweets", 1, ports=ports)
    assert "create" not in world.transport.asked


def test_a_job_that_x_refuses_to_make_resumable_is_asked_for_without(direct: QuietWorld) -> None:
    """And with a new list, since the first may be old by then."""
    direct.enqueue()
    direct.run_to("created")
    asked = "".join(operation[0] for operation in direct.transport.asked)
    assert re.fullmatch("l+cl+c", asked)


def test_a_create_that_is_refused_for_good_is_given_up(world: QuietWorld) -> None:
    """After five times, and that counts."""
    batch = world.enqueue()
    world.transport.meddle("create", Reply(422), times=30)
    world.run_to("finished")
    assert world.transport.asked.count("create") == 5
    assert [(attempt.status, attempt.counted) for attempt in world.attempts(batch.id)] == [("failed", True)]


def test_of_two_jobs_of_a_name_the_active_one_is_adopted(world: QuietWorld) -> None:
    """The older one has expired: nothing could be uploaded to it."""
    world.enqueue()
    world.run_to("plan")
    world.x.create("tweets", remote_name(plan_of(world)))
    world.world.pass_time(16 * MINUTE)
    younger = world.x.create("tweets", remote_name(plan_of(world)))
    world.run(CREATE, "tweets", 1)
    assert world.job().remote_id == younger.id


def test_a_job_of_the_plan_that_x_lists_is_adopted(direct: QuietWorld) -> None:
    """Its creator died, and Redis knows nothing of it: no second one is created, and this one is used."""
    batch = direct.enqueue()
    direct.run_to("plan")
    orphan = direct.x.create("tweets", remote_name(plan_of(direct)))
    direct.run(CREATE, "tweets", 1)
    assert direct.job().remote_id == orphan.id
    assert direct.finish(batch.id) == "completed"
    assert direct.remote_jobs() == [orphan]


def test_a_stray_is_cancelled_by_whoever_meets_it(direct: QuietWorld) -> None:
    """A job with the name of a closed plan does not hold up the next plan for a quarter of an hour."""
    direct.finish(direct.enqueue().id)
    stray = direct.x.create("tweets", remote_name(plan_of(direct)))
    direct.enqueue(range(10, 16))
    direct.run_to("plan", 2)
    direct.run(CREATE, "tweets", 2)
    assert stray.status == "failed"


def test_a_job_with_the_number_of_a_closed_plan_is_left_alone(direct: QuietWorld) -> None:
    """Another installation counts its plans too; the rest of the name tells whose a job is."""
    direct.finish(direct.enqueue().id)
    foreign = direct.x.create("tweets", "complyq.1.of-another-installation")
    direct.enqueue(range(10, 16))
    direct.run_to("plan", 2)
    direct.run(CREATE, "tweets", 2)
    assert foreign.status == "created"
    assert not direct.has_fact("created", 2)


def test_the_job_of_an_open_plan_is_no_stray(direct: QuietWorld) -> None:
    """Somebody is about to upload to it."""
    direct.enqueue()
    direct.run_to("plan")
    other = direct.x.create("tweets", remote_name(plan_beside(direct, 2)))
    direct.run(CREATE, "tweets", 1)
    assert other.status == "created"
    assert not direct.has_fact("created")


def test_an_upload_at_the_end_of_its_window_that_expires_counts_against_nobody(world: QuietWorld) -> None:
    """X may not have taken it any more."""
    batch = world.enqueue()
    world.run_to("created")
    world.x.fate = lambda: (5.0, "expired")
    world.world.pass_time(world.remote_jobs()[0].created_at + 14 * MINUTE + 5 - world.world.now)
    world.run(UPLOAD, "tweets", 1)
    world.run_to("finished")
    assert world.uploaded().complete
    assert [(attempt.status, attempt.counted) for attempt in world.attempts(batch.id)] == [("expired", False)]


def test_a_stuck_job_is_called_expired_and_cancelled(direct: QuietWorld) -> None:
    """Its results could not be had any more, a week later; what X calls active would hold up the next job."""

    def stuck(_: Request) -> Reply:
        return direct.shown(job, status="in_progress")

    direct.enqueue()
    direct.run_to("uploaded")
    (job,) = direct.remote_jobs()
    direct.world.pass_time(8 * DAY)
    direct.transport.meddle("get", stuck)
    direct.run(POLL, "tweets", 1)
    finished = direct.job().finished
    assert finished is not None
    assert finished.status == "expired"
    assert direct.transport.asked[-1] == "cancel"


def test_a_job_that_nobody_wants_any_more_is_ended(direct: QuietWorld) -> None:
    """Its batch was cancelled while X works on it: the slot is for others."""
    batch = direct.enqueue()
    direct.run_to("uploaded")
    direct.producer.cancel(batch.id)
    direct.run(POLL, "tweets", 1)
    (job,) = direct.remote_jobs()
    assert job.status == "failed"
    assert direct.finish(batch.id) == "cancelled"


def test_a_cancel_that_failed_is_tried_again(direct: QuietWorld) -> None:
    """The upload was refused for its size: while X shows the job it holds up the next one."""
    direct.enqueue()
    direct.run_to("created")
    direct.transport.meddle("whole", Reply(413))
    direct.transport.meddle("cancel", Reply(503))
    direct.run(UPLOAD, "tweets", 1)
    (job,) = direct.remote_jobs()
    assert (job.status, direct.uploaded().complete) == ("created", False)
    direct.run(POLL, "tweets", 1)
    assert job.status == "failed"


def test_a_job_that_only_the_list_shows_has_not_vanished(world: QuietWorld) -> None:
    """Nor after its upload window."""
    world.x.fate = lambda: (40 * MINUTE, "complete")
    batch = world.enqueue()
    world.run_to("uploaded")
    world.world.pass_time(20 * MINUTE)
    world.transport.meddle("get", Reply(404))
    world.run(POLL, "tweets", 1)
    assert not world.has_fact("finished")
    assert world.finish(batch.id) == "completed"


def test_a_job_that_x_does_not_show_is_given_up_only_after_its_window(world: QuietWorld) -> None:
    """A list may lag behind; and a job that X has lost for good is planned again."""
    world.enqueue()
    world.run_to("uploaded")
    for operation, answer in (("get", Reply(404)), ("list", NO_JOBS)):
        world.transport.meddle(operation, answer, times=2)
    world.run(POLL, "tweets", 1)
    assert not world.has_fact("finished")
    world.world.pass_time(20 * MINUTE)
    world.run(POLL, "tweets", 1)
    assert world.has_fact("finished")


@pytest.mark.parametrize("change", [1, 2])
def test_a_worker_that_dies_at_the_end_of_a_job_loses_no_attempt(world: QuietWorld, change: int) -> None:
    """A job that failed counts once, whoever died while writing that down."""
    world.x.fate = lambda: (5.0, "failed")
    batch = world.enqueue()
    world.run_to("uploaded")
    world.world.pass_time(MINUTE)
    with pytest.raises(DiedError):
        world.run(POLL, "tweets", 1, ports=world.mortal(change))
    world.run_to("finished")
    assert [(attempt.plan, attempt.counted) for attempt in world.attempts(batch.id)] == [(1, True)]


def test_a_job_whose_only_batch_is_cancelled_is_ended_at_once(direct: QuietWorld) -> None:
    """Not only when it is looked at again, which may be in hours: the slot is for others."""
    batch = direct.enqueue()
    direct.run_to("uploaded")
    direct.ports.coordination.postpone(Hint(POLL, ("tweets", 1)).step, 3600)
    direct.producer.cancel(batch.id)
    for hint in direct.run(PUBLISH, batch.id).hints:
        direct.run(hint.task, *hint.args)
    assert [job.status for job in direct.remote_jobs()] == ["failed"]
