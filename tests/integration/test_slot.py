"""The one slot of a type: who may create a job, whatever happens to workers, to Redis and at X."""

import threading
from dataclasses import replace
from typing import cast

import msgspec
import pytest
from structlog.testing import capture_logs

from complyq_producer import task_names
from complyq_producer.layout import JobKeys
from complyq_producer.model import BatchState, JobId, RemoteId
from complyq_workers.coordination import MemoryCoordination
from complyq_workers.pipeline import Hint, Pipeline, Remote
from complyq_workers.pipeline.creating import remote_name
from complyq_workers.x import Answer, ComplianceJob
from support.frozen import LaterClock, Point, Replica, frozen, frozen_in_mid_upload
from support.simulator_process import Simulator
from support.slot_world import LONG, TWEETS, attempts, contract_of, created, next_hint, wake
from support.verdicts import (
    assert_events_agree,
    assert_nothing_is_open,
    most_active,
    objects,
    plans,
    uploaded_to,
)
from support.world import POSTS, World

PLAN = Hint(task_names.PLAN, ("tweets",))
UPLOAD_WINDOW = 16 * 60
WEEK = 7 * 86_400 + 60


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_of_two_planners_one_wins(lenient_world: World, lenient: Simulator, clock: LaterClock) -> None:
    """Both read, both write plan 1: the second reads again, and each part is in one plan."""
    batches = [lenient_world.producer.enqueue(POSTS[n::3], "tweets") for n in range(3)]
    hint = next_hint(lenient_world, task_names.PLAN)
    with frozen(lenient_world.workers.ports, hint, Point("store", "create", "plan.json")) as planner:
        clock.advance(LONG)
        lenient_world.workers.pipeline.run(hint)
        standing = plans(lenient_world)
        assert planner.wake().again_in == 0.0
    assert plans(lenient_world) == standing
    lenient_world.workers.poke(hint.task, *hint.args)
    for batch in batches:
        lenient_world.finish(batch.id)
    assert [sorted(plan.batch_ids) for plan in plans(lenient_world)] == [sorted(batch.id for batch in batches)]
    assert_nothing_is_open(lenient_world)


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_a_planner_that_froze_long_ago_changes_nothing(
    lenient_world: World, lenient: Simulator, clock: LaterClock
) -> None:
    """Its plan has been made, run and closed by others, and so has the next: no number is used twice or left out."""
    first = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.PLAN)
    with frozen(lenient_world.workers.ports, hint, Point("store", "create", "open/jobs")) as planner:
        clock.advance(LONG)
        lenient_world.workers.poke(hint.task, *hint.args)
        lenient_world.finish(first.id)
        second = lenient_world.producer.enqueue(POSTS[:500], "tweets")
        lenient_world.finish(second.id)
        wake(lenient_world, planner)
    third = lenient_world.producer.enqueue(POSTS[:600], "tweets")
    lenient_world.finish(third.id)
    assert [plan.batch_ids for plan in plans(lenient_world)] == [[first.id], [second.id], [third.id]]
    assert len(lenient.jobs()) == 3
    assert_nothing_is_open(lenient_world)


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_many_planners_at_once(lenient_world: World, lenient: Simulator) -> None:
    """Eight workers that know nothing of each other, as while Redis is split: one plan, one job at a time."""
    world = lenient_world
    batches = [world.producer.enqueue(POSTS[n::4], "tweets") for n in range(4)]
    together = threading.Barrier(8)

    def plan() -> None:
        together.wait()
        Pipeline(replace(world.workers.ports, coordination=MemoryCoordination())).run(PLAN)

    threads = [threading.Thread(target=plan) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (only,) = plans(world)
    assert sorted(only.batch_ids) == sorted(batch.id for batch in batches)
    for batch in batches:
        world.finish(batch.id)
    assert plans(world) == [only]
    assert most_active(lenient) == 1
    assert len(lenient.jobs()) == 1


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_a_plan_waits_for_all_lower_ones(lenient_world: World, lenient: Simulator) -> None:
    """Neither Redis nor X's list would keep the second from being first: the log of plans does."""
    batches = [lenient_world.producer.enqueue(POSTS, "tweets")]
    first = next_hint(lenient_world, task_names.CREATE_JOB)
    batches.append(lenient_world.producer.enqueue(POSTS, "tweets"))
    (plan,) = plans(lenient_world)
    parts = [msgspec.structs.replace(part, batch_id=batches[1].id) for part in plan.parts]
    payload = [name.replace(batches[0].id, batches[1].id) for name in plan.payload]
    keys = JobKeys(TWEETS, 2)
    lenient_world.workers.ports.store.create(keys.marker, b"")
    lenient_world.workers.ports.facts.create(
        keys.plan,
        msgspec.structs.replace(plan, number=2, nonce="2", job_id=JobId("second"), parts=parts, payload=payload),
    )
    second = Hint(task_names.CREATE_JOB, ("tweets", 2))
    for _ in range(3):
        lenient_world.workers.coordination.flush()
        lenient_world.workers.pipeline.run(second)
    assert lenient.jobs() == []
    for hint in (second, first):
        lenient_world.workers.poke(hint.task, *hint.args)
    for batch in batches:
        lenient_world.finish(batch.id)
    assert [job["name"].split(".")[1] for job in lenient.jobs()] == ["1", "2"]
    assert most_active(lenient) == 1


@pytest.mark.parametrize("name", ["theirs", "complyq.1.of-another-installation"])
def test_a_foreign_job_is_waited_for_and_left_alone(lenient_world: World, lenient: Simulator, name: str) -> None:
    """Whoever it belongs to: it is neither cancelled nor uploaded to, and ours comes when it has ended."""
    before = lenient_world.producer.enqueue(POSTS[:500], "tweets")
    lenient_world.finish(before.id)
    ports = lenient_world.workers.ports
    foreign = ports.remote.create_job(TWEETS, name, resumable=False).value
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    with capture_logs() as logs:
        for _ in range(8):
            lenient_world.workers.run_one()
    assert [job["status"] for job in lenient.jobs()] == ["complete", "created"]
    assert lenient_world.workers.coordination.jobs[TWEETS].phase == "waiting_for_foreign_job"
    assert {line["remote"] for line in logs if line["event"] == "foreign_job_active"} == {foreign.id}
    lenient.advance_clock(UPLOAD_WINDOW)
    lenient_world.finish(batch.id)
    assert most_active(lenient) == 1
    assert foreign.id not in uploaded_to(lenient)
    assert attempts(lenient_world, batch.id) == []


def test_our_own_orphan_is_adopted_though_redis_forgot_it(lenient_world: World, lenient: Simulator) -> None:
    """The answer to the create was lost, and with Redis the memory that one was sent: X's list tells."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.CREATE_JOB)
    with frozen(lenient_world.workers.ports, hint, Point("remote", "create_job", when="after")):
        lenient_world.workers.coordination.flush()
        lenient_world.finish(batch.id)
    assert created(lenient_world, 1).adopted  # type: ignore[union-attr] # it was created
    assert len(lenient.jobs()) == most_active(lenient) == 1
    assert attempts(lenient_world, batch.id) == []


def test_an_orphan_that_expired_unattended_costs_its_plan(lenient_world: World, lenient: Simulator) -> None:
    """A job is never created twice for a plan: the expired one is adopted, and its parts are planned again."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.CREATE_JOB)
    with frozen(lenient_world.workers.ports, hint, Point("remote", "create_job", when="after")):
        lenient.advance_clock(UPLOAD_WINDOW)
        lenient_world.workers.coordination.flush()
        lenient_world.finish(batch.id)
    assert [job.status for job in lenient_world.producer.status(batch.id).jobs] == ["expired", "complete"]
    assert [attempt.counted for attempt in attempts(lenient_world, batch.id)] == [False]
    assert len({job["name"] for job in lenient.jobs()}) == len(lenient.jobs()) == 2
    assert most_active(lenient) == 1


def test_of_two_jobs_with_our_name_one_is_used(lenient_world: World, lenient: Simulator) -> None:
    """The older active one is adopted; the other is cancelled, or left to expire, before a next job is created."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.CREATE_JOB)
    (plan,) = plans(lenient_world)
    ports = lenient_world.workers.ports
    older, younger = (ports.remote.create_job(TWEETS, remote_name(plan), resumable=False).value for _ in range(2))
    with capture_logs() as logs:
        lenient_world.workers.poke(hint.task, *hint.args)
        lenient_world.finish(batch.id)
    assert created(lenient_world, 1).remote_id == older.id  # type: ignore[union-attr] # it was created
    assert [line["remote"] for line in logs if line["event"] == "stray_job"] == [younger.id]
    assert uploaded_to(lenient) == {older.id}
    after = lenient_world.producer.enqueue(POSTS[:500], "tweets")
    if lenient.jobs()[1]["status"] == "created":  # X cannot cancel
        lenient_world.workers.run_until(
            lambda: lenient_world.workers.coordination.jobs[TWEETS].phase == "waiting_for_foreign_job"
        )
        lenient.advance_clock(UPLOAD_WINDOW)
    lenient_world.finish(after.id)
    assert most_active(lenient, ignoring={younger.id}) == 1
    assert len(lenient.jobs()) == 3


def test_a_window_that_lapses_unattended_costs_a_job_but_no_attempt(
    lenient_world: World, lenient: Simulator, clock: LaterClock
) -> None:
    """All workers were away for sixteen minutes in mid-upload: the parts are planned again."""
    batch = lenient_world.producer.enqueue(range(10**18, 10**18 + 150_000), "tweets")
    hint = next_hint(lenient_world, task_names.UPLOAD_JOB)
    with frozen_in_mid_upload(lenient_world.workers.ports, hint, after_bytes=1_500_000) as worker:
        lenient.advance_clock(UPLOAD_WINDOW)
        clock.advance(LONG)
        lenient_world.workers.poke(hint.task, *hint.args)
        lenient_world.finish(batch.id)
        wake(lenient_world, worker)
    lenient_world.workers.run_all()
    assert [job.status for job in lenient_world.producer.status(batch.id).jobs] == ["expired", "complete"]
    assert [attempt.counted for attempt in attempts(lenient_world, batch.id)] == [False]
    assert len(lenient.jobs()) == 2
    assert most_active(lenient) == 1
    assert_events_agree(lenient_world, batch.id)


class StillCreated:
    """An X that never shows that it took a job's upload."""

    def __init__(self, remote: Remote, remote_id: RemoteId) -> None:
        self._remote = remote
        self._remote_id = remote_id

    def __getattr__(self, name: str) -> object:
        return getattr(self._remote, name)

    def get_job(self, remote_id: RemoteId) -> Answer[ComplianceJob]:
        """Show the job as it was created."""
        answer = self._remote.get_job(remote_id)
        if remote_id != self._remote_id:
            return answer
        return replace(answer, value=msgspec.structs.replace(answer.value, status="created"))


def test_a_job_that_stays_created_ends_with_its_results(lenient_world: World, lenient: Simulator) -> None:
    """The upload was said complete and X never moves it: after a week it is called expired, and planned again."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    lenient_world.workers.run_until(lambda: created(lenient_world, 1) is not None)
    remote = StillCreated(lenient_world.workers.ports.remote, created(lenient_world, 1).remote_id)  # type: ignore[union-attr] # it was
    lenient_world.workers.pipeline.ports = replace(lenient_world.workers.ports, remote=cast("Remote", remote))
    lenient_world.workers.run_until(lambda: lenient.jobs()[0]["status"] == "complete")
    for _ in range(5):
        lenient_world.workers.run_one()
    assert len(plans(lenient_world)) == 1
    assert lenient_world.workers.coordination.jobs[TWEETS].phase == "processing"
    lenient.advance_clock(WEEK)
    lenient_world.finish(batch.id)
    assert [job.status for job in lenient_world.producer.status(batch.id).jobs] == ["expired", "complete"]
    assert [attempt.counted for attempt in attempts(lenient_world, batch.id)] == [True]


def test_a_job_that_stays_in_progress_passes_its_slot_on(lenient_world: World, lenient: Simulator) -> None:
    """A week later its results could not be had any more: it is cancelled where X allows that, and planned again."""
    lenient.arm({"on": "job", "fault": "stuck", "times": 1})
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    lenient_world.workers.run_until(lambda: [job["status"] for job in lenient.jobs()] == ["in_progress"])
    (stuck,) = lenient.jobs()
    lenient.advance_clock(WEEK)
    lenient_world.finish(batch.id)
    assert [job.status for job in lenient_world.producer.status(batch.id).jobs] == ["expired", "complete"]
    assert [attempt.counted for attempt in attempts(lenient_world, batch.id)] == [True]
    last = [line["to"] for line in lenient.journal() if line.get("remote_id") == stuck["remote_id"]][-1]
    assert last == ("failed" if contract_of(lenient) == "direct" else "in_progress")
    assert most_active(lenient, ignoring={stuck["remote_id"]} if last == "in_progress" else ()) == 1


# Redis


def test_a_redis_that_loses_the_last_writes_costs_time_only(lenient_world: World, lenient: Simulator) -> None:
    """It fails over during every step: locks, due times, counts and guards are those of a moment ago."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    while lenient_world.producer.status(batch.id).ended_at is None:
        replica = Replica.of(lenient_world.workers.coordination)
        lenient_world.workers.run_one()
        replica.take_over(lenient_world.workers.coordination)
    lenient_world.finish(batch.id)
    assert len(lenient.jobs()) == most_active(lenient) == 1
    assert attempts(lenient_world, batch.id) == []
    ids = assert_events_agree(lenient_world, batch.id)
    assert len(ids) == len(set(ids))
    assert_nothing_is_open(lenient_world)


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
@pytest.mark.parametrize("task", [task_names.CREATE_JOB, task_names.UPLOAD_JOB, task_names.POLL_JOB])
def test_leases_and_locks_of_the_dead_come_back_and_run_out(
    lenient_world: World, lenient: Simulator, clock: LaterClock, task: str
) -> None:
    """A failover brings back what a step held while it ran: nobody waits for it longer than it lasts."""
    first = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task)
    point = {
        task_names.CREATE_JOB: Point("store", "create", "created.json"),
        task_names.UPLOAD_JOB: Point("store", "create", "uploaded.json"),
        task_names.POLL_JOB: Point("store", "create", "finished.json"),
    }[task]
    with frozen(lenient_world.workers.ports, hint, point) as worker:
        replica = Replica.of(lenient_world.workers.coordination)
        wake(lenient_world, worker)
    lenient_world.finish(first.id)
    replica.take_over(lenient_world.workers.coordination)
    second = lenient_world.producer.enqueue(POSTS[:500], "tweets")
    lenient_world.finish(second.id)  # the lock names a plan that is over, and is taken away
    assert len(lenient.jobs()) == 2
    assert most_active(lenient) == 1


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_a_forgotten_rate_limit_costs_one_request(lenient_world: World, lenient: Simulator) -> None:
    """X says again that it is used up, and that counts against nobody."""
    lenient.arm({"on": "get", "fault": "rate_limit", "seconds": 1, "times": 4})
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    while lenient.armed():
        lenient_world.workers.coordination.flush()
        lenient_world.workers.lose_messages()
        for _ in range(4):
            lenient_world.workers.run_one()
    lenient_world.finish(batch.id)
    assert attempts(lenient_world, batch.id) == []
    assert len(lenient.jobs()) == 1


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_forgotten_failures_only_make_it_try_longer(
    lenient_world: World, lenient: Simulator, clock: LaterClock
) -> None:
    """While Redis forgets them a job that X refuses is asked for again; once it remembers, the batch fails."""
    lenient.arm({"on": "create", "fault": "status", "status": 422, "times": 1000})
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    for _ in range(12):
        lenient_world.workers.coordination.flush()
        lenient_world.workers.lose_messages()
        for _ in range(3):
            lenient_world.workers.run_one()
    assert lenient_world.producer.status(batch.id).state is BatchState.RUNNING
    clock.advance(100)  # a create that Redis has forgotten may still be under way, and is waited for
    lenient_world.workers.lose_messages()
    lenient_world.finish(batch.id, BatchState.FAILED)
    assert lenient.jobs() == []
    assert_events_agree(lenient_world, batch.id)


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
def test_a_finished_batch_is_not_run_again_by_a_new_redis(lenient_world: World, lenient: Simulator) -> None:
    """All that said that it was done is gone but the facts, and they are enough."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    lenient_world.finish(batch.id)
    lenient_world.workers.poke(task_names.SWEEP)  # takes note of the results queue
    lenient_world.workers.run_all()
    before, requests = objects(lenient_world), len(lenient.journal())
    lenient_world.workers.pipeline.ports = replace(lenient_world.workers.ports, coordination=MemoryCoordination())
    for task in (task_names.SWEEP, task_names.PLAN, task_names.PUBLISH_BATCH, *_job_steps()):
        lenient_world.workers.poke(task, *_arguments(task, batch.id))
    lenient_world.workers.run_all()
    assert objects(lenient_world) == before
    assert len(lenient.journal()) == requests


def _job_steps() -> list[str]:
    return [task_names.CREATE_JOB, task_names.UPLOAD_JOB, task_names.POLL_JOB, task_names.COLLECT_JOB]


def _arguments(task: str, batch_id: str) -> tuple[str | int, ...]:
    if task in _job_steps():
        return ("tweets", 1)
    return {task_names.SWEEP: (), task_names.PLAN: ("tweets",)}.get(task, (batch_id,))
