"""S3 servers that misbehave on purpose: real HTTP, a handful of requests, faults that a good server cannot be told to make."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_DATE = "Sun, 22 Nov 2026 10:00:00 GMT"
_LISTING = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'
_BEGUN = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
_COMPLETED = '<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>'


@dataclass
class Misbehaviour:
    """What the server does wrong.

    Attributes:
        ignores_conditions: a write with If-None-Match overwrites all the same.
        ignores_conditions_of_parts: only multipart uploads do.
        forgets_uploads: a multipart upload is completed, and the answer is that there is none.
        conflicts: so many conditional writes are answered 409 first.
        breaks_after: so many bytes into each answer the connection is cut; None never.
        changes: the object is replaced after the first read.
        ignores_range: the whole object is sent where its end was asked for.
    """

    ignores_conditions: bool = False
    ignores_conditions_of_parts: bool = False
    forgets_uploads: bool = False
    conflicts: int = 0
    breaks_after: int | None = None
    changes: bool = False
    ignores_range: bool = False
    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[int, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@contextmanager
def misbehaving_s3(misbehaviour: Misbehaviour) -> Iterator[str]:
    """Serve on a free loopback port; yields the endpoint."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.misbehaviour = misbehaviour
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    misbehaviour: Misbehaviour
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self._begin("PUT")
        if "partNumber" in self._query:
            fault.parts[int(self._query["partNumber"][0])] = body
            self._answer(200, b"", {"ETag": _etag(body)})
        elif fault.conflicts:
            fault.conflicts -= 1
            self._refuse(409, "ConditionalRequestConflict")
        elif self._key in fault.objects and not fault.ignores_conditions:
            self._refuse(412, "PreconditionFailed")
        else:
            fault.objects[self._key] = body
            self._answer(200, b"", {"ETag": _etag(body)})

    def do_GET(self) -> None:
        fault = self._begin("GET")
        if "list-type" in self._query:
            self._answer(200, _LISTING.encode(), {"Content-Type": "application/xml"})
        elif (body := fault.objects.get(self._key)) is None:
            self._refuse(404, "NoSuchKey")
        elif self.headers.get("If-Match", _etag(body)) != _etag(body):
            self._refuse(412, "PreconditionFailed")
        else:
            self._send(body, fault)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        fault = self._begin("POST")
        if "uploads" in self._query:
            self._answer(200, _BEGUN.encode(), {"Content-Type": "application/xml"})
        elif self._key in fault.objects and not fault.ignores_conditions_of_parts:
            self._refuse(412, "PreconditionFailed")
        else:
            fault.objects[self._key] = b"".join(body for _, body in sorted(fault.parts.items()))
            if fault.forgets_uploads:
                self._refuse(404, "NoSuchUpload")
            else:
                self._answer(200, _COMPLETED.encode(), {"Content-Type": "application/xml"})

    def do_HEAD(self) -> None:
        body = self._begin("HEAD").objects.get(self._key)
        self._answer(404 if body is None else 200, body or b"", {})

    def do_DELETE(self) -> None:
        fault = self._begin("DELETE")
        if "uploadId" in self._query:
            fault.parts.clear()
        else:
            fault.objects.pop(self._key, None)
        self._answer(204, b"", {})

    @property
    def _key(self) -> str:
        return urlsplit(self.path).path

    @property
    def _query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def _begin(self, method: str) -> Misbehaviour:
        fault = self.server.misbehaviour
        fault.requests.append(f"{method} {self.headers.get('Range', '')}".strip())
        return fault

    def _send(self, body: bytes, fault: Misbehaviour) -> None:
        wanted = "" if fault.ignores_range else self.headers.get("Range", "")
        offset = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        headers = {"ETag": _etag(body), "Last-Modified": _DATE}
        if wanted:
            headers["Content-Range"] = f"bytes {offset}-{len(body) - 1}/{len(body)}"
        if fault.changes:
            fault.objects[self._key] = body[::-1]
        self._answer(206 if wanted else 200, body[offset:], headers, fault.breaks_after)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(), {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in {"Last-Modified": _DATE, **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.close_connection = cut is not None and cut < len(body)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
