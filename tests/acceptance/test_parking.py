"""Real workers and a job that kills the process of every worker that touches it: parked, told, released."""

from collections.abc import Iterator

import pytest

from complyq_producer import task_names
from complyq_producer.layout import open_jobs
from complyq_producer.model import BatchState, ComplianceType
from complyq_workers.coordination import RedisCoordination
from complyq_workers.failpoints import Action, When
from complyq_workers.pipeline import Hint
from complyq_workers.pipeline.step import MAX_STARTS
from support.failpoint_checks import assert_one_job_at_a_time
from support.failpoint_site import Site, Sites, await_death
from support.real_workers import wait_for_end, wait_until

POSTS = range(10**18, 10**18 + 2_000)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Sites]:
    """The running installations of this test process."""
    sites = Sites(tmp_path_factory.mktemp("sites"), redis_server)
    yield sites
    sites.close()


@pytest.fixture
def site(sites: Sites) -> Iterator[Site]:
    """An installation whose jobs can be cancelled."""
    with sites.use("direct") as site:
        yield site


def test_a_job_that_kills_every_worker_is_parked_and_runs_once_released(site: Site) -> None:
    """Five processes die of it and no sixth; the worker lives, others get the slot, an event tells people."""
    worker = site.worker or site.start_worker()
    killing = site.points.arm("x.put_whole", when=When.BEFORE, hit="every", then=Action.KILL_PROCESS)
    batch = site.producer.enqueue(POSTS, "tweets", name="poison")
    wait_until(lambda: bool(site.producer.parked()))
    reached = [(each.name, each.when) for each in site.points.reached() if each.armed == killing.id]
    assert reached.count((killing.at, When.BEFORE)) == MAX_STARTS
    (work,) = site.producer.parked()
    assert (work.batch_id, work.step) == (batch.id, "upload_job")

    site.points.disarm()
    other = site.producer.enqueue(POSTS[:100], "tweets")
    assert wait_for_end(site.producer, other.id).state is BatchState.COMPLETED
    assert [event["id"] for event in site.events(batch.id)] == [f"{batch.id}/parked/{work.plan}"]
    release(site, batch.id)
    assert worker.is_alive


@pytest.mark.parametrize("name", ["store.create.parked", "store.create.attempt", "events.publish.parked"])
def test_a_worker_killed_while_it_parks_is_replaced(site: Site, name: str) -> None:
    """The next one goes on from the facts: parked once, told once, and released it runs."""
    worker = site.worker or site.start_worker()
    prefix = open_jobs(ComplianceType.TWEETS)
    plan = 1 + max([int(info.key.removeprefix(prefix)) for info in site.store.list(prefix)], default=0)
    crash(site, Hint(task_names.UPLOAD_JOB, ("tweets", plan)))
    site.points.arm(name, then=Action.KILL_WORKER)
    batch = site.producer.enqueue(POSTS, "tweets")
    await_death(worker, site, name)
    site.start_worker()
    wait_until(lambda: bool(site.events(batch.id)))
    (work,) = site.producer.parked()
    assert (work.batch_id, work.plan) == (batch.id, plan)
    release(site, batch.id)
    ids = [event["id"] for event in site.events(batch.id)]
    assert ids.count(f"{batch.id}/parked/{plan}") == 1
    assert len(ids) == len(set(ids))


def crash(site: Site, hint: Hint) -> None:
    """Begin a step as workers do that die of it."""
    settings = site.running.environment
    coordination = RedisCoordination(settings["COMPLYQ_REDIS_URL"], settings["COMPLYQ_NAMESPACE"])
    for number in range(MAX_STARTS):
        wait_until(lambda number=number: bool(coordination.take_step(hint.step, f"dead {number}", 0.001)))  # type: ignore[misc]


def release(site: Site, batch_id: str) -> None:
    """Release a batch, and wait until its end is told; X never had two active jobs."""
    assert len(site.producer.release(batch_id)) == 1
    assert wait_for_end(site.producer, batch_id).state is BatchState.COMPLETED
    wait_until(lambda: site.events(batch_id)[-1]["id"] == f"{batch_id}/completed")
    assert len(list(site.producer.results(batch_id))) == site.producer.status(batch_id).flagged > 0
    assert_one_job_at_a_time(site)
