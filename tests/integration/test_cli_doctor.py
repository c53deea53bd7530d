"""`complyq doctor` and `complyq listen` against a real Redis, and the check of credentials against a simulator."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from complyq_config.settings import load_settings
from complyq_workers.check import check_x
from support.command_line import CommandLine
from support.redis_server import RedisServer, running_redis_server
from support.simulator_process import Simulator, running_simulator


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis of this module's own, in memory only."""
    with running_redis_server() as running:
        yield running


@pytest.fixture
def cli(tmp_path: Path, server: RedisServer) -> CommandLine:
    """An installation on that Redis."""
    return CommandLine(tmp_path, {"COMPLYQ_REDIS_URL": server.url, "COMPLYQ_BROKER_URL": server.url})


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulated X that answers a single list call."""
    with running_simulator(rate_limit=1) as running:
        yield running


def findings(cli: CommandLine, **env: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Run the doctor; return its exit code and its findings by check."""
    done = cli.run("doctor", "--json", env=env)
    return done.code, {line["check"]: line for line in done.lines()}


def test_doctor_finds_a_fit_installation_fit(cli: CommandLine) -> None:
    """Redis, broker, store, results queue and spool folder are ok; what a restart of Redis costs is a warning."""
    _, found = findings(cli)
    fit = {"Redis", "Redis eviction", "Broker", "Store", "Results queue", "Spool folder"}
    assert {name for name in fit if found[name]["verdict"] == "ok"} == fit
    assert found["Redis persistence"]["verdict"] == "warning"
    assert "appendonly yes" in found["Redis persistence"]["mend"]


def test_doctor_leaves_no_probe_in_the_store(cli: CommandLine) -> None:
    """Looking changes nothing."""
    findings(cli)
    assert [path for path in cli.store.rglob("*") if path.is_file()] == []


def test_doctor_says_how_to_mend_what_is_away(tmp_path: Path) -> None:
    """Without any server it ends with 1 and names the variables, for people as for programs."""
    cli = CommandLine(tmp_path)
    code, found = findings(cli)
    assert code == 1
    for name in ("Redis", "Broker", "Results queue"):
        assert found[name]["verdict"] == "failed"
        assert "COMPLYQ_" in found[name]["mend"]
    shown = cli.run("doctor")
    assert shown.code == 1
    assert "checks failed" in shown.out


def test_doctor_shows_no_password(cli: CommandLine) -> None:
    """URLs are shown without what stands before the host."""
    url = "redis://user:geheim@127.0.0.1:1/0"
    done = cli.run("doctor", env={"COMPLYQ_REDIS_URL": url, "COMPLYQ_BROKER_URL": url, "COMPLYQ_EVENTS_URL": url})
    assert "geheim" not in done.out + done.err
    assert done.code == 1


def test_doctor_refuses_a_redis_that_evicts(cli: CommandLine, server: RedisServer) -> None:
    """A Redis that drops keys when it is full would drop messages."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            code, found = findings(cli)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert code == 1
    assert found["Redis eviction"]["verdict"] == "failed"


def test_doctor_refuses_a_results_queue_that_is_none(cli: CommandLine, server: RedisServer) -> None:
    """A key of another type under the stream's name is found before events are lost."""
    with redis.Redis.from_url(server.url) as client:
        client.set("taken", "by somebody else")
    code, found = findings(cli, COMPLYQ_EVENTS_URL=f"{server.url}?stream=taken")
    assert (code, found["Results queue"]["verdict"]) == (1, "failed")


def test_doctor_names_a_store_that_cannot_be_written(cli: CommandLine) -> None:
    """The reason and the variable stand in the finding."""
    (cli.folder / "file").write_text("in the way")
    code, found = findings(cli, COMPLYQ_STORE_URL=(cli.folder / "file" / "store").as_uri())
    assert (code, found["Store"]["verdict"]) == (1, "failed")
    assert "COMPLYQ_STORE_URL" in found["Store"]["mend"]


def test_credentials_are_proven_by_one_list_call(simulator: Simulator, tmp_path: Path) -> None:
    """Accepted, then refused for the rate: no judgement on the credentials, so only a warning."""
    settings = load_settings(api_url=simulator.api_url, bearer_token=simulator.token, spool_dir=tmp_path)
    assert check_x(settings)["verdict"] == "ok"
    limited = check_x(settings)
    assert limited["verdict"] == "warning"
    assert "Wait until" in str(limited["mend"])


def test_refused_missing_and_unreachable_credentials_are_told_apart(simulator: Simulator, tmp_path: Path) -> None:
    """Each failure says what to do about it."""
    wrong = check_x(load_settings(api_url=simulator.api_url, bearer_token="another-token", spool_dir=tmp_path))
    assert (wrong["verdict"], "bearer token" in str(wrong["mend"])) == ("failed", True)
    missing = check_x(load_settings(api_url=simulator.api_url, bearer_token=None, api_key=None, api_secret=None))
    assert "COMPLYQ_BEARER_TOKEN" in str(missing["mend"])
    away = check_x(load_settings(api_url="http://127.0.0.1:1", bearer_token="any-token", spool_dir=tmp_path))
    assert "COMPLYQ_PROXY_URL" in str(away["mend"])


def test_listen_prints_events_once_for_each_group(cli: CommandLine, server: RedisServer) -> None:
    """`--count` ends after that many, the last one acknowledged too: the next call goes on behind it."""
    events = [_event(number) for number in range(3)]
    with redis.Redis.from_url(server.url) as client:
        for event in events:
            client.xadd("complyq.events", {"event": json.dumps(event)})
    first = cli.run("listen", "--group", "a", "--count", "2").lines()
    second = cli.run("listen", "--group", "a", "--count", "1").lines()
    other = cli.run("listen", "--group", "b", "--count", "3").lines()
    assert [event["id"] for event in (*first, *second)] == ["0", "1", "2"]
    assert [event["id"] for event in other] == ["0", "1", "2"]
    assert other[0]["data"] == {"batch_id": "b"}


def _event(number: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "/complyq/default",
        "type": "complyq.batch.completed.v1",
        "subject": "b",
        "time": "2026-11-22T00:00:00.000Z",
        "datacontenttype": "application/json",
        "data": {"batch_id": "b"},
    }
