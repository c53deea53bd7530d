"""Fixtures that several suites use."""

import signal
from collections.abc import Iterator

import pytest

from support.brokers import broker_url  # noqa: F401 - a fixture of every suite
from support.event_queues import place  # noqa: F401 - a fixture of every suite
from support.rabbitmq_server import rabbitmq_server  # noqa: F401 - a fixture of every suite
from support.redis_server import redis_server  # noqa: F401 - a fixture of every suite
from support.s3_server import S3Server, running_s3_server
from support.sqs_server import ministack_sqs, moto_sqs  # noqa: F401 - fixtures of every suite

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a shell's background: the commands under test would inherit it, and Ctrl-C would do nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST = ("test_soak_slice.py", "test_credentials.py", "test_redis_lost_in_create.py")
"""Files that mostly wait: begun first, they wait while the others run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Have the acceptance tests run on another broker."""
    parser.addoption(
        "--broker",
        choices=("redis", "rabbitmq"),
        default="redis",
        help="carries Celery's messages in acceptance tests that name no broker",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on the loopback interface with an empty bucket, for the whole session."""
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server, with this process's AWS variables pointing to it."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
