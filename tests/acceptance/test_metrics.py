"""`complyq worker` with a metrics port: what a Prometheus that scrapes it sees, and that nothing stays behind."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from complyq_producer.facts import utc_now
from support.real_workers import Installation, installation, wait_for_end, wait_until
from support.redis_server import RedisServer, running_redis_server
from support.simulator_process import Simulator, running_simulator

LATE = 'complyq_batches_ended_late_total{type="tweets"}'
NO_X = Simulator(None, "http://127.0.0.1:1", "http://127.0.0.1:1", "t")  # type: ignore[arg-type] # no process
_open = build_opener(ProxyHandler({})).open


@dataclass
class Scraped:
    """An installation that serves metrics, and the Redis that it has to itself."""

    running: Installation
    redis: RedisServer
    port: int

    def scrape(self) -> dict[str, float]:
        """Read all samples; none while nobody serves them."""
        with suppress(URLError), _open(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
            return {_name(*sample[:2]): sample[2] for family in families for sample in family.samples}
        return {}

    def wait_for(self, name: str, value: float) -> None:
        """Wait until a scrape shows a value."""
        wait_until(lambda: self.scrape().get(name) == value)


@contextmanager
def scraped(folder: Path, simulator: Simulator = NO_X, **settings: str) -> Iterator[Scraped]:
    """Lay out an installation with a Redis and a metrics port of its own."""
    port = _free_port()
    with (
        running_redis_server() as server,
        installation(folder, server.url, simulator, {"COMPLYQ_METRICS_PORT": str(port), **settings}) as running,
    ):
        yield Scraped(running, server, port)


def _name(name: str, labels: dict[str, str]) -> str:
    return name + "".join(f'{{{label}="{value}"}}' for label, value in labels.items())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _family_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def _addresses(process: "subprocess.Popen[bytes]", port: int) -> set[str]:
    sockets = [connection for each in _family_of(process) for connection in each.net_connections("tcp")]
    return {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN and each.laddr.port == port}


def test_a_scrape_shows_a_batch_that_ended_late(tmp_path: Path) -> None:
    """Counted once; SIGTERM ends the workers with what serves the metrics, and leaves no process."""
    with running_simulator(processing_seconds=0.3) as simulator, scraped(tmp_path, simulator) as site:
        worker = site.running.start_worker()
        producer = site.running.producer()
        for deadline in (utc_now(), utc_now() + timedelta(days=1)):
            wait_for_end(producer, producer.enqueue(range(10**18, 10**18 + 100), "tweets", deadline=deadline).id)
        site.wait_for(LATE, 1)
        site.wait_for('complyq_queue_batches{type="tweets"}', 0)
        samples = site.scrape()
        assert samples["complyq_redis_up"] == samples['complyq_queue_fresh{type="users"}'] == 1
        assert samples['complyq_slot_busy{type="tweets"}'] == 0
        assert 0 < samples['complyq_job_seconds{type="tweets"}'] < 60
        assert (
            0
            < samples['complyq_requests_remaining{endpoint="create"}']
            < samples['complyq_requests_limit{endpoint="create"}']
        )
        assert _addresses(worker, site.port) == {"127.0.0.1"}
        family = _family_of(worker)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        assert psutil.wait_procs(family, 30)[1] == []


def test_metrics_outlive_redis_and_not_their_supervisor(tmp_path: Path) -> None:
    """A scrape says that Redis is down, and that it is back; without the process that started it all ends."""
    with scraped(tmp_path) as site:
        worker = site.running.start_worker("control")
        site.wait_for("complyq_redis_up", 1)
        site.redis.kill()
        site.wait_for("complyq_redis_up", 0)
        assert set(site.scrape()) == {"complyq_redis_up"}
        site.redis.start()
        site.wait_for("complyq_redis_up", 1)
        family = _family_of(worker)
        worker.kill()
        assert psutil.wait_procs(family, 60)[1] == []


def test_metrics_may_be_served_alone(tmp_path: Path) -> None:
    """Beside no worker, without a credential, on the address that was asked for."""
    with scraped(tmp_path, COMPLYQ_BEARER_TOKEN="", COMPLYQ_METRICS_HOST="0.0.0.0") as site:
        process = site.running.start_worker("metrics")
        wait_until(lambda: "metrics_served" in site.running.log())
        assert _addresses(process, site.port) == {"0.0.0.0"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("role", ["transfer", "metrics"])
def test_a_port_in_use_is_refused_at_once(tmp_path: Path, role: str) -> None:
    """Before any worker starts; the message names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with installation(tmp_path, "redis://127.0.0.1:1/0", NO_X, {"COMPLYQ_METRICS_PORT": str(port)}) as running:
            assert running.start_worker(role).wait(60) == 2
            assert f"COMPLYQ_METRICS_PORT={port}" in running.log()
            assert "celery" not in running.log()
