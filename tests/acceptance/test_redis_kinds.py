"""Redis with TLS, with a user who may do little, and behind a Sentinel: locks, messages and events go through each."""

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from complyq_config.settings import load_settings
from complyq_producer import listen
from complyq_producer.cli.checks.broker import check_broker
from complyq_producer.cli.checks.finding import Verdict
from complyq_producer.cli.checks.redis_server import check_redis
from complyq_producer.listening import StreamAddress
from complyq_producer.live import connect_redis
from complyq_producer.model import BatchState
from support.certificates import certificate
from support.rabbitmq_server import free_port
from support.real_workers import Installation, installation, wait_for_end, wait_until
from support.redis_server import running_redis_server
from support.sentinel_site import PASSWORD, running_sentinel_site
from support.simulator_process import Simulator, running_simulator
from support.tls_front import running_tls_front

ROOT = Path(__file__).parents[2]
POSTS = range(10**18, 10**18 + 400_000)
"""Eight megabytes."""


def laid_out(stack: ExitStack, folder: Path, url: str, **settings: str) -> tuple[Installation, Simulator]:
    """An installation that uses one Redis for everything."""
    simulator = stack.enter_context(running_simulator(processing_seconds=0.3))
    return stack.enter_context(installation(folder, url, simulator, settings)), simulator


def ends(url: str) -> list[str]:
    """The ids of the events at the end of a batch, each as often as it is there."""
    client: Any = connect_redis(StreamAddress.parse(url).url)
    with client:
        found = [
            re.search(rb'"id":"([^"]+/completed)"', fields[b"event"]) for _, fields in client.xrange("complyq.events")
        ]
    return [match[1].decode() for match in found if match]


def verdicts(url: str) -> dict[str, Verdict]:
    """What the doctor finds at a Redis."""
    return {found.check: found.verdict for found in check_redis(load_settings(redis_url=url, broker_url=url))}


def test_a_batch_runs_over_tls(tmp_path: Path) -> None:
    """The certificate is checked, by kombu too, which would trust anybody by itself."""
    with ExitStack() as stack:
        server = stack.enter_context(running_redis_server())
        trusted = certificate(tmp_path)
        port = stack.enter_context(running_tls_front(trusted, server.port))
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted}"
        running, _ = laid_out(stack, tmp_path, url)
        running.start_worker()
        producer = running.producer()
        batch = producer.enqueue(range(1, 10_000), "tweets")
        assert batch.notified
        assert wait_for_end(producer, batch.id).state is BatchState.COMPLETED
        wait_until(lambda: ends(url) == [f"{batch.id}/completed"])
        assert verdicts(url)["Redis encryption"] is Verdict.OK
        unknown = f"rediss://127.0.0.1:{port}/0"
        with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            connect_redis(unknown).ping()
        (found,) = check_broker(load_settings(broker_url=unknown))
        assert (found.verdict, "CERTIFICATE_VERIFY_FAILED" in found.found) == (Verdict.FAILED, True)


def test_the_documented_rule_is_enough_for_a_user(tmp_path: Path) -> None:
    """Producers, workers, listeners and the doctor: nothing is refused, and other keys are out of reach."""
    text = (ROOT / "docs/redis.md").read_text()
    rule = re.search(r"^ACL SETUSER complyq (.+)$", text, re.MULTILINE)
    assert rule
    with ExitStack() as stack:
        server = stack.enter_context(running_redis_server())
        admin: Any = stack.enter_context(redis.Redis.from_url(server.url))
        url = f"redis://complyq:of-the-user@127.0.0.1:{server.port}/0"
        running, _ = laid_out(stack, tmp_path, url, COMPLYQ_NAMESPACE="default")
        admin.execute_command("ACL", "SETUSER", "complyq", *rule[1].replace("PASSWORD", "of-the-user").split())
        admin.execute_command("ACL", "SETUSER", "default", "off")
        running.start_worker()
        producer = running.producer()
        batch = producer.enqueue(range(1, 10_000), "tweets")
        assert batch.notified
        assert wait_for_end(producer, batch.id).state is BatchState.COMPLETED
        wait_until(lambda: ends(url) == [f"{batch.id}/completed"])
        with listen(url, namespace="default") as events:
            assert next(event.subject for event in events if event.type == "complyq.batch.completed.v1") == batch.id
        assert Verdict.FAILED not in verdicts(url).values()
        assert {entry["object"] for entry in admin.acl_log()} <= {"config|get"}  # the doctor's, who can do without
        with pytest.raises(redis.exceptions.NoPermissionError):
            connect_redis(url).set("another", "key")
        with pytest.raises(redis.exceptions.NoPermissionError):
            connect_redis(url).flushall()
        assert "of-the-user" not in running.log()


def test_a_failover_in_mid_upload_loses_nothing(tmp_path: Path) -> None:
    """The master is killed: the Sentinel names the other one, and the same processes finish, with one job."""
    with ExitStack() as stack:
        site = stack.enter_context(running_sentinel_site(tmp_path / "site"))
        running, simulator = laid_out(stack, tmp_path, site.url)
        simulator.arm({"on": "upload", "fault": "throttle", "bytes_per_second": 1_000_000, "times": 1})
        worker = running.start_worker()
        producer = running.producer()
        batch = producer.enqueue(POSTS, "tweets")
        assert batch.notified
        wait_until(lambda: any(job["received"] >= 500_000 for job in simulator.jobs()))
        assert verdicts(site.url)["Redis"] is Verdict.OK
        assert verdicts(f"redis://:{PASSWORD}@127.0.0.1:{site.ports[1]}/0")["Redis"] is Verdict.FAILED  # a replica
        site.kill_master()
        wait_until(site.has_failed_over)
        assert wait_for_end(producer, batch.id, 90).state is BatchState.COMPLETED
        later = producer.enqueue(range(1, 1000), "users")
        assert later.notified
        assert wait_for_end(producer, later.id, 90).state is BatchState.COMPLETED
        wait_until(lambda: {f"{batch.id}/completed", f"{later.id}/completed"} <= set(ends(site.url)))
        assert worker.poll() is None
        assert len(simulator.jobs()) == 2


def test_the_doctor_refuses_a_cluster(tmp_path: Path) -> None:
    """It would answer each command with the name of another server, or with none."""
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--dir", str(tmp_path))
    with running_redis_server(*options) as server:
        found = next(check_redis(load_settings(redis_url=server.url, broker_url="amqp://127.0.0.1/")))
        assert (found.verdict, "in cluster mode" in found.found) == (Verdict.FAILED, True)
        with pytest.raises(redis.ResponseError):
            connect_redis(server.url).set("any", "key")
