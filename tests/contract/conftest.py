"""Each implementation in turn."""

from collections.abc import Iterator

import pytest

from support.coordinations import Case, memory_case, redis_case


@pytest.fixture(params=["memory", "redis"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Every coordination, empty."""
    if request.param == "memory":
        with memory_case() as memory:
            yield memory
        return
    with redis_case(request.getfixturevalue("redis_server")) as real:
        yield real
