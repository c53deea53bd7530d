"""A worker dies at each of its side effects, the first and the second time: another carries on, and nobody can tell."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from complyq_producer.layout import BatchKeys
from complyq_producer.model import ComplianceType, new_batch_id
from complyq_producer.replays import Replays
from complyq_workers.failpoints import Action, When
from complyq_workers.failpoints.ports import STEPS
from support.broker_entries import Broker, entry
from support.failpoint_cases import (
    CASES,
    CHUNKED,
    DIRECT,
    MERGED,
    OF_REPLAYS,
    PAGED,
    PLAIN,
    WITH_OTHERS,
    Journey,
    Submitted,
)
from support.failpoint_checks import assert_exact, assert_nothing_unforeseen, nothing_is_open
from support.failpoint_site import PATIENCE, Site, Sites, await_death
from support.real_workers import wait_until

pytestmark = pytest.mark.timeout(4 * PATIENCE)

TWEETS = ComplianceType.TWEETS
EIGHT_DAYS = 8 * 86_400

FIRST = {name: journey for name, journey in CASES.items() if name.startswith("coordination.take_step.")}
"""What a step does first. The rest is told by what comes after the side effect before."""

CRASHES = {
    **FIRST,
    "store.create.plan": PLAIN,
    "store.create_from.payload": MERGED,
    "x.create_job": PLAIN,
    "x.send_chunk": CHUNKED,
    "x.put_whole": DIRECT,
    "store.create_from.results": PLAIN,
    "events.publish.results": PLAIN,
    "coordination.end_step.collect_job": PLAIN,
}

ENDS = {f"coordination.end_step.{step}" for step in STEPS}

FREEZES = {
    "store.create.plan": PLAIN,
    "store.create_from.payload": MERGED,
    "store.create.merged": MERGED,
    "store.create.created": PLAIN,
    "x.start_session": PLAIN,
    "store.create.session": PLAIN,
    "x.send_chunk": CHUNKED,
    "x.put_whole": DIRECT,
    "store.create.uploaded": PLAIN,
    "store.create.finished": PLAIN,
    "coordination.release_slot": PLAIN,
    "store.create_from.results": PLAIN,
    "store.create.page": PAGED,
    "store.create.collected": PLAIN,
    "store.create.outcome": PLAIN,
    "events.publish.results": PLAIN,
    "events.publish.completed": PLAIN,
    "store.delete.open_batch": PLAIN,
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Sites]:
    """The running installations of this test process."""
    sites = Sites(tmp_path_factory.mktemp("sites"), redis_server)
    yield sites
    sites.close()


@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_a_worker_killed_after_a_side_effect_is_replaced(sites: Sites, name: str, hit: int) -> None:
    """Exact results, each event once, no job more than without the death."""
    kill_and_replace(sites, CASES[name], name, hit=hit)


@pytest.mark.parametrize("moment", WITH_OTHERS)
def test_a_worker_killed_at_a_job_of_several_batches_is_replaced(sites: Sites, moment: str) -> None:
    """Each batch gets its own results, also where a job was split, or made ready while another one ran."""
    name, journey, hit = WITH_OTHERS[moment]
    kill_and_replace(sites, journey, name, hit=hit, times=1)


@pytest.mark.parametrize("name", FIRST)
def test_a_worker_killed_before_its_first_side_effect_is_replaced(sites: Sites, name: str) -> None:
    """The message that it had taken is not needed."""
    kill_and_replace(sites, FIRST[name], name, when=When.BEFORE)


def test_a_worker_killed_before_it_asks_for_a_job_is_replaced(sites: Sites) -> None:
    """Nobody can tell whether it had asked: the next one waits, looks, and asks."""
    kill_and_replace(sites, PLAIN, "x.create_job", when=When.BEFORE)


def kill_and_replace(
    sites: Sites, journey: Journey, name: str, *, hit: int = 1, when: When = When.AFTER, times: int | None = None
) -> None:
    """Run a journey on which the worker dies at a failpoint and another carries on."""
    times = times or hit
    with sites.use(journey.contract, journey.processing_seconds) as site:
        worker, jobs = site.worker or site.start_worker(), site.jobs_made()
        site.points.arm(name, when=when, hit=hit, then=Action.KILL_WORKER)
        submitted = journey.begin(site, times)
        await_death(worker, site, name)
        site.start_worker()
        journey.go_on(site, submitted)
        assert_exact(site, journey, submitted)
        assert site.jobs_made() - jobs == journey.jobs(times)


@pytest.mark.parametrize("name", CRASHES)
def test_a_step_that_crashes_its_process_once_is_done_by_another(sites: Sites, name: str) -> None:
    """The worker lives on and needs no help."""
    journey = CRASHES[name]
    with sites.use(journey.contract) as site:
        worker, jobs = site.worker or site.start_worker(), site.jobs_made()
        site.points.arm(name, then=Action.KILL_PROCESS)
        submitted = journey.begin(site, 1)
        wait_until(lambda: any(each.name == name for each in site.points.reached()), PATIENCE)
        assert_exact(site, journey, submitted)
        assert site.jobs_made() - jobs == journey.jobs(1)
        assert worker.is_alive


@pytest.mark.parametrize("name", FREEZES)
def test_a_process_frozen_before_a_side_effect_does_no_harm_when_it_wakes(sites: Sites, name: str) -> None:
    """Its lease is gone and others have done its work: what it still does changes nothing."""
    journey = FREEZES[name]
    with sites.use(journey.contract) as site:
        jobs = site.jobs_made()
        submitted, frozen = freeze(site, journey, name)
        assert_exact(site, journey, submitted)
        wake(site, frozen)
        assert_exact(site, journey, submitted)
        assert site.jobs_made() - jobs == journey.jobs(1)


def freeze(site: Site, journey: Journey, name: str) -> tuple[list[Submitted], int]:
    """Begin a journey and freeze the first process that comes by a failpoint; return its id too."""
    if site.worker is None:
        site.start_worker()
    site.points.arm(name, when=When.BEFORE, then=Action.STOP_PROCESS)
    submitted = journey.begin(site, 1)
    wait_until(lambda: bool(pids_at(site, name)), PATIENCE)
    return submitted, pids_at(site, name)[0]


def pids_at(site: Site, name: str) -> list[int]:
    """The processes that came to a failpoint, before its side effect."""
    return [each.pid for each in site.points.reached() if (each.name, each.when) == (name, When.BEFORE)]


def wake(site: Site, process: int) -> None:
    """Wake a frozen process, and wait until it has come to the end of its step."""
    known = len(site.points.reached())
    os.kill(process, signal.SIGCONT)
    wait_until(
        lambda: any(each.pid == process and each.name in ENDS for each in site.points.reached()[known:]), PATIENCE
    )


@pytest.mark.parametrize("hit", [1, 2])
def test_a_worker_killed_while_it_deletes_abandoned_staging_is_replaced(sites: Sites, hit: int) -> None:
    """Nothing stays of it in the end."""
    with sites.use(PLAIN.contract) as site:
        worker = site.worker or site.start_worker()
        site.points.arm("store.delete.ids", hit=hit, then=Action.KILL_WORKER)
        keys = abandoned_staging(site)
        await_death(worker, site, "store.delete.ids")
        site.start_worker()
        wait_until(lambda: not list(site.store.list(keys.folder)))
        wait_until(lambda: keys.open_marker(TWEETS) not in site.open_markers())
        assert_nothing_unforeseen(site)


@pytest.mark.redis_broker  # RabbitMQ puts them aside itself
@pytest.mark.parametrize("hit", [1, 2])
def test_a_worker_killed_while_it_puts_malformed_messages_aside_is_replaced(sites: Sites, hit: int) -> None:
    """Each is kept once, and keeps nobody from working."""
    with sites.use(PLAIN.contract) as site:
        worker, broker = site.worker or site.start_worker(), Broker.of(site.running)
        site.points.arm("messages.bury", hit=hit, then=Action.KILL_WORKER)
        known = len(broker.dead_letters())
        for _ in range(hit):
            broker.put(entry("complyq.nothing"))
        await_death(worker, site, "messages.bury")
        site.start_worker()
        assert_exact(site, PLAIN, PLAIN.begin(site, 1))
        assert len(broker.dead_letters()) - known == hit


@pytest.mark.parametrize("hit", [1, 2])
def test_a_worker_killed_while_it_proves_its_store_is_replaced(sites: Sites, hit: int) -> None:
    """It leaves nothing that keeps others from starting: a whole `complyq worker`, as operators run it."""
    with sites.use(PLAIN.contract) as site:
        site.stop()
        site.points.arm("store.verify", hit=hit, then=Action.KILL_WORKER)
        starting = [site.running.start_worker() for _ in range(hit)]
        wait_until(lambda: any(process.poll() is not None for process in starting))
        site.running.start_worker()
        assert_exact(site, PLAIN, PLAIN.begin(site, 1))
        site.running.stop()


@pytest.mark.parametrize("name", OF_REPLAYS)
def test_a_worker_killed_while_it_publishes_again_is_replaced(sites: Sites, name: str) -> None:
    """One copy of each event comes, with the same content, however far the first worker had come."""
    with sites.use(PLAIN.contract) as site:
        worker = site.worker or site.start_worker()
        [batch] = PLAIN.begin(site, 1)
        assert_exact(site, PLAIN, [batch])
        first = site.events(batch.id)
        replays = Replays(site.store, site.producer._poke)
        site.points.arm(name, then=Action.KILL_WORKER)
        replay_id = replays.ask([batch.id])
        await_death(worker, site, name)
        site.start_worker()
        wait_until(lambda: replays.progress(replay_id).finished, PATIENCE)
        wait_until(lambda: nothing_is_open(site), PATIENCE)
        assert site.events(batch.id) == first * 2
        assert_nothing_unforeseen(site)


def abandoned_staging(site: Site) -> BatchKeys:
    """What a producer leaves that died long ago."""
    keys = BatchKeys(new_batch_id())
    names = [keys.ids(0), keys.ids(1), keys.open_marker(TWEETS)]
    then = time.time() - EIGHT_DAYS
    for name in names:  # the marker last: a sweep looks at nothing else
        site.store.create(name, b"")
        os.utime(site.running.folder / "store" / name, (then, then))
    return keys
