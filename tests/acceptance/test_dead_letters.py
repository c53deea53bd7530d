"""Messages that nobody can understand: a real worker puts each aside once, and goes on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from complyq_config.celery_settings import MAX_DEAD_LETTERS
from complyq_config.settings import load_settings
from complyq_producer.cli.checks.broker import check_broker
from complyq_producer.cli.checks.finding import Verdict
from complyq_producer.model import BatchState
from support.broker_entries import Broker, entry
from support.real_workers import Installation, installation, wait_for_end, wait_until
from support.redis_server import RedisServer, running_redis_server
from support.simulator_process import Simulator, running_simulator

pytestmark = pytest.mark.redis_broker  # for RabbitMQ see test_rabbitmq.py


def job(*arguments: Any) -> bytes:
    """The body of a message with these arguments."""
    return json.dumps([arguments, {}, {}]).encode()


MALFORMED = {
    "not JSON": b"\xff\xfe junk \x00",
    "no envelope": b"5",
    "an envelope without properties": b'{"body": "W10=", "headers": {}}',
    "a delivery tag that is no text": entry(properties={"delivery_tag": {"a": 1}}),
    "a body that is no base64": entry(body=b"x").replace(b'"eA=="', b'"%%%"'),
    "an unknown encoding of the body": entry(properties={"body_encoding": "rot13"}),
    "nested without end": b'{"headers": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "a date that is none": entry(headers={"a": {"__type__": "datetime", "__value__": "x"}}),
    "a number of 5,000 digits": entry().replace(b'"retries": 0', b'"retries": 1' + b"0" * 5_000),
    "a body that does not unpack": entry(headers={"compression": "application/x-gzip"}),
    "a body that is no JSON": entry(body=b"{"),
    "a body nested without end": entry(body=b'[["tweets"], {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}, {}]"),
    "a body that is one number": entry(body=b"5"),
    "no body": entry(body=b""),
    "pickle": entry(envelope={"content-type": "application/x-python-serialize"}),
    "no content type": entry(envelope={"content-type": None}),
    "no task": entry(headers={"task": None}),
    "no id": entry(headers={"id": None}),
    "another time limit": entry(headers={"timelimit": [1]}),
    "a time that is none": entry(headers={"eta": "tomorrow"}),
    "a time in years": entry(headers={"eta": "9999-12-31T00:00:00+00:00"}),
    "an unknown task": entry("complyq.nothing"),
    "a task of Celery's": entry("celery.chord_unlock", body=job()),
    "too many arguments": entry(body=job("tweets", 1)),
    "too few arguments": entry("complyq.upload_job", body=job("tweets")),
    "named arguments": entry(body=b'[[], {"type_": "tweets"}, {}]'),
    "a task to call afterwards": entry(body=b'[["tweets"], {}, {"callbacks": [{"task": "complyq.sweep"}]}]'),
    "an unknown type": entry(body=job("posts")),
    "a negative plan": entry("complyq.create_job", body=job("tweets", -1)),
    "a plan beyond all numbers": entry("complyq.create_job", body=job("tweets", 10**30)),
    "a plan as text": entry("complyq.poll_job", body=job("tweets", "01")),
    "a path as a batch": entry("complyq.publish_batch", body=job("../../etc")),
}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis of one's own."""
    with running_redis_server() as running:
        yield running


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a simulator."""
    with running_simulator(processing_seconds=0.2) as running:
        yield running


@pytest.fixture
def running(tmp_path: Path, server: RedisServer, simulator: Simulator) -> Iterator[Installation]:
    """An installation with no worker yet."""
    with installation(tmp_path, server.url, simulator) as laid_out:
        yield laid_out


def test_malformed_messages_are_put_aside_once_and_the_worker_goes_on(
    running: Installation, simulator: Simulator
) -> None:
    """Celery alone drops some, retries some for ever, and dies of others."""
    broker = Broker.of(running)
    for number, (kind, malformed) in enumerate(MALFORMED.items()):
        broker.put(malformed, queue=("complyq.control", "complyq.transfer")[number % 2])
        assert broker.dead_letters() == [], kind
    worker = running.start_worker()
    batch = running.producer().enqueue(range(1, 1000), "users")
    assert wait_for_end(running.producer(), batch.id).state is BatchState.COMPLETED
    wait_until(lambda: len(broker.dead_letters()) >= len(MALFORMED))
    second = running.producer().enqueue(range(1, 1000), "users")
    wait_for_end(running.producer(), second.id)
    assert len(broker.dead_letters()) == len(MALFORMED) == running.log().count('"message_malformed"')
    assert worker.poll() is None
    assert "Traceback" not in running.log()
    assert "step_failed" not in running.log()
    assert not any(b"complyq-unreadable" in held for held in broker.unacknowledged())


def test_a_dead_letter_says_what_was_wrong_and_holds_no_credential(running: Installation) -> None:
    """Enough for an operator to find who sent it."""
    url = "https://storage.googleapis.com/b/o?X-Goog-Signature=0123456789abcdef"
    broker = Broker.of(running)
    broker.put(entry(body=job("posts", url), headers={"origin": f"a-service {url}"}))
    running.start_worker("control")
    wait_until(lambda: bool(broker.dead_letters()))
    (letter,) = broker.dead_letters()
    assert letter["queue"] == "complyq.control"
    assert "complyq.plan" in letter["reason"]
    assert "posts" in letter["body"]
    assert letter["headers"]["task"] == "complyq.plan"
    assert letter["headers"]["origin"].startswith("a-service https://storage.googleapis.com/b/o")
    assert "0123456789abcdef" not in str(letter) + running.log()


def test_the_doctor_counts_dead_letters(running: Installation) -> None:
    """An operator learns of them without looking for them."""
    names = ("namespace", "broker_url")
    settings = load_settings(**{name: running.environment[f"COMPLYQ_{name.upper()}"] for name in names})
    assert [finding.verdict for finding in check_broker(settings)] == [Verdict.OK, Verdict.OK]
    broker = Broker.of(running)
    broker.put(entry("complyq.nothing"))
    running.start_worker("control")
    wait_until(lambda: bool(broker.dead_letters()))
    finding = list(check_broker(settings))[-1]
    assert finding.verdict is Verdict.WARNING
    assert finding.found == "1 messages in complyq.dead"


def test_only_the_newest_dead_letters_are_kept(running: Installation) -> None:
    """A service that sends nothing but nonsense does not fill the broker."""
    broker = Broker.of(running)
    old = entry("complyq.old")
    with broker.client.pipeline() as pipe:
        for _ in range(MAX_DEAD_LETTERS):
            pipe.lpush(broker.key("complyq.dead"), old)
        pipe.execute()
    for number in range(5):
        broker.put(entry(f"complyq.new{number}"))
    running.start_worker("control")
    wait_until(lambda: running.log().count('"message_malformed"') == 5)
    wait_until(lambda: broker.client.llen(broker.key("complyq.dead")) == MAX_DEAD_LETTERS)
    newest = [letter["headers"]["task"] for letter in broker.dead_letters()[:5]]
    assert newest == [f"complyq.new{number}" for number in reversed(range(5))]
