"""docker-compose.yml, as compose reads it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from complyq_config.settings import Settings, is_secret, variable

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
WORKERS = ("worker", "control", "simulated-worker", "simulated-control")
LOOKING = ("metrics", "flower", "dashboard")


@pytest.mark.parametrize("name", WORKERS)
def test_workers_get_every_setting(name: str) -> None:
    """A setting that an operator puts into .env reaches the workers."""
    assert {variable(field) for field in Settings.model_fields} <= SERVICES[name]["environment"].keys()


def test_every_setting_is_in_the_example() -> None:
    """Whoever copies .env.example finds all settings there."""
    example = (ROOT / ".env.example").read_text()
    assert [name for name in map(variable, Settings.model_fields) if f"\n{name}=" not in example] == []


@pytest.mark.parametrize("name", LOOKING)
def test_what_only_looks_has_no_credential_of_x(name: str) -> None:
    """Pages and metrics cannot leak the bearer, which they do not have."""
    of_x = {"COMPLYQ_BEARER_TOKEN", "COMPLYQ_API_KEY", "COMPLYQ_API_SECRET", "COMPLYQ_SEAL_KEY"}
    assert {name for name in of_x if is_secret(name.removeprefix("COMPLYQ_").lower())} == of_x
    assert not of_x & SERVICES[name]["environment"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_confined(name: str) -> None:
    """No service has more rights than it needs, and only this machine reaches what is published."""
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] or name == "rabbitmq"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
