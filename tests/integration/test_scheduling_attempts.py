"""Who is to blame for a failed job: a poisonous batch is found out about, an outage of X fails nobody."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import ceil, log2
from pathlib import Path
from typing import Any, cast

import pytest

from complyq_producer import Batch
from complyq_producer.facts import PARKED
from complyq_producer.layout import BatchKeys
from complyq_producer.ledger import JobPhase
from complyq_workers.pipeline.blame import PATIENCE
from complyq_workers.pipeline.step import MAX_STARTS
from complyq_workers.x.messages import Reply, Request
from simulation.shape import MAX_ATTEMPTS
from support.crowded_world import ENOUGH_STEPS, FIRST_ID, CrowdedWorld, first_id
from support.quiet_world import DiedError

MINUTE, HOUR = 60.0, 3600.0
GAVE_UP = f"gave up after {MAX_ATTEMPTS} failed jobs; the last one failed: X gave no reason"


def poisoned(spool: Path, *places: int, **shape: Any) -> CrowdedWorld:
    """Make a world in which the batches at some places of a crowd make every job fail."""
    return CrowdedWorld(spool, poison=frozenset(map(first_id, places)), **shape)


def assert_failed_alone(world: CrowdedWorld, batches: Sequence[Batch], *places: int) -> None:
    """Require that these batches failed, for a reason, and all others have their results and nothing against them."""
    for place, batch in enumerate(batches):
        if place in places:
            assert world.states([batch]) == ["failed"]
            assert world.end_of(batch.id)["data"]["error"] == GAVE_UP
            assert len(world.failures(batch.id)) == MAX_ATTEMPTS
        else:
            world.assert_own_results(batch.id)
            assert not world.failures(batch.id)


def come_every(world: CrowdedWorld, seconds: float, count: int) -> list[Batch]:
    """Have batches come one after another; return where they will be found."""
    batches: list[Batch] = []

    def come(number: int) -> None:
        batches.append(world.submit(range(10**9 * number, 10**9 * number + 4)))

    for number in range(1, count + 1):
        world.world.later(seconds * (number - 1), partial(come, number))
    return batches


# A batch is to blame


@pytest.mark.parametrize("place", [0, 7, 20, 39])
def test_a_poisonous_batch_among_many_fails_alone(tmp_path: Path, place: int) -> None:
    """The failed job is halved until it stands alone: two jobs a halving, and its attempts."""
    world = poisoned(tmp_path, place)
    batches = world.crowd(40)
    world.finish_all()
    assert_failed_alone(world, batches, place)
    assert len(world.remote_jobs()) <= 2 * ceil(log2(40)) + MAX_ATTEMPTS


@pytest.mark.parametrize("count", range(2, 10))
def test_a_poisonous_batch_among_few_fails_alone(tmp_path: Path, count: int) -> None:
    """Wherever it is, however few they are."""
    for place in range(count):
        world = poisoned(tmp_path, place)
        batches = world.crowd(count)
        world.finish_all()
        assert_failed_alone(world, batches, place)
        assert len(world.remote_jobs()) <= 2 * ceil(log2(count)) + MAX_ATTEMPTS


@pytest.mark.parametrize("places", [(3, 36), (0, 1), (18, 21)])
def test_two_poisonous_batches_are_both_found(tmp_path: Path, places: tuple[int, int]) -> None:
    """Also in different halves: X is held at fault for it until a job completes, and then it goes on.

    At the end they are alone, and nothing completes but what comes later.
    """
    world = poisoned(tmp_path, *places)
    batches = world.crowd(40)
    come_every(world, HOUR, 24)
    world.run_until(lambda: "open" not in world.states(batches), ENOUGH_STEPS)
    assert_failed_alone(world, batches, *places)
    assert len(world.remote_jobs()) <= 2 * (2 * ceil(log2(40)) + MAX_ATTEMPTS) + 40


def test_what_comes_meanwhile_is_not_held_up(tmp_path: Path) -> None:
    """While forty batches are searched for the poisonous one every other job is for those that came later."""
    world = poisoned(tmp_path, 11)
    batches = world.crowd(40)
    world.run_to("finished")
    late = [world.submit(range(first, first + 3)) for first in (10**9, 2 * 10**9)]
    world.finish_all()
    assert_failed_alone(world, batches, 11)
    carried = world.carried()
    assert {batch.id for batch in late} <= {*carried[1], *carried[2]}
    for batch in late:
        world.assert_own_results(batch.id)


def test_without_merging_a_poisonous_batch_fails_alone(tmp_path: Path) -> None:
    """Its neighbours run between its attempts."""
    world = poisoned(tmp_path, 1, merge=False)
    batches = world.crowd(4)
    world.finish_all()
    assert_failed_alone(world, batches, 1)
    assert len(world.remote_jobs()) == 3 + MAX_ATTEMPTS


@pytest.mark.parametrize("part", [0, 2, 5])
def test_a_large_batch_with_a_poisonous_part_fails_with_what_was_checked(tmp_path: Path, part: int) -> None:
    """It runs over several jobs, beside small ones: its end tells what was found until then, and what was not checked."""
    large, wanted = FIRST_ID + 10_000, range(FIRST_ID + 10_000, FIRST_ID + 10_012)
    world = CrowdedWorld(tmp_path, poison=frozenset({large + 2 * part}), max_upload_bytes=62)
    batch = world.world.producer(world.ports.store).enqueue(wanted, "tweets")
    assert batch.parts == 6
    small = world.crowd(3, size=2)
    world.finish_all()
    for other in small:
        world.assert_own_results(other.id)
        assert not world.failures(other.id)
    assert world.states([batch]) == ["failed"]
    data = world.end_of(batch.id)["data"]
    assert data["unique"] == 12 == data["flagged"] + data["compliant"] + data["rejected"] + data["unchecked"]
    assert data["unchecked"] >= 2
    checked = {item["part"] for item in data["objects"]}
    assert part not in checked
    assert len(checked) == 6 - data["unchecked"] // 2
    assert world.told(batch.id) == world.stored(batch.id)


def test_a_batch_alone_in_the_world_fails_after_its_attempts(tmp_path: Path) -> None:
    """With pauses that grow between them; there is nobody else by whom X could show that it is well."""
    world = poisoned(tmp_path, 0)
    batches = world.crowd(1)
    world.finish_all()
    assert_failed_alone(world, batches, 0)
    ended = [job.finished.recorded_at for job in world.jobs() if job.finished]
    first, second = (plan.recorded_at - end for end, plan in zip(ended, world.plans()[1:], strict=False))
    assert len(ended) == len(world.remote_jobs()) == MAX_ATTEMPTS
    assert (first.total_seconds() >= 30, second.total_seconds() >= 60) == (True, True)


# X is to blame


@pytest.mark.parametrize(("count", "merge"), [(2, True), (3, True), (4, True), (40, True), (2, False), (5, False)])
def test_an_outage_of_x_fails_nobody(tmp_path: Path, count: int, *, merge: bool) -> None:
    """Every job fails for six hours: it is tried less and less often, and all is well soon after the end."""
    world = CrowdedWorld(tmp_path, merge=merge)
    world.world.x_fails_until = ends = 6 * HOUR
    batches = world.crowd(count)
    world.finish_all()
    for batch in batches:
        world.assert_own_results(batch.id)
        assert len(world.failures(batch.id)) < 2
    begun = [job.created_at for job in world.remote_jobs()]
    during = [instant for instant in begun if instant < ends]
    assert during[-1] - during[-2] > during[3] - during[2]
    assert during[-1] - during[-2] >= 10 * MINUTE
    assert len(during) <= 6 * 60 / 10 + 6
    assert world.world.now < ends + 40 * MINUTE
    assert len(begun) - len(during) <= 2 * ceil(log2(count)) + 3


def test_an_outage_while_batches_come_fails_nobody(tmp_path: Path) -> None:
    """One every twenty minutes, the first one alone."""
    world = CrowdedWorld(tmp_path)
    world.world.x_fails_until = 3 * HOUR
    batches = come_every(world, 20 * MINUTE, 6)
    world.run_until(lambda: len(batches) == 6)
    world.finish_all()
    for batch in batches[1:]:
        world.assert_own_results(batch.id)
        assert not world.failures(batch.id)


def test_after_an_outage_a_completed_job_says_that_x_is_well(tmp_path: Path) -> None:
    """From then on jobs carry all that waits again."""
    world = CrowdedWorld(tmp_path)
    world.world.x_fails_until = HOUR
    batches = world.crowd(8)
    world.finish_all()
    at_fault = [job.finished is not None and job.finished.x_at_fault for job in world.jobs()]
    probes = at_fault[at_fault.index(True) + 1 : len(at_fault) - at_fault[::-1].index(True)]
    assert all(probes)
    sizes = list(map(len, world.carried()))
    well = len(at_fault) - at_fault[::-1].index(True)
    assert sizes[well] == 1
    assert max(sizes[well + 1 :]) > 1
    tried = [names[0] for names in world.carried()[at_fault.index(True) + 1 : well]]
    assert len(set(tried)) == min(len(tried), len(batches))


def test_two_poisonous_batches_alone_in_the_world_end_after_a_week(tmp_path: Path) -> None:
    """They look like an outage of X for as long as nothing completes; nobody waits for ever, though."""
    world = poisoned(tmp_path, 0, 1)
    batches = world.crowd(2)
    world.run_until(lambda: len(world.remote_jobs()) > 8, 5000)
    assert world.states(batches) == ["open", "open"]
    world.world.pass_time(PATIENCE.total_seconds())
    world.finish_all()
    assert world.states(batches) == ["failed", "failed"]


# What crashes our own steps


class Deadly:
    """Kills the worker that opens the IDs of a batch while a job is in some phase; it touches nothing any more."""

    def __init__(self, world: CrowdedWorld, batch: Batch, phase: JobPhase) -> None:
        self._world = world
        self._key = BatchKeys(batch.id).ids(0)
        self._phase = phase
        self._is_dead = False
        self.deaths = 0
        self._well = world.ports
        limits = replace(world.ports.limits, lease_seconds=30)
        store, coordination = _Port(self, self._well.store), _Port(self, self._well.coordination)
        world.ports = replace(
            self._well, store=cast("Any", store), coordination=cast("Any", coordination), limits=limits
        )

    def run_until(self, reached: Callable[[], object]) -> None:
        """Run steps until something is true; a new worker follows each that dies."""
        for _ in range(5000):
            if reached():
                return
            try:
                self._world.run_one()
            except DiedError:
                self.deaths += 1
                self._is_dead = False
                self._world.world.pass_time(MINUTE)
        raise AssertionError("not reached")

    def end(self) -> None:
        """Let nobody die of it any more."""
        self._world.ports = self._well

    def let_pass(self, name: str, *args: Any) -> None:
        """Let a call of a worker pass, unless it is dead or dies of it."""
        if name == "open" and args[0] == self._key:
            self._is_dead |= any(job.phase is self._phase for job in self._world.jobs())
        if self._is_dead:
            raise DiedError


class _Port:
    def __init__(self, deadly: Deadly, port: object) -> None:
        self._deadly = deadly
        self._port = port

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._deadly.let_pass(name, *args)
            return attribute(*args, **kwargs)

        return call if callable(attribute) else attribute


@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_batch_that_crashes_collecting_is_parked_alone(tmp_path: Path, place: int) -> None:
    """The job that it shares is split, until nobody else is harmed; released it may be tried again."""
    world = CrowdedWorld(tmp_path)
    batches = world.crowd(6)
    deadly = Deadly(world, batches[place], JobPhase.FINISHED)
    others = [batch for batch in batches if batch is not batches[place]]
    deadly.run_until(lambda: all(world.batch(batch.id).published for batch in others) and world.producer.parked())
    for batch in others:
        world.assert_own_results(batch.id)
        assert not world.batch(batch.id).attempts
    assert {work.batch_id for work in world.producer.parked()} == {batches[place].id}
    assert [attempt.status for attempt in world.attempts(batches[place].id)] == [PARKED]
    assert len(world.remote_jobs()) <= 2 * ceil(log2(6)) + 1
    deadly.end()
    world.producer.release(batches[place].id)
    world.run_until(lambda: world.batch(batches[place].id).published)
    assert world.states([batches[place]]) == ["completed"]


def test_a_batch_that_crashes_merging_is_checked_alone(tmp_path: Path) -> None:
    """The plan is split before it ever was a job; alone it needs no merging."""
    world = CrowdedWorld(tmp_path)
    batches = world.crowd(5)
    deadly = Deadly(world, batches[2], JobPhase.MERGING)
    deadly.run_until(lambda: not list(world.store.list("open/batches/")))
    assert deadly.deaths % MAX_STARTS == 0
    for batch in batches:
        world.assert_own_results(batch.id)
        assert not world.batch(batch.id).attempts
    assert [batches[2].id] in world.carried()


def test_results_that_cannot_be_read_cost_nobody_but_time(tmp_path: Path) -> None:
    """X gives no readable answer to jobs with one of the batches: it alone fails for it."""
    world = CrowdedWorld(tmp_path, direct=True)
    batches = world.crowd(4)
    spoiled = first_id(1)

    def spoil(request: Request) -> Reply:
        job = world.x.job_of(request)
        assert job is not None
        return Reply(404) if spoiled in job.ids else world.x.results(request)

    world.transport.meddle("download", spoil, times=200)
    world.finish_all()
    assert world.states(batches) == ["completed", "failed", "completed", "completed"]
    for batch in batches:
        if batch is not batches[1]:
            world.assert_own_results(batch.id)
            assert not world.failures(batch.id)
