"""Straight-line code without a queue: what the work costs when nothing may crash, in bounded memory.

It does what a batch of Complyq's needs and no more: reads and validates IDs, sorts them without duplicates, uploads in one
resumable stream, reads each line of the answer into a typed object, brings times into one form, counts, and stores the
results sorted by ID as one gzip object. Nothing is durable before the end, checksums are not compared, and nobody else
is considered.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import numpy as np
import requests
from isal import igzip
from requests.adapters import HTTPAdapter

from complyq_producer.ids.values import text_slices, to_text
from racing.storing import open_shelf
from racing.task import JOB_TYPE, MAX_ID, Answer, Contender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from racing.storing import Shelf
    from racing.task import IdArray, Task

_BLOCK_BYTES = 1 << 20
_RUN_IDS = 1_000_000
_BUCKET_IDS = 250_000
_STRIDE = 1024
_ID_BYTES = 8
_ALPHABET = b"0123456789\n"
_RETRIES = 5
_id, _kind = attrgetter("id"), attrgetter("action", "reason")
_open_gzip: Any = igzip.GzipFile  # it has no types


@contextmanager
def start(task: Task) -> Iterator[Contender]:
    """Connect; the IDs are kept nowhere but in a temporary file."""
    with _started(task, keep_ids=False) as contender:
        yield contender


@contextmanager
def start_storing_ids(task: Task) -> Iterator[Contender]:
    """Connect; the IDs are stored first, as Complyq does it, and uploaded from there."""
    with _started(task, keep_ids=True) as contender:
        yield contender


@contextmanager
def _started(task: Task, *, keep_ids: bool) -> Iterator[Contender]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", _LargeBlocks())
        line = _Line(task, session, open_shelf(task.store_url), keep_ids=keep_ids)
        yield Contender(line.run, line.ids, lambda: {"seconds, CPU seconds": line.seconds})


class _Result(msgspec.Struct, gc=False, omit_defaults=False):
    """A line of the answer, with its fields in the order in which they are stored."""

    id: str
    type: str = JOB_TYPE
    action: str | None = None
    reason: str | None = None
    created_at: str | None = None
    redacted_at: str | None = None
    deleted_at: str | msgspec.UnsetType | None = msgspec.UNSET


class _LargeBlocks(HTTPAdapter):
    """Sends files in blocks of a MiB, where http.client's own are of 16 KiB."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, blocksize=_BLOCK_BYTES, **kwargs)


class _Line:
    """The whole way, from the file of IDs to the stored results."""

    def __init__(self, task: Task, session: requests.Session, shelf: Shelf, *, keep_ids: bool) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}
        self._task = task
        self._session = session
        self._shelf = shelf
        self._keep_ids = keep_ids
        self._folder = Path(task.folder)
        self._marked = _now()

    def run(self) -> Answer:
        self._marked = _now()
        payload = self._folder / "payload.txt"
        edges = write_payload(Path(self._task.ids_file), payload, self._folder)
        self._mark("read, sort, write")
        job = self._create_job()
        self._upload(job["upload_url"], payload)
        self._mark("upload")
        job = self._wait(job["id"])
        self._mark("wait")
        with ExitStack() as files:
            buckets = _Buckets(edges.ids, self._folder, files)
            counts = self._download(job["download_url"], buckets)
            self._mark("download and parse")
            buckets.write(self._folder / "results.jsonl.gz")
        self._mark("sort and pack")
        self._shelf.put("results.jsonl.gz", self._folder / "results.jsonl.gz")
        self._mark("store")
        return _answer(counts, edges.count)

    def ids(self) -> IdArray:
        with self._shelf.open("results.jsonl.gz") as stored, _open_gzip(fileobj=stored) as lines:
            return np.fromiter((int(msgspec.json.decode(line, type=_Result).id) for line in lines), np.uint64)

    def _mark(self, phase: str) -> None:
        (wall, cpu), before = _now(), self._marked
        self.seconds[phase], self._marked = (wall - before[0], cpu - before[1]), (wall, cpu)

    def _create_job(self) -> dict[str, Any]:
        wanted = {"type": JOB_TYPE, "resumable": True}
        return self._data(self._session.post(self._jobs_url, json=wanted, headers=self._bearer, timeout=60))

    def _wait(self, job_id: str) -> dict[str, Any]:
        while True:
            job = self._data(self._session.get(f"{self._jobs_url}/{job_id}", headers=self._bearer, timeout=60))
            if job["status"] == "complete":
                return job
            if job["status"] not in {"created", "in_progress"}:
                raise RuntimeError(f"the job ended as {job['status']}")
            time.sleep(self._task.poll_seconds)

    def _upload(self, url: str, payload: Path) -> None:
        """Send all in one stream; after a failure, go on from where the server says."""
        headers = {"Content-Type": "text/plain", "Content-Length": "0", "x-goog-resumable": "start"}
        session_uri = _checked(self._session.post(url, headers=headers, timeout=60)).headers["Location"]
        total, sent = payload.stat().st_size, 0
        if self._keep_ids:
            self._shelf.put("ids.txt", payload)
        for _ in range(_RETRIES):
            try:
                reply = self._put(session_uri, payload, sent, total)
            except requests.ConnectionError:
                reply = self._session.put(session_uri, headers={"Content-Range": f"bytes */{total}"}, timeout=60)
            if reply.status_code in {200, 201}:
                return
            if reply.status_code == 308:
                sent = int(reply.headers.get("Range", "bytes=0--1").rpartition("-")[2]) + 1
        raise RuntimeError(f"the upload was answered with {reply.status_code}")

    def _put(self, session_uri: str, payload: Path, sent: int, total: int) -> requests.Response:
        headers = {"Content-Range": f"bytes {sent}-{total - 1}/{total}", "Content-Length": str(total - sent)}
        with self._shelf.open("ids.txt", sent) if self._keep_ids else payload.open("rb") as file:
            if not self._keep_ids:
                file.seek(sent)
            return self._session.put(session_uri, data=_Sized(file, total - sent), headers=headers, timeout=600)

    def _download(self, url: str, buckets: _Buckets) -> Counter[tuple[str | None, str | None]]:
        counts: Counter[tuple[str | None, str | None]] = Counter()
        decode = msgspec.json.Decoder(_Result).decode_lines
        with self._session.get(url, stream=True, timeout=600) as answer:
            for text in _whole_lines(_checked(answer).raw.stream(_BLOCK_BYTES)):
                results = decode(text)
                counts.update(map(_kind, results))
                _normalise(results)
                buckets.add(results)
        return counts

    @property
    def _jobs_url(self) -> str:
        return f"{self._task.api_url}/2/compliance/jobs"

    @property
    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._task.token}"}

    def _data(self, reply: requests.Response) -> dict[str, Any]:
        data: dict[str, Any] = _checked(reply).json()["data"]
        return data


class _Sized:
    """A stream whose length is known, so that it is sent as it is, not in chunks."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self.len = length
        self.read = file.read


class Edges(msgspec.Struct, frozen=True):
    """How many different IDs there are, and every so-manieth of them."""

    count: int
    ids: Any


def write_payload(source: Path, target: Path, folder: Path) -> Edges:
    """Write each ID once, ascending, in bounded memory."""
    with (folder / "runs.bin").open("w+b") as spool, target.open("wb") as file:
        runs = list(_spill(_parsed(source), spool))
        count, edges = 0, []
        for ids in _merged(runs):
            edges.append(ids[-count % _BUCKET_IDS :: _BUCKET_IDS])
            count += len(ids)
            for piece in text_slices(ids):
                file.write(to_text(piece))
    return Edges(count, np.concatenate(edges)[1:])


def _parsed(source: Path) -> Iterator[IdArray]:
    with source.open("rb") as file:
        for text in _whole_lines(iter(lambda: file.read(_BLOCK_BYTES), b"")):
            if text.translate(None, _ALPHABET):
                raise ValueError("a line is not decimal")
            ids = np.fromstring(text, np.uint64, sep="\n")
            # It takes blank lines for nothing, and what is beyond 64 bits for the largest number.
            if len(ids) != text.count(b"\n") or not ids.all() or ids.max() == MAX_ID:
                raise ValueError("a line is blank, zero, or beyond 64 bits")
            yield ids


def _spill(arrays: Iterator[IdArray], spool: BinaryIO) -> Iterator[_Run]:
    waiting: list[IdArray] = []
    for ids in arrays:
        waiting.append(ids)
        if sum(map(len, waiting)) >= _RUN_IDS:
            yield _spilled(waiting, spool)
    if waiting:
        yield _spilled(waiting, spool)


def _spilled(waiting: list[IdArray], spool: BinaryIO) -> _Run:
    ids = _sorted_unique(waiting)
    first = spool.tell() // _ID_BYTES
    spool.write(ids.data)
    spool.flush()
    return _Run(spool.fileno(), first, len(ids), ids[::_STRIDE].copy())


class _Run(msgspec.Struct, frozen=True):
    """A sorted stretch of the spool: `count` IDs from place `first` on. A sequence, read from the disk."""

    file: int
    first: int
    count: int
    samples: Any

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> int:
        return int.from_bytes(os.pread(self.file, _ID_BYTES, (self.first + place) * _ID_BYTES), "little")

    def slice(self, start: int, end: int) -> IdArray:
        """Return the IDs of these places."""
        return np.frombuffer(
            os.pread(self.file, (end - start) * _ID_BYTES, (self.first + start) * _ID_BYTES), np.uint64
        )


def _merged(runs: list[_Run]) -> Iterator[IdArray]:
    """Yield all IDs ascending, some hundred thousand at a time: of every run the same range of values."""
    samples = np.sort(np.concatenate([run.samples for run in runs]))
    edges = np.unique(samples[_BUCKET_IDS // _STRIDE :: _BUCKET_IDS // _STRIDE]).tolist()
    bounds = [[0, *(bisect_left(run, edge) for edge in edges), len(run)] for run in runs]
    for ranges in zip(*(pairwise(places) for places in bounds), strict=True):
        yield _sorted_unique([run.slice(*span) for run, span in zip(runs, ranges, strict=True)])


def _sorted_unique(arrays: list[IdArray]) -> IdArray:
    ids = np.concatenate(arrays)
    arrays.clear()
    ids.sort()
    return ids[np.concatenate([[True], ids[1:] != ids[:-1]])] if len(ids) else ids


class _Buckets:
    """Result lines spread over files by the range of their ID, so that each can be sorted in memory."""

    def __init__(self, edges: IdArray, folder: Path, files: ExitStack) -> None:
        self._edges = edges
        self._encode = msgspec.json.Encoder().encode_lines
        self._files = [
            tuple(files.enter_context((folder / f"{kind}-{number}").open("w+b")) for kind in ("ids", "lines"))
            for number in range(len(edges) + 1)
        ]

    def add(self, results: list[_Result]) -> None:
        """Take some lines."""
        ids = np.fromstring("\n".join(map(_id, results)), np.uint64, sep="\n")
        if len(ids) != len(results):
            raise ValueError("a result has no decimal ID")
        order = np.argsort(ids)
        ids = ids[order]
        ascending = [results[place] for place in order.tolist()]
        bounds = [0, *np.searchsorted(ids, self._edges).tolist(), len(ids)]
        for (start, end), (ids_file, lines_file) in zip(pairwise(bounds), self._files, strict=True):
            if start < end:
                ids_file.write(ids[start:end].data)
                lines_file.write(self._encode(ascending[start:end]))

    def write(self, target: Path) -> None:
        """Write all lines ascending by ID, packed."""
        with target.open("wb") as file, _open_gzip("", "wb", 1, file, mtime=0) as packed:
            for ids_file, lines_file in self._files:
                ids_file.seek(0)
                lines_file.seek(0)
                order = np.argsort(np.frombuffer(ids_file.read(), np.uint64))
                lines = lines_file.read().splitlines(keepends=True)
                packed.write(b"".join([lines[place] for place in order.tolist()]))


def _normalise(results: list[_Result]) -> None:
    """Bring the time of redaction to its one name, and times into the form `2019-10-29T17:02:47.000Z`."""
    for result in results:
        if result.deleted_at is not msgspec.UNSET and result.redacted_at is None:
            result.redacted_at, result.deleted_at = result.deleted_at, msgspec.UNSET
        created_at, redacted_at = result.created_at, result.redacted_at
        if created_at is not None and (len(created_at) != 24 or created_at[23] != "Z"):
            result.created_at = _in_utc(created_at)
        if redacted_at is not None and (len(redacted_at) != 24 or redacted_at[23] != "Z"):
            result.redacted_at = _in_utc(redacted_at)


def _in_utc(text: str) -> str:
    if len(text) == 25 and text.endswith("+00:00"):
        return text[:19] + ".000Z"
    instant = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    return instant.isoformat(timespec="milliseconds") + "Z"


def _answer(counts: Counter[tuple[str | None, str | None]], unique: int) -> Answer:
    by_action: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    for (action, reason), count in counts.items():
        by_action[action or ""] += count
        by_reason[reason or ""] += count
    return Answer(unique=unique, flagged=counts.total(), by_action=dict(by_action), by_reason=dict(by_reason))


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
    if rest:
        yield rest + b"\n"


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def _checked(reply: requests.Response) -> requests.Response:
    reply.raise_for_status()
    return reply
