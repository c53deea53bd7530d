"""Traces by OpenTelemetry, where somebody has installed and configured it. Otherwise nothing is imported for it.

Who enqueues traces with whatever its own process traces with; only Complyq's own processes send traces anywhere. They are
configured by the standard OTEL_ variables alone. A trace is named by its `traceparent`, as W3C Trace Context has it.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

log = structlog.get_logger(__name__)

API = "opentelemetry.trace"
TRACER = "complyq"
FLUSH_SECONDS = 3.0
"""How long a process that ends waits for its last spans to be sent."""
MOST_LINKS = 32

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_providers: dict[int, Any] = {}
"""What sends this process's spans, by process: a thread does it, which no fork takes along."""


@contextmanager
def span(name: str) -> Iterator[str | None]:
    """Trace what is done in the context, as part of the trace that is under way in this process, if any is.

    Yields:
        The traceparent of what is done; None where nobody traces.
    """
    api = _api()
    if api is None:
        yield None
        return
    tracer = api.get_tracer(TRACER)
    # An exception's text could hold what does not belong into a trace.
    with tracer.start_as_current_span(
        name, kind=api.SpanKind.PRODUCER, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield traceparent_of(current)
        except BaseException as error:
            fail(current, error)
            raise


def begin_span(
    name: str, began_ns: int, *, parent: str | None, links: Iterable[str | None], attributes: Mapping[str, str | int]
) -> Any | None:
    """Begin a span that somebody ends by `end()`; None where nobody traces.

    Args:
        name: what is done.
        began_ns: when that began, in nanoseconds since the epoch.
        parent: the traceparent that it belongs to; None begins a trace.
        links: traceparents of what it also belongs to; None and what cannot be read is left out.
        attributes: of the span.
    """
    api = _api()
    if api is None:
        return None
    return api.get_tracer(TRACER).start_span(
        name,
        context=_within(api, parent),
        kind=api.SpanKind.CONSUMER,
        attributes=attributes,
        links=[api.Link(context) for link in links if (context := _context_of(api, link))],
        start_time=began_ns,
        record_exception=False,
        set_status_on_exception=False,
    )


def fail(current: Any, error: BaseException) -> None:
    """Mark a span as failed by a kind of error."""
    api = _api()
    if api is not None:
        current.set_status(api.Status(api.StatusCode.ERROR, type(error).__name__))


def traceparent_of(current: Any) -> str | None:
    """Name a span; None if it is none that is known anywhere."""
    context = current.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the variables say where traces are to be sent."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").lower()
    if exporter:
        return exporter == "otlp"
    return any(environment.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT"))


def start_exporting(service: str) -> None:
    """Have this process send its spans, if the variables say where to; once, and never before a process forks.

    Args:
        service: its name in traces, unless OTEL_SERVICE_NAME says another.
    """
    if not is_wanted() or os.getpid() in _providers:
        return
    try:
        provider = _new_provider(service)
    except ImportError as error:
        log.warning("tracing_not_installed", missing=error.name, hint="pip install 'complyq[tracing]'")
        _providers[os.getpid()] = None
        return
    _providers[os.getpid()] = provider
    sys.modules[API].set_tracer_provider(provider)
    atexit.register(stop_exporting)


def stop_exporting() -> None:
    """Send what was traced last, if that takes no longer than a moment."""
    provider = _providers.get(os.getpid())
    if provider is not None:
        thread = threading.Thread(target=provider.shutdown, daemon=True)
        thread.start()
        thread.join(FLUSH_SECONDS)


def is_on() -> bool:
    """Whether anything in this process may trace."""
    return _api() is not None


def _new_provider(service: str) -> Any:
    from opentelemetry import trace  # noqa: F401, PLC0415 - only where it is wanted; it is found again by its name
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # it would wait for half a minute
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _api() -> Any | None:
    """Return OpenTelemetry, if anybody has imported it: without that nobody can have configured it."""
    return sys.modules.get(API)


def _within(api: Any, parent: str | None) -> Any:
    """Return the context of a parent. Without one it is empty: what happens to be current here is not ours."""
    from opentelemetry.context import Context  # noqa: PLC0415 - it is there where the API is

    found = _context_of(api, parent)
    return api.set_span_in_context(api.NonRecordingSpan(found), Context()) if found else Context()


def _context_of(api: Any, traceparent: str | None) -> Any | None:
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    context = api.SpanContext(trace_id, span_id, is_remote=True, trace_flags=api.TraceFlags(flags))
    return context if context.is_valid else None
