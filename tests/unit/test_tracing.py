"""Traces where somebody traces, and nothing at all where nobody does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from complyq_producer import tracing
from complyq_workers.tracing import traced
from support.quiet_world import QuietWorld

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
UNTRACED = """
import sys
from complyq_producer import Producer
from complyq_producer.tracing import span, start_exporting
import complyq_workers.tasks
start_exporting("test")
with span("complyq.enqueue") as traceparent:
    assert traceparent is None
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


def without_variables() -> dict[str, str]:
    """Return the environment of these tests without OpenTelemetry's variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Have a service trace, as its own configuration says."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_the_standard_variables_say_whether_traces_are_sent(environment: dict[str, str], *, wanted: bool) -> None:
    """Nothing of ours does."""
    assert tracing.is_wanted(environment) is wanted


def test_who_does_not_trace_imports_nothing_for_it() -> None:
    """Neither a service nor a worker; installed or not."""
    subprocess.run([sys.executable, "-c", UNTRACED], check=True, timeout=60, env=without_variables())


def test_where_the_extra_is_missing_work_goes_on() -> None:
    """A line of the log says how to get it."""
    without = "import sys; sys.modules['opentelemetry'] = None\n" + UNTRACED.replace(
        '.startswith("opentelemetry")', " is None"
    )
    environment = {**without_variables(), **ENDPOINT}
    done = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    assert "complyq[tracing]" in done.stdout + done.stderr


def test_a_service_continues_its_own_trace(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    """A batch that is enqueued within a span belongs to its trace, up to its events."""
    world = QuietWorld(tmp_path)
    with trace.get_tracer("service").start_as_current_span("nightly") as nightly:
        batch = world.enqueue()
    assert world.finish(batch.id) == "completed"
    found = {span.name: span for span in spans.get_finished_spans()}
    of_service = nightly.get_span_context()
    assert {span.context.trace_id for span in found.values() if span.context} == {of_service.trace_id}
    enqueued = found["complyq.enqueue"]
    assert enqueued.parent is not None
    assert enqueued.parent.span_id == of_service.span_id
    assert {event["traceparent"] for event in world.events()} == {tracing.traceparent_of(enqueued)}


def test_who_did_not_trace_when_enqueueing_is_no_hindrance(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    """The job has a trace all the same; the events name none."""
    world = QuietWorld(tmp_path)
    batch = world.enqueue()
    spans.clear()
    key = f"batches/{batch.id}/batch.json"
    body = world.store.read(key).body.replace(b'"traceparent":"00', b'"traceparent":"xx')
    world.store.delete(key)
    world.store.create(key, body)
    assert world.finish(batch.id) == "completed"
    (planned,) = [span for span in spans.get_finished_spans() if span.name == "complyq.plan"]
    assert (planned.parent, planned.links) == (None, ())


def test_a_failure_is_told_by_its_kind_alone(spans: InMemorySpanExporter) -> None:
    """What an error says may not belong into a trace."""
    with pytest.raises(ValueError, match="secret"), tracing.span("complyq.enqueue"):
        raise ValueError("secret")
    with pytest.raises(ValueError, match="secret"), traced("complyq.plan"):
        raise ValueError("secret")
    (span,) = spans.get_finished_spans()
    assert (span.status.description, span.events) == ("ValueError", ())
