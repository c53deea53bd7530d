"""A simulator of each contract for clients that others wrote."""

from collections.abc import Iterator

import pytest
import requests

from support.simulator_process import Simulator, running_simulator


@pytest.fixture(params=["cloud-storage", "direct"])
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """Run an X of each contract in turn."""
    with running_simulator(contract=request.param) as running:
        yield running


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Run an X whose bytes go to Cloud Storage."""
    with running_simulator() as running:
        yield running


@pytest.fixture
def direct() -> Iterator[Simulator]:
    """Run an X that takes the bytes itself."""
    with running_simulator(contract="direct") as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A connection pool that takes nothing from the environment."""
    with requests.Session() as made:
        made.trust_env = False
        yield made
