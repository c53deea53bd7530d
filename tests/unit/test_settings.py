"""Settings: what an operator sets, and what he is told when it is wrong."""

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from complyq_config.celery_settings import celery_settings, key_prefix, queue_names
from complyq_config.errors import ConfigurationError
from complyq_config.settings import Settings, disk_spool_dir, load_settings, variable
from complyq_config.spool_dir import filesystem_of

ROOT = Path(__file__).parents[2]
SECRET = "s3cr3t-of-the-operator"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("COMPLYQ_"):
            monkeypatch.delenv(name)


def example() -> dict[str, str]:
    """Read the variables of .env.example."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))


def test_defaults_load() -> None:
    """With an empty environment every setting has a usable value."""
    settings = load_settings()
    assert settings.namespace == "default"
    assert settings.api_url == "https://api.x.com"
    assert settings.store_url.endswith("/.complyq/store")


def test_example_names_every_setting() -> None:
    """.env.example names each setting once and no other."""
    assert sorted(example()) == sorted(variable(name) for name in Settings.model_fields)


def test_example_holds_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading .env.example unchanged is the same as setting nothing."""
    expected = load_settings()
    for name, value in example().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == expected


def test_every_setting_is_described() -> None:
    """Each field has its docstring, which is also what an operator reads when its value is wrong."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables with the prefix are taken, lists split at commas, capitals of levels made good."""
    monkeypatch.setenv("COMPLYQ_ALLOWED_ORIGINS", "https://Bytes.example, http://127.0.0.1:8081 ,")
    monkeypatch.setenv("COMPLYQ_LOG_LEVEL", "debug")
    monkeypatch.setenv("COMPLYQ_RETENTION_DAYS", "")
    settings = load_settings()
    assert settings.allowed_origins == ("https://bytes.example", "http://127.0.0.1:8081")
    assert settings.log_level == "DEBUG"
    assert settings.retention_days is None


def test_no_env_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .env in the working directory changes nothing."""
    (tmp_path / ".env").write_text("COMPLYQ_NAMESPACE=stray\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_settings().namespace == "default"


def test_overrides_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """What code passes wins over the environment."""
    monkeypatch.setenv("COMPLYQ_NAMESPACE", "from-environment")
    assert load_settings(namespace="from-code").namespace == "from-code"


def test_unknown_override_is_refused() -> None:
    """A misspelt override is an error instead of being ignored."""
    with pytest.raises(ConfigurationError, match="namespcae"):
        load_settings(namespcae="typo")


def test_settings_do_not_change() -> None:
    """Nobody can change a setting after it was read."""
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().merge = False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("namespace", "No Spaces"),
        ("namespace", "a" * 33),
        ("api_url", "http://api.x.com"),
        ("api_url", "https://user:pw@api.x.com"),
        ("api_url", "api.x.com"),
        ("broker_url", "http://127.0.0.1"),
        ("redis_url", "amqp://127.0.0.1"),
        ("redis_url", "redis://127.0.0.1:no-port"),
        ("store_url", "/var/lib/complyq"),
        ("store_url", "file://relative/path"),
        ("store_url", "s3://"),
        ("events_url", "kafka://127.0.0.1"),
        ("events_inline_max", "-1"),
        ("max_upload_bytes", "0"),
        ("upload_chunk_bytes", "262145"),
        ("upload_chunk_bytes", "-262144"),
        ("poll_min_seconds", "0"),
        ("max_attempts", "0"),
        ("max_parked_hours", "0"),
        ("merge", "perhaps"),
        ("results_format", "csv"),
        ("allowed_origins", "https://bytes.example/path"),
        ("allowed_origins", "http://bytes.example"),
        ("log_format", "xml"),
        ("log_level", "LOUD"),
        ("metrics_port", "70000"),
        ("bearer_token", "two words"),
        ("bearer_token", "line\nbreak"),
    ],
)
def test_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A wrong value is refused with the name of its variable."""
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(ConfigurationError, match=variable(name)):
        load_settings()


def test_all_bad_values_are_named_at_once() -> None:
    """An operator sees everything that is wrong in one go."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(log_format="xml", metrics_port=0)
    assert "COMPLYQ_LOG_FORMAT='xml'" in str(caught.value)
    assert "COMPLYQ_METRICS_PORT=0" in str(caught.value)


def test_bad_secret_is_not_shown() -> None:
    """The message about a wrong secret does not repeat it."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(bearer_token=f"{SECRET} {SECRET}", redis_url=f"http://:{SECRET}@host")
    assert SECRET not in str(caught.value)
    assert "COMPLYQ_BEARER_TOKEN" in str(caught.value)


def test_settings_that_do_not_fit_together() -> None:
    """Polling bounds in the wrong order, and half a key pair, are refused."""
    with pytest.raises(ConfigurationError, match="COMPLYQ_POLL_MIN_SECONDS"):
        load_settings(poll_min_seconds=61)
    with pytest.raises(ConfigurationError, match="COMPLYQ_API_SECRET"):
        load_settings(api_key="only-half")


def test_plain_http_on_loopback_is_allowed() -> None:
    """A simulator on this machine needs no TLS."""
    for host in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000"):
        assert load_settings(api_url=f"http://{host}/").api_url == f"http://{host}"


def test_newline_after_a_token_is_dropped() -> None:
    """Tokens read from files may end in a newline."""
    token = load_settings(bearer_token="AAAA%3D\n").bearer_token
    assert token is not None
    assert token.get_secret_value() == "AAAA%3D"


def test_effective_settings_hold_no_secret() -> None:
    """The boot log shows what is in force and no credential."""
    settings = load_settings(
        bearer_token=SECRET,
        redis_url=f"redis://user:{SECRET}@cache:6379/1",
        events_url=f"amqp://user:{SECRET}@mq/?exchange=complyq.events",
        proxy_url=f"http://user:{SECRET}@proxy:3128",
    )
    shown = settings.effective()
    assert SECRET not in repr(shown)
    assert SECRET not in repr(settings)
    assert "cache:6379/1" in str(shown["redis_url"])
    assert set(shown) == set(Settings.model_fields)


def test_events_go_beside_the_locks_by_default() -> None:
    """Without EVENTS_URL the stream is in the Redis of REDIS_URL, whatever its parameters."""
    settings = load_settings(redis_url="rediss://:pw@cache:6380/2?ssl_cert_reqs=none")
    expected = "rediss://:pw@cache:6380/2?ssl_cert_reqs=none&stream=complyq.events"
    assert settings.effective_events_url.get_secret_value() == expected


def test_child_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables for a child process load the same settings, even beside others."""
    settings = load_settings(
        bearer_token=SECRET,
        allowed_origins="http://127.0.0.1:1,https://b.example",
        merge=False,
        poll_min_seconds=0.05,
    )
    monkeypatch.setenv("COMPLYQ_METRICS_PORT", "9000")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_spool_dir_is_private(tmp_path: Path) -> None:
    """The spool folder is created for its owner alone."""
    spool = disk_spool_dir(load_settings(spool_dir=tmp_path / "deep" / "spool"))
    assert spool.stat().st_mode & 0o777 == 0o700


def test_spool_dir_in_memory_is_refused() -> None:
    """A folder on tmpfs is refused, and the message says which variable to set."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or filesystem_of(shm, Path("/proc/self/mounts").read_text(encoding="utf-8")) != "tmpfs":
        pytest.skip("this system has no tmpfs on /dev/shm")
    with pytest.raises(ConfigurationError, match=r"COMPLYQ_SPOOL_DIR.*tmpfs"):
        disk_spool_dir(load_settings(spool_dir=shm))


def test_spool_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A file in the place of the spool folder is named."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="COMPLYQ_SPOOL_DIR"):
        disk_spool_dir(load_settings(spool_dir=tmp_path / "file"))


def test_filesystem_is_that_of_the_nearest_mount() -> None:
    """The longest mount point wins, the later of two, and spaces in names are understood."""
    mounts = "/dev/sda / ext4 rw 0 0\ntmpfs /var tmpfs rw 0 0\n/dev/sdb /var ext4 rw 0 0\ntmpfs /var/my\\040tmp tmpfs rw 0 0\n"
    assert filesystem_of(Path("/home"), mounts) == "ext4"
    assert filesystem_of(Path("/var/tmp"), mounts) == "ext4"
    assert filesystem_of(Path("/var/my tmp/x"), mounts) == "tmpfs"
    assert filesystem_of(Path("/variable"), mounts) == "ext4"


def test_celery_routes_long_transfers_apart() -> None:
    """What moves many bytes goes to the transfer queue; both queues are declared."""
    settings = load_settings()
    found = celery_settings(settings)
    assert found["task_routes"] == {
        "complyq.merge_job": {"queue": "complyq.transfer"},
        "complyq.upload_job": {"queue": "complyq.transfer"},
        "complyq.collect_job": {"queue": "complyq.transfer"},
    }
    assert found["task_default_queue"] == "complyq.control"


def test_namespaces_do_not_meet() -> None:
    """Two installations share neither Redis keys nor RabbitMQ queues."""
    assert key_prefix(load_settings(namespace="one")) == "{complyq:one}:"
    rabbit = load_settings(namespace="one", broker_url="amqp://guest:guest@127.0.0.1//")
    assert queue_names(rabbit).transfer == "complyq.one.transfer"
    assert "visibility_timeout" not in str(celery_settings(rabbit)["broker_transport_options"])


def test_celery_knows_every_setting() -> None:
    """No Celery setting is misspelt."""
    from celery.app.defaults import SETTING_KEYS  # noqa: PLC0415 - only this test needs Celery's list

    assert set(celery_settings(load_settings())) <= set(SETTING_KEYS)


def test_kombu_knows_every_redis_option() -> None:
    """No option of the Redis transport is misspelt."""
    from kombu.transport.redis import Channel  # noqa: PLC0415 - only this test needs kombu's list

    options = celery_settings(load_settings())["broker_transport_options"]
    assert isinstance(options, dict)
    connecting = {"max_retries", "interval_start", "interval_step", "interval_max", "connect_retries_timeout"}
    assert set(options) - connecting <= set(Channel.from_transport_options)


def test_parked_batches_fail_well_before_their_ids_are_due() -> None:
    """X wants content deleted within 24 hours."""
    assert load_settings().max_parked_hours <= 12
