"""Uploads of one payload to a storage far away: ours, in one stream and in chunks, and Google's library for it.

Measured is from the start of a resumable session to the answer that everything is there. Ours reads the payload from a
store, in parts as a batch has them, through the code that workers run.
"""

from __future__ import annotations

import filecmp
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import requests
from google.resumable_media.requests import ResumableUpload

from complyq_config.logging import configure_logging
from complyq_producer.facts import Plan, PlannedPart
from complyq_producer.model import BatchId, ComplianceType, JobId
from complyq_producer.store import open_store
from complyq_workers.payload import Payload
from complyq_workers.upload import resume, start_session, verify_hashes
from complyq_workers.x import StaticBearer, Transport, XClient
from racing.task import JOB_TYPE, Answer, Contender
from racing.uploading_x import Control, payload_of, received_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from racing.task import IdArray, Task

CHUNK_BYTES = 8 << 20
_PART_BYTES = 16_000_000
_SECONDS = 60
_googles: Any = ResumableUpload  # it has no types


@contextmanager
def start_stream(task: Task) -> Iterator[Contender]:
    """Upload as workers do unless they are told otherwise."""
    with _connected(task) as ours:
        yield Contender(ours.run, ours.ids, ours.figures)


@contextmanager
def start_chunks(task: Task) -> Iterator[Contender]:
    """Upload as workers do with `COMPLYQ_UPLOAD_CHUNK_BYTES`."""
    with _connected(task, CHUNK_BYTES) as ours:
        yield Contender(ours.run, ours.ids, ours.figures)


@contextmanager
def start_cut(task: Task) -> Iterator[Contender]:
    """Upload as workers do, over a connection that breaks once, in the middle."""
    with _connected(task) as ours:
        ours.expect_cut()
        yield Contender(ours.run, ours.ids, ours.figures)


@contextmanager
def start_googles(task: Task) -> Iterator[Contender]:
    """Upload with google-resumable-media, from a file; its sessions are started as the XML API wants it."""
    with requests.Session() as session:
        session.trust_env = False
        googles = _Googles(task, session)
        yield Contender(googles.run, googles.ids, googles.figures)


class _Upload:
    """A job at X, and what its storage has got."""

    def __init__(self, task: Task) -> None:
        self.payload = payload_of(Path(task.ids_file))
        self.transport = Transport([task.storage_url], task.api_url)
        job = XClient(task.api_url, self.transport, StaticBearer(task.token)).create_job(JOB_TYPE, None).value
        self.url = str(job.upload_url)
        self.x = Control(task.api_url)
        self._received = received_in(Path(task.folder).parent)

    def ids(self) -> IdArray:
        if not filecmp.cmp(self.payload, self._received, shallow=False):
            raise RuntimeError("the storage has other bytes than those of the payload")
        return np.fromstring(self._received.read_bytes(), np.uint64, sep="\n")

    def figures(self) -> Mapping[str, Any]:
        requests_made = self.x.storage_requests()
        arrived = sum(request["bytes"] for request in requests_made)
        return {"requests": len(requests_made), "bytes that arrived twice": arrived - self.payload.stat().st_size}


class _Ours(_Upload):
    def __init__(self, task: Task, chunk_bytes: int) -> None:
        super().__init__(task)
        self._stored = _stored(task, self.payload)
        self._chunk_bytes = chunk_bytes

    def expect_cut(self) -> None:
        """Have the first request with bytes cut in its middle."""
        self.x.cut(self._stored.total // 2)

    def run(self) -> Answer:
        source, total = self._stored.open, self._stored.total
        session_uri = start_session(self.transport, self.url)
        done = resume(self.transport, session_uri, source, total, chunk_bytes=self._chunk_bytes, is_new=True)
        if not (done.verified or verify_hashes(source, total, done.hashes)):
            raise RuntimeError("the storage gave no checksums")
        return Answer()


class _Googles(_Upload):
    def __init__(self, task: Task, session: requests.Session) -> None:
        super().__init__(task)
        self._session = session

    def run(self) -> Answer:
        headers = {"Content-Type": "text/plain", "Content-Length": "0", "x-goog-resumable": "start"}
        started = self._session.post(self.url, headers=headers, timeout=_SECONDS)
        started.raise_for_status()
        with self.payload.open("rb") as stream:
            upload = _taken_over(started.headers["Location"], stream, self.payload.stat().st_size)
            while not upload.finished:
                upload.transmit_next_chunk(self._session)
        return Answer()


def _taken_over(session_uri: str, stream: Any, total: int) -> Any:
    """Have the library go on in a session that it did not start: it starts those of the JSON API only."""
    upload = _googles(session_uri, CHUNK_BYTES)
    vars(upload).update(_resumable_url=session_uri, _stream=stream, _total_bytes=total, _content_type="text/plain")
    return upload


@contextmanager
def _connected(task: Task, chunk_bytes: int = 0) -> Iterator[_Ours]:
    configure_logging("console", "ERROR")
    ours = _Ours(task, chunk_bytes)
    with closing(ours.transport):
        yield ours


def _stored(task: Task, payload: Path) -> Payload:
    """Store the payload in parts, and describe it as a plan does."""
    store = open_store(task.store_url)
    parts: list[PlannedPart] = []
    with payload.open("rb") as file:
        while body := file.read(_PART_BYTES):
            store.create(f"ids/{len(parts):05d}.txt", body)
            parts.append(PlannedPart(batch_id=BatchId("b"), part=len(parts), attempt=1, count=0, bytes=len(body)))
    keys = [f"ids/{part.part:05d}.txt" for part in parts]
    total = payload.stat().st_size
    plan = Plan(
        type=ComplianceType(JOB_TYPE), number=1, job_id=JobId("j"), parts=parts, payload=keys, count=0, bytes=total
    )
    return Payload(store, plan, total)
