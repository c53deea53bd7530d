"""What keeps steps apart: leases, due times, words that were left, and a worker that shuts down."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from complyq_producer import task_names
from complyq_workers import preemption
from complyq_workers.pipeline import Hint, Outcome, StepLease
from complyq_workers.pipeline.lease import LONGEST_SECONDS, LeaseLostError
from complyq_workers.pipeline.step import done, run_step
from complyq_workers.preemption import PreemptedError
from support.quiet_world import QuietWorld

Action = Callable[[StepLease, int], Outcome]
HINT = Hint(task_names.PLAN, ("tweets",))
SECONDS = 30.0


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """Somewhere to run steps."""
    return QuietWorld(tmp_path)


@pytest.fixture
def lease(world: QuietWorld) -> StepLease:
    """A lease that was taken."""
    lease = StepLease(world.ports.coordination, world.ports.clock, HINT.step, SECONDS)
    assert lease.take() == 1
    return lease


@pytest.fixture(autouse=True)
def _nobody_shuts_down() -> Iterator[None]:
    """Take back what a test began."""
    yield
    preemption._INSTANT.pack_into(preemption._shared, 0, 0.0)


def counting(runs: list[str]) -> Action:
    """A step that only says that it ran."""

    def act(lease: StepLease, _: int) -> Outcome:
        runs.append(lease.name)
        return done()

    return act


def running(world: QuietWorld, runs: list[str]) -> Action:
    """A step during which a hint at the same step comes."""

    def act(_: StepLease, __: int) -> Outcome:
        return run_step(world.ports, HINT, counting(runs))

    return act


def test_a_step_that_is_under_way_is_not_run_again(world: QuietWorld) -> None:
    """A message that came twice is dropped while the first is worked on."""
    runs: list[str] = []
    run_step(world.ports, HINT, running(world, runs))
    assert runs == []


def test_a_step_that_was_asked_for_while_it_ran_runs_once_more(world: QuietWorld) -> None:
    """What the hint is about may have come after the step's look at it."""
    assert run_step(world.ports, HINT, running(world, [])).again_in == 0.0
    assert run_step(world.ports, HINT, counting([])).again_in is None


def test_a_step_that_is_not_due_drops_a_hint(world: QuietWorld) -> None:
    """Otherwise each message would ask X once more."""
    runs: list[str] = []
    world.ports.coordination.postpone(HINT.step, 100)
    assert run_step(world.ports, HINT, counting(runs)) == Outcome()
    world.world.pass_time(101)
    run_step(world.ports, HINT, counting(runs))
    assert runs == [HINT.step]


def test_a_step_that_takes_longer_than_its_lease_keeps_it(world: QuietWorld) -> None:
    """It is renewed for as long as the step runs, and no longer."""
    kept: list[StepLease] = []

    @contextmanager
    def keep(lease: StepLease) -> Iterator[None]:
        kept.append(lease)
        yield
        kept.clear()

    def act(lease: StepLease, _: int) -> Outcome:
        assert kept == [lease]
        return done()

    assert run_step(replace(world.ports, keep_lease=keep), HINT, act) == Outcome()
    assert kept == []


def test_a_lease_that_somebody_else_has_stops_the_step(world: QuietWorld, lease: StepLease) -> None:
    """It ran out, another worker took it, and the next renewal tells."""
    world.world.pass_time(SECONDS + 1)
    assert StepLease(world.ports.coordination, world.ports.clock, HINT.step, SECONDS).take() == 2
    lease.check()
    assert not lease.renew()
    with pytest.raises(LeaseLostError):
        lease.check()


def test_a_step_that_hangs_loses_its_lease(world: QuietWorld, lease: StepLease) -> None:
    """Its worker lives and would renew it for ever; nobody else could do the step."""
    while world.world.now < LONGEST_SECONDS:
        assert lease.renew()
        world.world.pass_time(lease.renewal_seconds)
    assert not lease.renew()
    with pytest.raises(LeaseLostError):
        lease.check()


def test_who_froze_is_not_sure_of_its_lease(world: QuietWorld, lease: StepLease) -> None:
    """Nothing told it yet that the lease is lost; what cannot be taken back it does not do."""
    lease.check_sure()
    world.world.pass_time(SECONDS + 1)
    lease.check()
    with pytest.raises(LeaseLostError):
        lease.check_sure()


def test_who_froze_is_not_sure_of_a_lease_that_it_has_again(world: QuietWorld, lease: StepLease) -> None:
    """Somebody else may have had it in between, and given it back."""
    world.world.pass_time(SECONDS + 1)
    assert lease.renew()
    lease.check()
    with pytest.raises(LeaseLostError):
        lease.check_sure()


def test_a_step_stops_when_its_worker_shuts_down(lease: StepLease) -> None:
    """It checkpoints before it is killed."""
    lease.check()
    preemption.begin(0)
    with pytest.raises(PreemptedError):
        lease.check()


def test_a_step_that_may_end_in_time_is_let_end(lease: StepLease) -> None:
    """The grace period has only begun."""
    preemption.begin(1000)
    assert preemption.has_begun()
    lease.check()
