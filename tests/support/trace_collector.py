"""A collector of traces: takes what OpenTelemetry's OTLP exporters send over HTTP, and shows it as plain values."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class SeenSpan:
    """A span as it came."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]
    """Traces and spans."""
    attributes: dict[str, str | int]
    failed: str
    """The kind of error; empty if it went well."""


@dataclass
class Collector:
    """A running collector."""

    url: str
    spans: list[SeenSpan] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    """Cleared, it keeps who sends waiting."""

    def of(self, trace: str) -> list[SeenSpan]:
        """Return the spans of a trace."""
        return [span for span in self.spans if span.trace == trace]

    def named(self, name: str) -> list[SeenSpan]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Collect while the context is open."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    collector.answers.set()
    server.collector = collector  # type: ignore[attr-defined] # handlers find it there
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        self.server.collector.answers.wait()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for found in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _plain(found.resource.attributes).get("service.name", "")
            self.server.collector.spans += [
                _seen(str(service), each) for scope in found.scope_spans for each in scope.spans
            ]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _seen(service: str, span: Any) -> SeenSpan:
    return SeenSpan(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_plain(span.attributes),
        failed=span.status.message if span.status.code == 2 else "",
    )


def _plain(attributes: Any) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in attributes}
