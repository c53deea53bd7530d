"""Worlds in both contracts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.frozen import LaterClock
from support.simulator_process import Simulator, running_simulator
from support.simulator_since import SimulatorSince
from support.world import World, world_of


@pytest.fixture(params=["cloud-storage", "direct"])
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """Run a simulator of each contract in turn."""
    with running_simulator(contract=request.param, processing_seconds=0.1, rate_limit=100_000) as running:
        yield running


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Run a simulator of the Cloud Storage contract."""
    with running_simulator(contract="cloud-storage", processing_seconds=0.1, rate_limit=100_000) as running:
        yield running


@pytest.fixture
def direct() -> Iterator[Simulator]:
    """Run a simulator of the direct contract."""
    with running_simulator(contract="direct", processing_seconds=0.1, rate_limit=100_000) as running:
        yield running


@pytest.fixture
def world(simulator: Simulator, tmp_path: Path) -> Iterator[World]:
    """A world for each contract in turn."""
    yield from world_of(simulator, tmp_path)


@pytest.fixture
def cloud_world(cloud: Simulator, tmp_path: Path) -> Iterator[World]:
    """A world with Cloud Storage."""
    yield from world_of(cloud, tmp_path)


@pytest.fixture
def direct_world(direct: Simulator, tmp_path: Path) -> Iterator[World]:
    """A world with the direct contract."""
    yield from world_of(direct, tmp_path)


@pytest.fixture(scope="module", params=["cloud-storage", "direct"])
def lenient_server(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """Run an X of each contract in turn that never answers 409: a broken slot cannot hide behind it."""
    with running_simulator(
        contract=request.param, processing_seconds=0.1, rate_limit=100_000, allow_concurrent_jobs=True
    ) as running:
        yield running


@pytest.fixture
def lenient(lenient_server: Simulator) -> Simulator:
    """A lenient X that has forgotten the tests before."""
    return SimulatorSince.now(lenient_server)


@pytest.fixture
def clock() -> LaterClock:
    """The clock of leases, due times and locks."""
    return LaterClock()


@pytest.fixture
def lenient_world(lenient: Simulator, tmp_path: Path, clock: LaterClock) -> Iterator[World]:
    """A world with a lenient X, whose leases end when a test says so."""
    for world in world_of(lenient, tmp_path):
        world.workers.coordination.now = clock.monotonic
        yield world
