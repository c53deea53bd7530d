"""A worker freezes at any point of a step, another takes over after the lease, and the frozen one is woken."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from complyq_producer import task_names
from support.frozen import LaterClock, Point, frozen, frozen_in_mid_upload
from support.simulator_process import Simulator
from support.slot_world import LONG, TWEETS, attempts, contract_of, created, next_hint, wake
from support.verdicts import (
    assert_events_agree,
    assert_nothing_is_open,
    most_active,
    objects,
    refused_creates,
    uploaded_to,
)
from support.world import POSTS, World, has_job_fact

CREATE = [
    (task_names.CREATE_JOB, Point("remote", "create_job", when="after")),
    (task_names.CREATE_JOB, Point("store", "create", "created.json")),
    (task_names.CREATE_JOB, Point("store", "create", "created.json", "after")),
]
UPLOAD = [
    (task_names.UPLOAD_JOB, Point("store", "open", "ids/00000")),
    (task_names.UPLOAD_JOB, Point("store", "create", "uploaded.json")),
    (task_names.UPLOAD_JOB, Point("store", "create", "uploaded.json", "after")),
]
SESSION = [
    (task_names.UPLOAD_JOB, Point("store", "create", "session-000")),
    (task_names.UPLOAD_JOB, Point("store", "create", "session-000", "after")),
]
BEHIND = [
    (task_names.POLL_JOB, Point("store", "create", "finished.json")),
    (task_names.POLL_JOB, Point("store", "create", "finished.json", "after")),
    (task_names.POLL_JOB, Point("coordination", "release_slot")),
    (task_names.COLLECT_JOB, Point("store", "open", "ids/")),
    (task_names.COLLECT_JOB, Point("store", "create_from", "results/")),
    (task_names.COLLECT_JOB, Point("store", "create_from", "results/", "after")),
    (task_names.COLLECT_JOB, Point("store", "create", "collected.json")),
    (task_names.COLLECT_JOB, Point("store", "create", "collected.json", "after")),
    (task_names.PUBLISH_BATCH, Point("store", "create", "outcome.json")),
    (task_names.PUBLISH_BATCH, Point("store", "create", "outcome.json", "after")),
    (task_names.PUBLISH_BATCH, Point("events", "publish", "/0/0")),
    (task_names.PUBLISH_BATCH, Point("events", "publish", "/0/0", "after")),
    (task_names.PUBLISH_BATCH, Point("events", "publish", "/completed")),
    (task_names.PUBLISH_BATCH, Point("events", "publish", "/completed", "after")),
    (task_names.PUBLISH_BATCH, Point("store", "create", "published.json")),
    (task_names.PUBLISH_BATCH, Point("store", "create", "done/")),
    (task_names.PUBLISH_BATCH, Point("store", "delete", "open/batches")),
]
MANY = range(10**18, 10**18 + 150_000)
"""Three megabytes: more than one block of a request."""


def assert_taken_over(
    world: World, simulator: Simulator, task: str, point: Point, clock: LaterClock, *, flush: bool
) -> None:
    """Others finish the frozen worker's batch and begin the next; then it is woken, and changes nothing."""
    first = world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(world, task)
    with frozen(world.workers.ports, hint, point) as worker:
        if flush:
            world.workers.coordination.flush()
        else:
            clock.advance(LONG)
        world.workers.poke(hint.task, *hint.args)
        world.finish(first.id)
        second = world.producer.enqueue(POSTS[:5000], "tweets")
        world.workers.run_until(lambda: created(world, 2) is not None)
        before = objects(world)
        wake(world, worker)
    assert objects(world) == before
    world.finish(second.id)
    assert most_active(simulator) == 1
    assert len(simulator.jobs()) == len(uploaded_to(simulator)) == 2
    for batch in (first, second):
        assert world.flagged(batch.id)
        ids = assert_events_agree(world, batch.id)
        assert len(ids) == len(set(ids))
    assert_nothing_is_open(world)


@pytest.mark.parametrize("flush", [False, True], ids=["lease expired", "Redis empty"])
@pytest.mark.parametrize(("task", "point"), [*CREATE, *UPLOAD], ids=str)
def test_a_worker_that_froze_while_its_job_had_the_slot(
    lenient_world: World, lenient: Simulator, clock: LaterClock, task: str, point: Point, *, flush: bool
) -> None:
    """Others adopt and finish its job, in both contracts; woken, it finds that nothing is left to do."""
    assert_taken_over(lenient_world, lenient, task, point, clock, flush=flush)


@pytest.mark.parametrize("lenient_server", ["cloud-storage"], indirect=True)
@pytest.mark.parametrize(("task", "point"), SESSION, ids=str)
def test_a_worker_that_froze_with_an_upload_session(
    lenient_world: World, lenient: Simulator, clock: LaterClock, task: str, point: Point
) -> None:
    """Two sessions were started, one is recorded, and that is the one that is used."""
    assert_taken_over(lenient_world, lenient, task, point, clock, flush=False)


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
@pytest.mark.parametrize("flush", [False, True], ids=["lease expired", "Redis empty"])
@pytest.mark.parametrize(("task", "point"), BEHIND, ids=str)
def test_a_worker_that_froze_behind_the_upload(
    lenient_world: World, lenient: Simulator, clock: LaterClock, task: str, point: Point, *, flush: bool
) -> None:
    """Wherever it stood, results and events are there once, and the next batch is not disturbed."""
    assert_taken_over(lenient_world, lenient, task, point, clock, flush=flush)


@pytest.mark.parametrize("flush", [False, True], ids=["lease expired", "Redis empty"])
def test_a_worker_that_froze_in_mid_put(
    lenient_world: World, lenient: Simulator, clock: LaterClock, *, flush: bool
) -> None:
    """With bytes on the connection: the next worker sends what X lacks, and the rest of the frozen one's is no harm."""
    batch = lenient_world.producer.enqueue(MANY, "tweets")
    hint = next_hint(lenient_world, task_names.UPLOAD_JOB)
    with frozen_in_mid_upload(lenient_world.workers.ports, hint, after_bytes=1_500_000) as worker:
        if flush:
            lenient_world.workers.coordination.flush()
        else:
            clock.advance(LONG)
        lenient_world.workers.poke(hint.task, *hint.args)
        lenient_world.finish(batch.id)
        before = objects(lenient_world)
        wake(lenient_world, worker)
        lenient_world.workers.run_all()
    assert objects(lenient_world) == before
    assert len(lenient.jobs()) == most_active(lenient) == 1
    assert_events_agree(lenient_world, batch.id)
    assert_nothing_is_open(lenient_world)


@pytest.mark.parametrize("chunk_bytes", [0, 4 * 262_144], ids=["one stream", "chunks"])
def test_two_workers_upload_at_once(
    lenient_world: World, lenient: Simulator, clock: LaterClock, chunk_bytes: int
) -> None:
    """The frozen one goes on while the other is in the middle: X gets every byte once, and no attempt counts."""
    lenient_world.workers.change_limits(upload_chunk_bytes=chunk_bytes)
    batch = lenient_world.producer.enqueue(MANY, "tweets")
    hint = next_hint(lenient_world, task_names.UPLOAD_JOB)
    ports = lenient_world.workers.ports
    with frozen_in_mid_upload(ports, hint, after_bytes=500_000) as zombie:
        clock.advance(LONG)
        with frozen_in_mid_upload(ports, hint, after_bytes=1_500_000) as successor:
            wake(lenient_world, zombie)
            wake(lenient_world, successor)
    lenient_world.finish(batch.id)
    assert attempts(lenient_world, batch.id) == []
    assert len(lenient.jobs()) == most_active(lenient) == 1
    assert [job["received"] for job in lenient.jobs()] == [150_000 * 20]
    assert_events_agree(lenient_world, batch.id)


@pytest.mark.parametrize("lenient_server", ["cloud-storage"], indirect=True)
def test_what_two_workers_sent_is_verified(lenient_world: World, lenient: Simulator, clock: LaterClock) -> None:
    """Neither has seen all bytes leave: the whole payload is compared with what the server says it stored."""
    batch = lenient_world.producer.enqueue(MANY, "tweets")
    hint = next_hint(lenient_world, task_names.UPLOAD_JOB)
    with frozen_in_mid_upload(lenient_world.workers.ports, hint, after_bytes=1_500_000):
        clock.advance(LONG)
        lenient.arm({"on": "upload", "fault": "wrong_hash", "times": 1})
        lenient_world.workers.poke(hint.task, *hint.args)
        lenient_world.finish(batch.id)
    assert [job.status for job in lenient_world.producer.status(batch.id).jobs] == ["abandoned", "complete"]
    assert [attempt.counted for attempt in attempts(lenient_world, batch.id)] == [True]


@pytest.mark.parametrize("lenient_server", ["direct"], indirect=True)
@pytest.mark.parametrize("event", ["/0/0", "/completed"])
def test_copies_of_events_say_the_same(lenient_world: World, clock: LaterClock, event: str) -> None:
    """The queue has forgotten what a frozen publisher's successor put on it: what comes again has the same content."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.PUBLISH_BATCH)
    with frozen(lenient_world.workers.ports, hint, Point("events", "publish", event)) as publisher:
        clock.advance(LONG)
        lenient_world.finish(batch.id)
        first = lenient_world.events()
        lenient_world.workers.events._published.clear()
        wake(lenient_world, publisher)
    assert len(lenient_world.events()) > len(first)
    assert_events_agree(lenient_world, batch.id)
    assert_nothing_is_open(lenient_world)


def test_a_list_that_is_old_by_the_time_of_the_create_is_not_believed(
    lenient_world: World, lenient: Simulator, clock: LaterClock
) -> None:
    """Redis lost the lease, and the batch was cancelled meanwhile: there is a job by now, of the next plan."""
    world = lenient_world
    first = world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(world, task_names.CREATE_JOB)
    ports = replace(world.workers.ports, clock=clock)
    with frozen(ports, hint, Point("store", "create", "creating-000", "after")) as creator:
        clock.advance(2.0)  # no lease runs out in so short a time
        world.workers.coordination.flush()
        world.producer.cancel(first.id)
        second = world.producer.enqueue(POSTS[:5000], "tweets")
        world.workers.run_until(lambda: created(world, 2) is not None)
        wake(world, creator)
    world.finish(second.id)
    assert most_active(lenient) == len(lenient.jobs()) == 1


SENT = {
    "cloud-storage": Point("x", "create_job"),
    "direct": Point("x", "create_job", "False"),  # without `resumable`, which X has refused
}
"""A create that cannot be called back any more."""


def test_a_creator_that_froze_before_it_asked_makes_a_stray(
    lenient_world: World, lenient: Simulator, clock: LaterClock
) -> None:
    """X takes its late request where nothing is active: the job is known by its name, and nothing is uploaded to it."""
    world = lenient_world
    batch = world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(world, task_names.CREATE_JOB)
    with frozen(world.workers.ports, hint, SENT[contract_of(lenient)]) as creator:
        clock.advance(LONG)
        world.finish(batch.id)
        with capture_logs() as logs:
            wake(world, creator)
    ours, stray = lenient.jobs()
    assert ours["name"] == stray["name"]
    assert [line["remote"] for line in logs if line["event"] == "stray_job"] == [stray["remote_id"]]
    after = world.producer.enqueue(POSTS[:100], "tweets")
    if stray["status"] == "created":  # X cannot cancel it: it is waited for, and expires
        world.workers.run_until(lambda: world.workers.coordination.jobs[TWEETS].phase == "waiting_for_foreign_job")
        assert len(lenient.jobs()) == 2
        lenient.advance_clock(16 * 60)
    world.finish(after.id)
    assert most_active(lenient) == 1
    assert stray["remote_id"] not in uploaded_to(lenient)
    assert_events_agree(world, batch.id)


def test_a_creator_that_froze_before_it_asked_is_refused_by_x(
    world: World, simulator: Simulator, clock: LaterClock
) -> None:
    """While another job is active X answers 409 to the late request, and there is no stray."""
    world.workers.coordination.now = clock.monotonic
    first = world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(world, task_names.CREATE_JOB)
    with frozen(world.workers.ports, hint, SENT[contract_of(simulator)]) as creator:
        clock.advance(LONG)
        world.finish(first.id)
        second = world.producer.enqueue(POSTS[:5000], "tweets")
        world.workers.run_until(lambda: created(world, 2) is not None)
        wake(world, creator)
    world.finish(second.id)
    assert refused_creates(simulator) == 1
    assert len(simulator.jobs()) == 2


@pytest.mark.parametrize(
    "point", [Point("remote", "list_jobs", when="after"), Point("coordination", "postpone", "unanswered")], ids=str
)
def test_a_creator_that_knows_how_long_it_froze_does_not_ask(
    lenient_world: World, lenient: Simulator, clock: LaterClock, point: Point
) -> None:
    """Its lease has run out by its own clock: it sends no create, so there is no stray at all."""
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.CREATE_JOB)
    with frozen(replace(lenient_world.workers.ports, clock=clock), hint, point) as creator:
        clock.advance(LONG)
        lenient_world.finish(batch.id)
        wake(lenient_world, creator)
    assert len(lenient.jobs()) == 1


ABOUT_TO_SEND = {
    "cloud-storage": Point("store", "create", "session-000", "after"),
    "direct": Point("remote", "get_job", when="after"),
}
SURPRISES = {
    "cloud-storage": {"on": "upload", "fault": "wrong_hash", "times": 1},
    "direct": {"on": "upload", "fault": "status", "status": 413, "times": 1},
}


def test_what_surprises_a_replaced_uploader_is_no_corruption(
    lenient_world: World, lenient: Simulator, clock: LaterClock
) -> None:
    """Its successor has got the upload through: the job is neither cancelled nor given up, and no attempt counts."""
    lenient.arm({"on": "job", "fault": "stuck", "times": 1})
    batch = lenient_world.producer.enqueue(POSTS, "tweets")
    hint = next_hint(lenient_world, task_names.UPLOAD_JOB)
    with frozen(lenient_world.workers.ports, hint, ABOUT_TO_SEND[contract_of(lenient)]) as zombie:
        clock.advance(LONG)
        lenient_world.workers.poke(hint.task, *hint.args)
        lenient_world.workers.run_until(lambda: has_job_fact(lenient_world, "uploaded"))
        lenient.arm(SURPRISES[contract_of(lenient)])
        with capture_logs() as logs:
            wake(lenient_world, zombie)
    assert lenient.armed() == []
    assert "upload_abandoned" not in [line["event"] for line in logs]
    assert [job["status"] for job in lenient.jobs()] == ["in_progress"]
    assert attempts(lenient_world, batch.id) == []


def test_a_replaced_uploader_does_not_give_up_what_its_successor_sends(
    lenient_world: World, lenient: Simulator, clock: LaterClock
) -> None:
    """It looks at its lease before it decides anything; the one that has the lease goes on to the end."""
    batch = lenient_world.producer.enqueue(MANY, "tweets")
    hint = next_hint(lenient_world, task_names.UPLOAD_JOB)
    ports = lenient_world.workers.ports
    with frozen(replace(ports, clock=clock), hint, ABOUT_TO_SEND[contract_of(lenient)]) as zombie:
        clock.advance(100)
        with frozen_in_mid_upload(ports, hint, after_bytes=1_500_000) as successor:
            for operation in ("query", "upload"):
                lenient.arm({"on": operation, "fault": "status", "status": 413, "times": 1})
            wake(lenient_world, zombie)
            lenient.disarm()
            assert not has_job_fact(lenient_world, "uploaded")
            wake(lenient_world, successor)
    lenient_world.finish(batch.id)
    assert attempts(lenient_world, batch.id) == []
    assert len(lenient.jobs()) == 1
