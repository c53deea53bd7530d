"""The tools of the soak do what they are told: schedules repeat, S3 misbehaves, processes come back."""

import time
from pathlib import Path

import pytest

from complyq_producer.errors import StoreUnavailableError
from complyq_producer.store.s3 import S3Store
from soak.crew import running_crew
from soak.faults import FAULTS, schedule
from soak.s3_proxy import Weather, running_s3_proxy
from support.s3_server import S3Server


def test_a_seed_draws_the_same_faults_again() -> None:
    """What a seed struck once it strikes again; another seed strikes otherwise."""
    first, again, other = (schedule(seed, 600, pause=2, in_s3=True) for seed in ("1", "1", "2"))
    assert first == again
    assert first != other
    assert 900 < len(first) < 1200
    assert {strike.fault for strike in first} == set(FAULTS)


def test_s3_is_as_good_as_the_weather(s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calm it does everything, busy it does nothing, mute it does what it is told and does not say so."""
    weather = Weather()
    with running_s3_proxy(s3_environment.endpoint, weather) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = S3Store(s3_environment.bucket, "weather")
        assert store.create("calm", b"1")
        weather.busy = 1.0
        with pytest.raises(StoreUnavailableError):
            store.info("calm")
        weather.calm()
        weather.mute = 1.0
        with pytest.raises(StoreUnavailableError):
            store.create("mute", b"2")
        weather.calm()
        assert [info.key for info in store.list("")] == ["calm", "mute"]
        store.close()


def test_a_crew_starts_again_what_died(tmp_path: Path) -> None:
    """What dies comes back at once, what was meant to be away when it is brought back; nothing is left at the end."""
    with running_crew({"PYTHONPATH": str(Path(__file__).parents[1])}, tmp_path / "log") as crew:
        member = crew.add("http.server", "--bind", "127.0.0.1", "0")
        [first] = crew.tree(member)
        first.kill()
        while not crew.deaths:
            crew.tend()
            time.sleep(0.01)
        [second] = crew.tree(member)
        assert second.pid != first.pid
        crew.kill(member)
        crew.tend()
        assert crew.tree(member) == []
        crew.bring_back(member)
        [third] = crew.tree(member)
    assert not third.is_running()
