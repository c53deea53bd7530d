"""Sealing: who can read the store cannot use what is sealed, and a lost key is said to be one."""

import pytest

from complyq_config.errors import ConfigurationError
from complyq_config.settings import Settings, load_settings
from complyq_workers.sealing import Sealer, UnsealError, sealer_of

URI = "https://storage.googleapis.com/b/o?upload_id=AAAxyz0123456789"


def settings_with(**secrets: str) -> Settings:
    """Settings with these secrets and no others."""
    return load_settings(**({"bearer_token": None, "api_key": None, "api_secret": None, "seal_key": None} | secrets))


def test_what_is_sealed_can_be_opened_with_the_same_secret_only() -> None:
    """Any worker of the installation opens it; nobody else learns a thing, not even that two texts are the same."""
    sealed = Sealer("bearer-1").seal(URI)
    assert Sealer("bearer-1").unseal(sealed) == URI
    assert "storage" not in sealed
    assert sealed != Sealer("bearer-1").seal(URI)
    with pytest.raises(UnsealError, match="COMPLYQ_SEAL_KEY"):
        Sealer("bearer-2").unseal(sealed)


@pytest.mark.parametrize("damage", ["", "x", "\N{EURO SIGN}", URI])
def test_what_was_damaged_is_not_opened(damage: str) -> None:
    """Changed, cut or replaced: it is an error that the steps know."""
    sealed = Sealer("bearer-1").seal(URI)
    for text in (damage, sealed[:-8] + damage, damage + sealed[1:]):
        with pytest.raises(UnsealError) as caught:
            Sealer("bearer-1").unseal(text)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("secrets", "key"),
    [
        ({"seal_key": "seal-key", "bearer_token": "bearer-1"}, "seal-key"),
        ({"bearer_token": "bearer-1"}, "bearer-1"),
        ({"api_key": "api-key", "api_secret": "api-secret"}, "api-secret"),
    ],
)
def test_the_key_comes_from_the_settings(secrets: dict[str, str], key: str) -> None:
    """A key of its own where there is one, so that the bearer may be rotated; else what the workers share anyway."""
    assert Sealer(key).unseal(sealer_of(settings_with(**secrets)).seal(URI)) == URI


def test_without_any_secret_nothing_is_sealed() -> None:
    """A worker that could not seal does not start."""
    with pytest.raises(ConfigurationError, match="COMPLYQ_BEARER_TOKEN"):
        sealer_of(settings_with())
