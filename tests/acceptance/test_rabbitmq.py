"""What RabbitMQ does that Redis does not: it refuses queues, gives messages up, runs short of memory, and comes back."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from complyq_config.celery_settings import DELIVERY_LIMIT
from complyq_config.settings import load_settings
from complyq_producer.cli.checks.broker import check_broker
from complyq_producer.cli.checks.finding import Verdict
from complyq_producer.model import BatchState
from support.brokers import RabbitQueues, task_message
from support.certificates import certificate
from support.rabbitmq_server import RabbitServer, free_port, running_rabbitmq_server
from support.real_workers import Installation, installation, wait_for_end, wait_until
from support.simulator_process import Simulator, running_simulator
from support.tls_front import running_tls_front

POSTS = range(10**18, 10**18 + 400_000)
"""Eight megabytes."""


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a simulator."""
    with running_simulator(processing_seconds=0.3) as running:
        yield running


@pytest.fixture
def running(
    tmp_path: Path, redis_server: str, rabbitmq_server: RabbitServer, simulator: Simulator
) -> Iterator[Installation]:
    """An installation on the shared node, with no worker yet."""
    settings = {"COMPLYQ_BROKER_URL": rabbitmq_server.url}
    with installation(tmp_path, redis_server, simulator, settings) as laid_out:
        yield laid_out


def doctor(running: Installation) -> dict[str, tuple[Verdict, str]]:
    """What the doctor finds at the broker, with the way out."""
    names = ("namespace", "broker_url")
    settings = load_settings(**{name: running.environment[f"COMPLYQ_{name.upper()}"] for name in names})
    return {each.check: (each.verdict, f"{each.found} {each.mend}") for each in check_broker(settings)}


def test_workers_and_producers_outlive_a_restart_of_the_broker(tmp_path: Path, redis_server: str) -> None:
    """Killed while an upload runs, which ends meanwhile: the same processes finish, and what comes later starts at once."""
    with ExitStack() as stack:
        server = stack.enter_context(running_rabbitmq_server(tmp_path / "rabbitmq"))
        simulator = stack.enter_context(running_simulator(processing_seconds=0.3))
        settings = {"COMPLYQ_BROKER_URL": server.url}
        running = stack.enter_context(installation(tmp_path, redis_server, simulator, settings))
        simulator.arm({"on": "upload", "fault": "throttle", "bytes_per_second": 2_000_000, "times": 1})
        worker = running.start_worker()
        producer = running.producer()
        batch = producer.enqueue(POSTS, "tweets")
        assert batch.notified
        wait_until(lambda: any(job["received"] >= 500_000 for job in simulator.jobs()))
        server.kill()
        assert not producer.enqueue(range(1, 100), "users").notified
        time.sleep(3)
        server.start()
        assert wait_for_end(producer, batch.id, 90).state is BatchState.COMPLETED
        later = producer.enqueue(range(1, 1000), "tweets")
        assert later.notified
        assert wait_for_end(producer, later.id, 90).state is BatchState.COMPLETED
        assert worker.poll() is None
        assert len(simulator.jobs()) == 3


def test_a_connection_that_was_ended_meanwhile_is_replaced(
    running: Installation, rabbitmq_server: RabbitServer
) -> None:
    """A service that enqueues now and then still notifies the workers each time."""
    producer = running.producer()
    assert producer.enqueue(range(1, 100), "users").notified
    rabbitmq_server.control("close_all_connections", "for a test")
    assert producer.enqueue(range(1, 100), "users").notified
    assert RabbitQueues.of(running).length("control") == 2


def test_a_batch_runs_over_tls(running: Installation, rabbitmq_server: RabbitServer, tmp_path: Path) -> None:
    """A certificate that nobody knows is refused; of two nodes the one that is away is passed over."""
    trusted = certificate(tmp_path)
    with running_tls_front(trusted, rabbitmq_server.port) as port:
        unknown = f"amqps://guest:guest@127.0.0.1:{port}/"
        running.environment["COMPLYQ_BROKER_URL"] = unknown
        verdict, said = doctor(running)["Broker"]
        assert (verdict, "CERTIFICATE_VERIFY_FAILED" in said) == (Verdict.FAILED, True)
        away = f"amqps://guest:guest@127.0.0.1:{free_port()}/"
        running.environment["COMPLYQ_BROKER_URL"] = f"{away};{unknown}?ssl_ca_certs={trusted}"
        running.start_worker()
        batch = running.producer().enqueue(range(1, 1000), "tweets")
        assert wait_for_end(running.producer(), batch.id).state is BatchState.COMPLETED
        assert "hint_not_sent" not in running.log()


def test_countdowns_wait_in_the_broker_while_workers_take_what_is_due(
    running: Installation, simulator: Simulator
) -> None:
    """More jobs and hints wait than a worker may hold in hand, and no sweep helps."""
    running.environment["COMPLYQ_SWEEP_SECONDS"] = "3600"
    simulator.arm({"on": "job", "fault": "stuck", "times": 2})
    running.start_worker("control")
    running.start_worker("transfer")
    producer = running.producer()
    for type_ in ("tweets", "users"):
        producer.enqueue(range(1, 1000), type_)
    wait_until(lambda: sum(line.get("op") == "get" for line in simulator.journal()) > 10)
    assert "hint_not_sent" not in running.log()
    assert RabbitQueues.of(running).length("dead") == 0


def test_what_is_handed_out_too_often_is_put_aside(running: Installation) -> None:
    """The broker gives a message up that nobody acknowledges; hints that expired are no dead letters."""
    queues = RabbitQueues.of(running)
    assert doctor(running)["Broker"][0] is Verdict.OK
    queues.put(**task_message())
    queues.put(**task_message("complyq.sweep", ()) | {"expiration": "1"})
    for _ in range(DELIVERY_LIMIT + 2):
        with queues.channel() as channel:
            taken = channel.basic_get(queues.name("control"))
            if taken:
                channel.basic_reject(taken.delivery_tag, requeue=True)
    wait_until(lambda: queues.length("dead") == 1)
    verdict, said = doctor(running)["Dead letters"]
    assert verdict is Verdict.WARNING
    assert "1 messages" in said
    (letter,) = queues.take_dead_letters()
    assert letter["headers"]["task"] == "complyq.plan"
    assert letter["headers"]["x-first-death-reason"] == "delivery_limit"
    assert queues.length("control") == 0


def test_malformed_messages_are_put_aside_once(running: Installation) -> None:
    """As on Redis: the worker says what was wrong with each, and goes on."""
    worker = running.start_worker()
    batch = running.producer().enqueue(range(1, 1000), "users")
    queues = RabbitQueues.of(running)
    wait_for_end(running.producer(), batch.id)
    for body, properties in (
        (b"\xff\xfe junk", {}),
        (b"{", {"content_type": "application/json", "content_encoding": "utf-8"}),
        (b"cos\nsystem\n", {"content_type": "application/x-python-serialize", "content_encoding": "binary"}),
        (task_message("complyq.nothing").pop("body"), {"application_headers": {"task": "complyq.nothing", "id": "1"}}),
    ):
        queues.put(body, **properties)
    wait_until(lambda: queues.length("dead") == 4)
    second = running.producer().enqueue(range(1, 1000), "users")
    assert wait_for_end(running.producer(), second.id).state is BatchState.COMPLETED
    assert all('"reason"' in letter["body"] for letter in queues.take_dead_letters())
    assert worker.poll() is None
    assert "Traceback" not in running.log()


def test_a_queue_made_with_other_settings_is_an_error_that_says_what_to_do(running: Installation) -> None:
    """The worker ends instead of asking for ever, the doctor says the same, and a batch is safe."""
    queues = RabbitQueues.of(running)
    with queues.channel() as channel:
        channel.queue_declare(queues.name("control"), durable=True, auto_delete=False)
    worker = running.start_worker("control")
    assert worker.wait(60) == 1
    assert f"rabbitmqctl delete_queue {queues.name('control')}" in running.log()
    verdict, said = doctor(running)["Broker"]
    assert verdict is Verdict.FAILED
    assert f"rabbitmqctl delete_queue {queues.name('control')}" in said
    assert not running.producer().enqueue(range(1, 100), "users").notified


def test_a_user_who_may_make_no_queues_is_told_which_permission_is_needed(
    running: Installation, rabbitmq_server: RabbitServer
) -> None:
    """And with just that permission everything works."""
    user = running.environment["COMPLYQ_NAMESPACE"]
    rabbitmq_server.control("add_user", user, "secret-of-tests")
    rabbitmq_server.control("set_permissions", user, "", "", "")
    running.environment["COMPLYQ_BROKER_URL"] = rabbitmq_server.url_of(user, "secret-of-tests")
    verdict, said = doctor(running)["Broker"]
    assert verdict is Verdict.FAILED
    needed = rf"^(complyq\.{user}|celery_delayed)"
    assert f"'{needed}'" in said
    rabbitmq_server.control("set_permissions", user, needed, needed, needed)
    assert doctor(running)["Broker"][0] is Verdict.OK
    running.start_worker()
    batch = running.producer().enqueue(range(1, 1000), "users")
    assert wait_for_end(running.producer(), batch.id).state is BatchState.COMPLETED
    assert "secret-of-tests" not in running.log()


def test_a_broker_short_of_memory_holds_up_no_caller(
    running: Installation, rabbitmq_server: RabbitServer, simulator: Simulator
) -> None:
    """It confirms nothing: the caller is told that nobody was notified, and the work is done when there is room again."""
    running.start_worker()
    producer = running.producer()
    wait_for_end(producer, producer.enqueue(range(1, 1000), "users").id)
    rabbitmq_server.control("set_vm_memory_high_watermark", "0")
    try:
        batch = producer.enqueue(range(1, 1000), "tweets")
        assert not batch.notified
    finally:
        rabbitmq_server.control("set_vm_memory_high_watermark", "absolute", "1GB")
    assert wait_for_end(producer, batch.id, 90).state is BatchState.COMPLETED
    assert len(simulator.jobs()) == 2
