"""Work that crashes its process every time is parked: others go on, people are told, and it can be released."""

from dataclasses import replace
from pathlib import Path

import pytest

from complyq_producer import task_names
from complyq_producer.errors import NothingParkedError
from complyq_producer.model import BatchState, ComplianceType, RemoteId
from complyq_workers.pipeline import Remote
from complyq_workers.x import Answer, ComplianceJob, JobNotFoundError
from support.command_line import CommandLine
from support.crashing import CRASHING_JOB_STEPS, crash, crash_job, end_at_x, let_hours_pass, park
from support.simulator_process import Simulator
from support.world import POSTS, World, has_job_fact

PARKED = "complyq.batch.parked.v1"


def no_active_jobs(simulator: Simulator) -> bool:
    """Whether X has no job that holds a slot."""
    return not [job for job in simulator.jobs() if job["status"] in {"created", "in_progress"}]


@pytest.mark.parametrize("task", CRASHING_JOB_STEPS)
def test_a_parked_job_leaves_the_slot_to_others_until_it_is_released(
    world: World, simulator: Simulator, task: str
) -> None:
    """In every phase: the job is seen off, the next batch runs, an event tells, and released the batch completes."""
    batch_id = park(world, task)
    end_at_x(world, simulator)
    assert no_active_jobs(simulator)
    other = world.producer.enqueue(POSTS[:50], "tweets")
    world.finish(other.id)

    status = world.producer.status(batch_id)
    (work,) = world.producer.parked()
    assert [work] == status.parked
    assert (work.batch_id, work.plan, work.step) == (batch_id, 1, task.removeprefix("complyq."))
    assert status.state is BatchState.RUNNING
    (event,) = [event for event in world.events() if event["type"] == PARKED]
    assert event["id"] == f"{batch_id}/parked/1"
    assert event["data"]["labels"] == {"tenant": "a"}
    assert (event["data"]["plan"], event["data"]["step"], event["data"]["reason"]) == (1, work.step, work.reason)

    assert world.producer.release(batch_id) == [work]
    world.finish(batch_id)
    assert world.producer.parked() == []
    assert world.flagged(batch_id)
    ids = [event["id"] for event in world.events()]
    assert len(ids) == len(set(ids))


def test_a_job_whose_create_was_answered_in_vain_is_found_and_seen_off(cloud_world: World, cloud: Simulator) -> None:
    """X has it although no fact says so: its name tells, and until it is final nothing else is created."""
    cloud.arm({"on": "create", "fault": "lost_answer", "times": 1})
    cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: len(cloud.jobs()) == 1)
    crash_job(cloud_world, task_names.CREATE_JOB)
    other = cloud_world.producer.enqueue(POSTS[:50], "tweets")
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "parked"))
    cloud_world.workers.coordination.postpone("unanswered_create:tweets:1", 0.001)
    for _ in range(8):
        cloud_world.workers.run_one()
    assert not has_job_fact(cloud_world, "finished")
    end_at_x(cloud_world, cloud)
    cloud_world.finish(other.id)
    assert len(cloud.jobs()) == 2
    assert not [line for line in cloud.journal() if line.get("status") == 409]


class ForgetfulRemote(Remote):
    """X with an empty list of jobs, and, when it has forgotten everything, without the job that is asked for."""

    knows = True

    def list_jobs(self, type_: ComplianceType) -> Answer[list[ComplianceJob]]:
        """Show nothing."""
        return replace(super().list_jobs(type_), value=[])

    def get_job(self, remote_id: RemoteId) -> Answer[ComplianceJob]:
        """Show a job, while X knows it."""
        if not self.knows:
            raise JobNotFoundError("gone")
        return super().get_job(remote_id)


def test_a_parked_job_that_x_does_not_list_is_asked_for(cloud_world: World, cloud: Simulator) -> None:
    """Its slot passes on when X says that it is final, or knows it no more and its upload window is over."""
    ports = cloud_world.workers.ports
    remote = ForgetfulRemote(ports.remote.client, ports.coordination, ports.clock)
    park(cloud_world, task_names.UPLOAD_JOB)
    cloud_world.workers.pipeline.ports = replace(ports, remote=remote)
    cloud_world.workers.run_until(lambda: bool(cloud_world.producer.parked()))
    for knows in (True, False):
        remote.knows = knows
        for _ in range(8):
            cloud_world.workers.run_one()
        assert not has_job_fact(cloud_world, "finished")
    cloud.advance_clock(16 * 60)
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "finished"))


def test_a_create_that_may_be_under_way_is_waited_for(world: World, simulator: Simulator) -> None:
    """The list does not show it yet; believing that would leave a second active job."""
    world.producer.enqueue(POSTS, "tweets")
    world.workers.run_until(lambda: has_job_fact(world, "plan"))
    world.workers.coordination.postpone("unanswered_create:tweets:1", 3600)
    crash_job(world, task_names.CREATE_JOB)
    world.workers.run_until(lambda: has_job_fact(world, "parked"))
    for _ in range(8):
        world.workers.run_one()
    assert not has_job_fact(world, "finished")
    world.workers.coordination.postpone("unanswered_create:tweets:1", 0.001)
    world.workers.run_until(lambda: has_job_fact(world, "finished"))
    assert simulator.jobs() == []


def test_a_parked_job_is_cancelled_where_that_is_possible(direct_world: World, direct: Simulator) -> None:
    """The slot passes on at once, however long X would have taken."""
    direct.arm({"on": "job", "fault": "stuck", "times": 1})
    batch_id = park(direct_world, task_names.POLL_JOB)
    after = direct_world.producer.enqueue(POSTS[:50], "tweets")
    direct_world.finish(after.id)
    assert [job["status"] for job in direct.jobs()] == ["failed", "complete"]
    assert [work.batch_id for work in direct_world.producer.parked()] == [batch_id]


def test_while_a_parked_job_is_active_at_x_nothing_else_is_created(cloud_world: World, cloud: Simulator) -> None:
    """Where it cannot be cancelled it keeps the slot, and status says so."""
    cloud.arm({"on": "job", "fault": "stuck", "times": 1})
    batch_id = park(cloud_world, task_names.POLL_JOB)
    after = cloud_world.producer.enqueue(POSTS[:50], "tweets")
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "parked"))
    for _ in range(20):
        cloud_world.workers.run_one()
    assert len(cloud.jobs()) == 1
    assert cloud_world.workers.coordination.jobs[ComplianceType.TWEETS].phase == "parked"
    cloud_world.producer.release(batch_id)  # takes effect when the job is final
    for _ in range(20):
        cloud_world.workers.run_one()
    assert len(cloud.jobs()) == 1
    assert cloud_world.producer.status(after.id).jobs == []


def test_what_x_completes_of_a_parked_job_is_not_collected(cloud_world: World, cloud: Simulator) -> None:
    """Its parts count as unchecked until a job that nobody had to give up has checked them."""
    batch_id = park(cloud_world, task_names.POLL_JOB)
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "finished"))
    assert [job["status"] for job in cloud.jobs()] == ["complete"]
    status = cloud_world.producer.status(batch_id)
    assert (status.checked, [job.status for job in status.jobs]) == (0, ["parked"])
    cloud_world.producer.release(batch_id)
    cloud_world.finish(batch_id)
    assert [job.status for job in cloud_world.producer.status(batch_id).jobs] == ["parked", "complete"]


def test_a_batch_that_nobody_releases_fails_in_time(world: World, simulator: Simulator) -> None:
    """With a reason that names the step, after its parked event; results that it has by then are published."""
    batch_id = park(world, task_names.UPLOAD_JOB)
    end_at_x(world, simulator)
    let_hours_pass(world, 11.9)
    for _ in range(6):
        world.workers.run_one()
    assert world.producer.status(batch_id).state is BatchState.RUNNING
    let_hours_pass(world, 12.1)
    world.finish(batch_id, BatchState.FAILED)
    parked, end = world.events()
    assert (parked["type"], end["type"]) == (PARKED, "complyq.batch.failed.v1")
    assert "upload_job crashed its process 5 times" in end["data"]["error"]
    assert "plan 1" in end["data"]["error"]
    assert end["data"]["unchecked"] == len(POSTS)
    assert parked["data"]["fails_at"] > parked["data"]["parked_at"]
    assert world.producer.parked() == []


def test_a_batch_fails_in_time_even_while_x_keeps_its_job(cloud_world: World, cloud: Simulator) -> None:
    """A job that stays in progress for days holds up its slot, but not the answer to the service."""
    cloud.arm({"on": "job", "fault": "stuck", "times": 1})
    batch_id = park(cloud_world, task_names.POLL_JOB)
    cloud_world.workers.run_until(lambda: bool(cloud_world.producer.parked()))
    let_hours_pass(cloud_world, 12.1)
    cloud_world.workers.run_until(lambda: cloud_world.producer.status(batch_id).state is BatchState.FAILED)
    assert not has_job_fact(cloud_world, "finished")


def test_a_released_batch_may_be_parked_again(world: World, simulator: Simulator) -> None:
    """With an event and a deadline of its own."""
    batch_id = park(world, task_names.UPLOAD_JOB)
    end_at_x(world, simulator)
    world.producer.release(batch_id)
    store = world.workers.ports.store
    world.workers.run_until(lambda: store.info("jobs/tweets/00000002/created.json") is not None)
    crash_job(world, task_names.UPLOAD_JOB, plan=2)
    world.workers.run_until(lambda: bool(world.producer.parked()))
    world.workers.run_until(lambda: len(world.events()) == 2)
    assert [event["id"] for event in world.events()] == [f"{batch_id}/parked/{plan}" for plan in (1, 2)]
    assert [work.plan for work in world.producer.parked()] == [2]


def test_other_parts_of_a_parked_batch_are_checked(world: World, simulator: Simulator) -> None:
    """Only what crashed waits; the batch completes when that is released."""
    world.workers.change_limits(max_upload_bytes=200_000)
    world.producer._part_bytes = 200_000
    batch_id = park(world, task_names.UPLOAD_JOB)
    end_at_x(world, simulator)
    world.workers.run_until(lambda: world.producer.status(batch_id).parts_done == 2)
    assert [work.plan for work in world.producer.parked()] == [1]
    world.producer.release(batch_id)
    world.finish(batch_id)
    assert world.producer.status(batch_id).parts_done == 3


def test_a_parked_batch_can_be_cancelled(world: World, simulator: Simulator) -> None:
    """At once, though its job is still at X."""
    batch_id = park(world, task_names.UPLOAD_JOB)
    world.workers.run_until(lambda: bool(world.producer.parked()))
    world.producer.cancel(batch_id)
    world.workers.run_until(lambda: world.producer.status(batch_id).state is BatchState.CANCELLED)
    end_at_x(world, simulator)
    after = world.producer.enqueue(POSTS[:50], "tweets")
    world.finish(after.id)


def test_release_of_what_is_not_parked_is_refused(world: World) -> None:
    """The message names the batch; asking again for what was released changes nothing."""
    batch_id = world.producer.enqueue(POSTS[:50], "tweets").id
    with pytest.raises(NothingParkedError, match=batch_id):
        world.producer.release(batch_id)
    world.workers.run_until(lambda: has_job_fact(world, "plan"))
    crash_job(world, task_names.CREATE_JOB)
    world.workers.run_until(lambda: has_job_fact(world, "finished"))
    assert len(world.producer.release(batch_id)) == 1
    assert world.producer.release(batch_id) == []
    world.finish(batch_id)


def test_publishing_that_crashes_is_parked_and_released(world: World) -> None:
    """The results are safe, the event comes all the same, other batches go on; nothing is published twice."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.run_until(lambda: has_job_fact(world, "finished"))
    crash(world, task_names.PUBLISH_BATCH, batch.id)
    other = world.producer.enqueue(POSTS[:50], "tweets")
    world.finish(other.id)
    (work,) = world.producer.parked()
    assert (work.batch_id, work.plan, work.step, work.fails_at) == (batch.id, None, "publish_batch", None)
    (event,) = [event for event in world.events() if event["subject"] == batch.id]
    assert (event["id"], event["data"]["plan"]) == (f"{batch.id}/parked/publish-1", None)
    assert world.producer.status(batch.id).state is BatchState.RUNNING
    assert len(world.producer.release(batch.id)) == 1
    world.finish(batch.id)


def test_parked_publishing_is_tried_again_by_itself(world: World) -> None:
    """Failing the batch would need publishing too, so it gets another chance instead."""
    batch = world.producer.enqueue(POSTS, "tweets")
    world.workers.run_until(lambda: has_job_fact(world, "finished"))
    crash(world, task_names.PUBLISH_BATCH, batch.id)
    world.workers.run_until(lambda: bool(world.producer.parked()))
    world.workers.run_all()
    assert world.producer.status(batch.id).ended_at is None
    let_hours_pass(world, 12.1)
    world.finish(batch.id)


def test_people_see_and_release_what_is_parked(direct_world: World, tmp_path: Path) -> None:
    """`complyq parked`, `status` and `release`: tables for people, JSON for programs, and exit codes for scripts."""
    cli = CommandLine(tmp_path)
    nothing = cli.run("parked")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "Nothing is parked.\n")
    batch_id = park(direct_world, task_names.CREATE_JOB)
    refused = cli.run("release", batch_id)
    assert (refused.code, refused.out) == (1, "")
    assert batch_id in refused.err
    assert cli.run("release", batch_id, "--all").code == 2
    direct_world.workers.run_until(lambda: bool(direct_world.producer.parked()))

    shown = cli.run("parked")
    assert (shown.code, shown.err) == (0, "")
    for word in (batch_id, "tweets", "create_job", "crashed its process 5 times"):
        assert word in shown.out
    promised = {"batch_id", "type", "name", "plan", "step", "reason", "since", "fails_at", "retried_at"}
    assert set(cli.run("parked", "--json").json()) == promised
    assert [work["plan"] for work in cli.run("status", batch_id, "--json").json()["parked"]] == [1]
    assert f"complyq release {batch_id}" in cli.run("status", batch_id).out

    released = cli.run("release", "--all", "--json")
    assert (released.code, released.json()["plan"]) == (0, 1)
    assert cli.run("release", batch_id).code == 0
    direct_world.finish(batch_id)
