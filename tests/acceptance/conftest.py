"""What all acceptance tests share: the broker that `--broker` names."""

import pytest

from support.real_workers import usual_broker


@pytest.fixture(autouse=True)
def _broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = request.config.getoption("broker")
    if wanted == "rabbitmq" and not request.node.get_closest_marker("redis_broker"):
        monkeypatch.setattr(usual_broker, "url", request.getfixturevalue("rabbitmq_server").url)
