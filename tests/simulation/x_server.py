"""X and its storage in memory: both contracts, the windows, the one active job of a type, and what may go wrong there."""

from __future__ import annotations

import base64
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google_crc32c
import msgspec

from complyq_workers.x.messages import Reply, Request

API = "https://api.x.com"
STORAGE = "https://storage.googleapis.com"
SECRET = "SECRET"
UPLOAD_SECONDS, DOWNLOAD_SECONDS = 900.0, 7 * 86_400.0
ALLOWED_REQUESTS, WINDOW_SECONDS = 150, 900
"""X answers so many requests of each kind in a window."""
LIMITED = frozenset({"create", "get", "list", "cancel"})
ACTIVE = frozenset({"created", "in_progress"})
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")
_ACTIONS = {0: ("delete", "deleted"), 1: ("scrub_geo", "geo_scrubbed"), 2: ("rehydrate", "tweet_edited")}


def action_of(number: int) -> tuple[str, str] | None:
    """Say what must be done about an ID, and why: a pure function, so that anybody can tell what X found."""
    return _ACTIONS.get(number * 7919 % 9)


def operation_of(request: Request) -> str:
    """Name what a request asks for."""
    path = urlsplit(request.url).path
    if request.url.startswith(STORAGE):
        if request.method == "PUT":
            return "query" if request.headers.get("Content-Range", "").startswith("bytes *") else "chunk"
        return "start" if request.method == "POST" else "download"
    if path.endswith("/upload"):
        return "whole"
    if path.endswith("/download"):
        return "download"
    if request.method == "GET":
        return "list" if path.endswith("/jobs") else "get"
    return "create" if request.method == "POST" else "cancel"


@dataclass(eq=False)
class RemoteJob:
    """One job at X; times by the world's clock."""

    id: str
    type: str
    name: str | None
    created_at: float
    status: str = "created"
    received: bytearray = field(default_factory=bytearray)
    uploaded: bool = False
    ends: tuple[float, str] = (0.0, "")
    excused: bool = False
    """Whether it may exist beside another active one: nobody could have known better when it was created."""

    @property
    def is_active(self) -> bool:
        """Whether it holds its type's slot."""
        return self.status in ACTIVE

    @property
    def ids(self) -> frozenset[int]:
        """What it was asked about."""
        return frozenset(int(line) for line in bytes(self.received).split())


Fate = Callable[[], tuple[float, str]]
"""Decides what becomes of a job once it has its IDs: after how many seconds, and with which status."""


class XServer:
    """Answers requests, strictly; what it should do wrong it is told with each request."""

    def __init__(self, clock: Callable[[], float], *, direct: bool, one_at_a_time: bool, fate: Fate) -> None:
        self.clock = clock
        self.direct = direct
        self.one_at_a_time = one_at_a_time
        self.fate = fate
        self.jobs: dict[str, RemoteJob] = {}
        self.sessions: dict[str, RemoteJob] = {}
        self.dead_sessions: set[str] = set()
        self.fails: Callable[[RemoteJob], bool] = lambda _: False
        """Whether a job fails that has its IDs, whatever its fate."""
        self.failed_in_row = 0
        self.refused = 0
        """How many requests were more than X allows."""
        self.epoch = 0.0
        self._serial = 0
        self._asked: Counter[tuple[str, int]] = Counter()

    def settle(self) -> None:
        """Let what is due come to pass."""
        for job in self.jobs.values():
            if job.status == "created" and self.clock() >= job.created_at + UPLOAD_SECONDS:
                job.status = "expired"
            if job.status == "in_progress" and self.clock() >= job.ends[0]:
                job.status = job.ends[1]
            if job.status == "in_progress" and self.clock() >= job.created_at + DOWNLOAD_SECONDS:
                job.status = "expired"

    def active(self, type_: str) -> list[RemoteJob]:
        """List the jobs that hold the slot of a type: at most one, if X kept order."""
        self.settle()
        return [job for job in self.jobs.values() if job.type == type_ and job.is_active]

    def create(self, type_: str, name: str | None) -> RemoteJob:
        """Make a job, whatever is active."""
        self._serial += 1
        job = RemoteJob(str(10**18 + self._serial), type_, name, self.clock())
        self.jobs[job.id] = job
        return job

    def answer(self, request: Request, lagging: int = 0) -> Reply:
        """Answer a request that has no streamed body; a lagging list lacks the newest jobs."""
        operation = operation_of(request)
        if operation not in LIMITED:
            return self._answer(request, operation, lagging)
        allowance = self._allowance(operation)
        if allowance["x-rate-limit-remaining"] == "-1":
            self.refused += 1
            return Reply(429, {**self._headers(), **allowance, "x-rate-limit-remaining": "0"})
        reply = self._answer(request, operation, lagging)
        return Reply(reply.status, {**reply.headers, **allowance}, reply.body)

    def job_of(self, request: Request) -> RemoteJob | None:
        """Find the job that an upload or a download is about."""
        parts = urlsplit(request.url).path.split("/")
        return self.sessions.get(parts[-1]) if "session" in parts else self.jobs.get(parts[-2])

    def take(self, request: Request, job: RemoteJob, first: int, block: bytes) -> None:
        """Persist a block of an upload that came in at an offset; what it has already is the same."""
        self.settle()
        if job.uploaded or first > len(job.received):
            return
        job.received += block[len(job.received) - first :]
        if len(job.received) == self._total(request):
            self._complete(job)

    def begin(self, request: Request, job: RemoteJob) -> Reply | int:
        """Look whether an upload may begin; return the offset of its first byte, or a refusal."""
        self.settle()
        if operation_of(request) == "whole":
            return 0 if job.status == "created" else self._problem(403 if job.status == "expired" else 409)
        found = _RANGE.fullmatch(request.headers["Content-Range"])
        session = urlsplit(request.url).path.rsplit("/", 1)[1]
        if session in self.dead_sessions or found is None:
            return self._reply(410)
        return int(found[1])

    def put(self, request: Request, job: RemoteJob, body: bytes) -> Reply:
        """Answer to the end of a chunk, or to a whole upload."""
        if operation_of(request) != "whole":
            return self._progress(request)
        self.settle()
        if job.status != "created" or len(body) != int(request.headers["Content-Length"]):
            return self._problem(409)
        job.received[:] = body
        self._complete(job)
        return self._reply(200, {"data": {"id": job.id}})

    def results(self, request: Request) -> Reply:
        """Give a job's results: of its IDs alone, in no order, with blank lines."""
        self.settle()
        job = self.job_of(request)
        if job is None or job.status != "complete" or self.clock() >= job.created_at + DOWNLOAD_SECONDS:
            return self._problem(404)
        lines = [_line(int(number)) for number in bytes(job.received).split()]
        random.Random(job.id).shuffle(lines)
        body = b"\n".join(line for line in lines if line is not None) + b"\n\n"
        crc = base64.b64encode(google_crc32c.value(body).to_bytes(4, "big")).decode()
        hashes = {} if self.direct else {"x-goog-hash": f"crc32c={crc}"}
        return Reply(200, {**self._headers(), "content-length": str(len(body)), **hashes}, body)

    def _allowance(self, operation: str) -> dict[str, str]:
        """Count a request, and say how many are left of its kind and until when."""
        window = int(self.epoch + self.clock()) // WINDOW_SECONDS
        self._asked[operation, window] += 1
        left = max(-1, ALLOWED_REQUESTS - self._asked[operation, window])
        told = (ALLOWED_REQUESTS, left, (window + 1) * WINDOW_SECONDS)
        return dict(
            zip(("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"), map(str, told), strict=True)
        )

    def _answer(self, request: Request, operation: str, lagging: int) -> Reply:
        self.settle()
        match operation:
            case "create":
                return self._create(request)
            case "list":
                return self._list(request, lagging)
            case "get":
                return self._of(request, self._show)
            case "cancel":
                return self._of(request, self._cancel)
            case "start":
                return self._start(request)
            case "query":
                return self._progress(request)
            case operation:
                raise AssertionError(f"{operation} is not answered here")

    def _create(self, request: Request) -> Reply:
        assert isinstance(request.body, bytes)
        wanted = msgspec.json.decode(request.body)
        if self.direct and wanted.get("resumable"):
            return self._problem(400)
        if self.one_at_a_time and self.active(wanted["type"]):
            return self._problem(409)
        return self._show(self.create(wanted["type"], wanted.get("name")))

    def _list(self, request: Request, lagging: int) -> Reply:
        type_ = parse_qs(urlsplit(request.url).query)["type"][0]
        jobs = [job for job in self.jobs.values() if job.type == type_][::-1][lagging:]
        found = [_fields(job, self) for job in jobs if self.clock() < job.created_at + DOWNLOAD_SECONDS]
        return self._reply(200, {"data": found} if found else {"meta": {"result_count": 0}})

    def _of(self, request: Request, answer: Callable[[RemoteJob], Reply]) -> Reply:
        job = self.jobs.get(urlsplit(request.url).path.rsplit("/", 1)[1])
        return answer(job) if job else self._problem(404)

    def _show(self, job: RemoteJob) -> Reply:
        return self._reply(200, {"data": _fields(job, self)})

    def _cancel(self, job: RemoteJob) -> Reply:
        if not self.direct:
            return self._problem(405)
        if job.is_active:
            job.status = "failed"
        return self._show(job)

    def _start(self, request: Request) -> Reply:
        job = self.job_of(request)
        if job is None or self.clock() >= job.created_at + UPLOAD_SECONDS:
            return self._reply(403)
        session = f"s{len(self.sessions)}"
        self.sessions[session] = job
        headers = {"location": f"{STORAGE}/session/{session}?upload_id={SECRET}-{session}"}
        return Reply(201, {**self._headers(), **headers})

    def _progress(self, request: Request) -> Reply:
        session = urlsplit(request.url).path.rsplit("/", 1)[1]
        job = self.sessions.get(session)
        if job is None or session in self.dead_sessions:
            return self._reply(410)
        if job.uploaded or len(job.received) == self._total(request):
            digest = google_crc32c.value(bytes(job.received)).to_bytes(4, "big")
            hashes = f"crc32c={base64.b64encode(digest).decode()},md5={base64.b64encode(md5(job.received).digest()).decode()}"  # noqa: S324 - Google's
            return Reply(200, {**self._headers(), "x-goog-hash": hashes})
        persisted = {"range": f"bytes=0-{len(job.received) - 1}"} if job.received else {}
        return Reply(308, {**self._headers(), **persisted})

    def _complete(self, job: RemoteJob) -> None:
        job.uploaded = True
        if job.status == "created":  # an upload that ends after its window is stored, and changes nothing
            seconds, status = self.fate()
            status = "failed" if self.fails(job) else status
            self.failed_in_row = 0 if status == "complete" else self.failed_in_row + 1
            job.status, job.ends = "in_progress", (self.clock() + seconds, status)

    @staticmethod
    def _total(request: Request) -> int:
        found = _RANGE.fullmatch(request.headers["Content-Range"])
        assert found is not None
        return int(found[2])

    def _reply(self, status: int, body: Any = None) -> Reply:
        return Reply(status, self._headers(), b"" if body is None else msgspec.json.encode(body))

    def _problem(self, status: int) -> Reply:
        return self._reply(status, {"title": f"problem {status}"})

    def _headers(self) -> dict[str, str]:
        return {"date": format_datetime(self.time(self.clock()), usegmt=True)}

    def time(self, seconds: float) -> datetime:
        """Return the world's time by X's clock."""
        return datetime.fromtimestamp(self.epoch + seconds, UTC)


def _fields(job: RemoteJob, server: XServer) -> dict[str, Any]:
    base, token = (f"{API}/2/compliance/jobs", "token") if server.direct else (f"{STORAGE}/x/jobs", "X-Goog-Signature")
    signed = "" if server.direct else "&X-Goog-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bx-goog-resumable"
    return {
        "id": job.id,
        "type": job.type,
        "name": job.name,
        "status": job.status,
        "created_at": server.time(job.created_at).isoformat(),
        "upload_url": f"{base}/{job.id}/upload?{token}={SECRET}-up-{job.id}{signed}",
        "upload_expires_at": server.time(job.created_at + UPLOAD_SECONDS).isoformat(),
        "download_url": f"{base}/{job.id}/download?{token}={SECRET}-down-{job.id}",
        "download_expires_at": server.time(job.created_at + DOWNLOAD_SECONDS).isoformat(),
    }


def _line(number: int) -> bytes | None:
    found = action_of(number)
    if found is None:
        return None
    action, reason = found
    return msgspec.json.encode(
        {"id": str(number), "action": action, "reason": reason, "created_at": "2019-10-29T17:02:47.000Z"}
    )
