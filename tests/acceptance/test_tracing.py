"""Traces of real workers, as a collector gets them: from `complyq enqueue` to the event, over all steps."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from complyq_producer.redis_keys import RedisKeys
from support.command_line import CommandLine
from support.real_workers import Installation, installation, wait_for_end, wait_until
from support.simulator_process import Simulator, running_simulator
from support.trace_collector import Collector, running_collector

STEPS = {"plan", "create_job", "upload_job", "poll_job", "collect_job", "publish_batch"}


@dataclass
class Traced:
    """An installation that sends its traces to a collector."""

    running: Installation
    simulator: Simulator
    collector: Collector
    redis_url: str

    def enqueue(self, first: int, *options: str) -> str:
        """Submit a batch of Posts by the command; return its id."""
        line = CommandLine(self.running.folder, self.running.environment)
        ids = "".join(f"{first + n}\n" for n in range(100)).encode()
        return str(line.run("enqueue", "tweets", "-", "--json", *options, stdin=ids).json()["batch_id"])

    def events(self, batch_id: str) -> list[dict[str, Any]]:
        """All events of a batch."""
        with redis.Redis.from_url(self.redis_url) as client:
            bodies = [json.loads(fields[b"event"]) for _, fields in client.xrange("complyq.events")]
        return [body for body in bodies if body["subject"] == batch_id]

    def finish(self, batch_id: str) -> tuple[str, str]:
        """Wait for the end of a batch; return the trace and the span that all its events name as their parent."""
        wait_for_end(self.running.producer(), batch_id)
        wait_until(lambda: len(self.events(batch_id)) > 1)
        (traceparent,) = {event.get("traceparent") for event in self.events(batch_id)}
        version, trace, span, _flags = str(traceparent).split("-")
        assert version == "00"
        return trace, span


@pytest.fixture
def traced(tmp_path: Path, redis_server: str) -> Iterator[Traced]:
    """Lay out an installation without workers."""
    with (
        running_collector() as collector,
        running_simulator(processing_seconds=0.3, token="not-for-traces") as simulator,
    ):
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "600000",  # nothing comes before a process ends, unless it is a lot
            "COMPLYQ_LOG_LEVEL": "INFO",
        }
        with installation(tmp_path, redis_server, simulator, settings) as running:
            yield Traced(running, simulator, collector, redis_server)


def test_one_trace_leads_from_enqueue_over_all_steps_to_the_event(traced: Traced) -> None:
    """Processes that end send what they have; the worker's main process sends nothing, before or after it forks."""
    worker = traced.running.start_worker()
    batch_id = traced.enqueue(10**18)
    trace, span = traced.finish(batch_id)
    mains = psutil.Process(worker.pid).children()
    assert [main.num_threads() for main in mains] == [1, 1]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0

    (enqueued,) = traced.collector.named("complyq.enqueue")
    assert (enqueued.trace, enqueued.id, enqueued.service, enqueued.parent) == (trace, span, "complyq", "")
    spans = traced.collector.of(enqueued.trace)
    assert {each.name.removeprefix("complyq.") for each in spans} == STEPS | {"enqueue"}
    (planned,) = [each for each in spans if each.name == "complyq.plan"]
    assert planned.parent == enqueued.id
    for each in spans:
        if each.name.endswith("_job"):
            assert (each.parent, each.attributes["complyq.plan"]) == (planned.id, 1)
        if each.name == "complyq.publish_batch":
            assert (each.parent, each.attributes["complyq.batch"]) == (enqueued.id, batch_id)
    assert {each.service for each in spans} == {"complyq", "complyq-worker"}
    assert [secret for secret in traced.simulator.credentials() if secret in str(spans)] == []


def test_the_job_of_several_batches_is_linked_to_all_of_them(traced: Traced) -> None:
    """It has a trace of its own; each batch tells which job had it, and its events belong to its own trace."""
    keys = RedisKeys(traced.running.environment["COMPLYQ_NAMESPACE"])
    with redis.Redis.from_url(traced.redis_url) as client:
        client.set(keys.due("plan:tweets"), "1", px=10_000)  # nothing is planned until both are there
        worker = traced.running.start_worker()
        batches = [traced.enqueue(10**18), traced.enqueue(10**18 + 50)]
        client.delete(keys.due("plan:tweets"))
    traces = [traced.finish(batch_id) for batch_id in batches]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0

    (planned,) = [span for span in traced.collector.named("complyq.plan") if len(span.links) == 2]
    assert set(planned.links) == set(traces)
    assert planned.parent == ""
    merged = {span.name for span in traced.collector.of(planned.trace)}
    assert "complyq.merge_job" in merged
    assert "complyq.publish_batch" not in merged
    for trace, _ in traces:
        published = [span for span in traced.collector.of(trace) if span.name == "complyq.publish_batch"]
        assert any((planned.trace, planned.id) in span.links for span in published)


def test_a_step_that_fails_is_seen(traced: Traced) -> None:
    """By the kind of its error; what the error says stays in the log."""
    traced.simulator.arm({"on": "list", "fault": "status", "status": 503})
    worker = traced.running.start_worker()
    traced.finish(traced.enqueue(10**18))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert "AmbiguousAnswerError" in {span.failed for span in traced.collector.named("complyq.create_job")}


def test_a_collector_that_hangs_keeps_no_worker_from_ending(tmp_path: Path, redis_server: str) -> None:
    """What it would have got is lost; the batch and the worker's end are not."""
    with running_simulator(processing_seconds=0.3) as simulator, running_collector() as collector:
        collector.answers.clear()
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with installation(tmp_path, redis_server, simulator, settings) as running:
            worker = running.start_worker()
            batch = running.producer().enqueue(range(10**18, 10**18 + 100), "tweets")
            wait_for_end(running.producer(), batch.id)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0
    assert "traceback" not in running.log().lower()
