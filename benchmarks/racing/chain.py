"""Small batches, a job each: how many get through in a second, and how long one takes with nobody beside it.

What the chain of tasks costs is all that is left: X completes each job at once, and there is next to nothing to sort or send.
The floor of the latter is straight-line code that sends the same requests over one connection, and keeps nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import requests

from racing.complyq_stack import started, sum_of
from racing.inputs import expected
from racing.task import JOB_TYPE, SMALL_BATCH_IDS, Answer, Contender

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from complyq_producer.client import Batch
    from complyq_producer.listening import Event
    from racing.complyq_stack import Stack
    from racing.task import IdArray, Task

_WARM_UPS = 10


@contextmanager
def start_all_at_once(task: Task) -> Iterator[Contender]:
    """Complyq, with all batches enqueued as fast as it takes them."""
    with _warm(task) as stack:
        chain = _Chain(task, stack)
        yield Contender(chain.all_at_once, chain.ids, chain.pace)


@contextmanager
def start_one_by_one(task: Task) -> Iterator[Contender]:
    """Complyq, with the next batch enqueued when the last one has ended."""
    with _warm(task) as stack:
        chain = _Chain(task, stack)
        yield Contender(chain.one_by_one, chain.ids, chain.delays)


@contextmanager
def start_straight(task: Task) -> Iterator[Contender]:
    """Straight-line code: the requests that a batch needs, one after the other."""
    with requests.Session() as session:
        session.trust_env = False
        line = _Line(task, session)
        yield Contender(line.run, line.ids, lambda: _milliseconds("in all", line.seconds))


@contextmanager
def _warm(task: Task) -> Iterator[Stack]:
    with started(task) as stack:
        stack.start_workers()
        for _ in range(_WARM_UPS):
            stack.warm_up()
        yield stack


class _Chain:
    """The batches of a task on their way."""

    def __init__(self, task: Task, stack: Stack) -> None:
        self._task = task
        self._stack = stack
        self._given = _batches(task)
        self._ends: list[tuple[Batch, Event]] = []
        self._seconds: dict[str, list[float]] = {"from the call": [], "from its return": []}
        self._taken = 0.0

    def all_at_once(self) -> Answer:
        """Enqueue all batches, then wait for the last end."""
        begun = time.perf_counter()
        batches = [self._stack.producer.enqueue(ids, JOB_TYPE) for ids in self._given]
        ends = {event.subject: event for event in self._stack.ends(batches)}
        self._taken = time.perf_counter() - begun
        self._ends = [(batch, ends[batch.id]) for batch in batches]
        return sum_of([*ends.values()])

    def one_by_one(self) -> Answer:
        """Take each batch through by itself."""
        for ids in self._given:
            called = time.perf_counter()
            batch = self._stack.producer.enqueue(ids, JOB_TYPE)
            returned = time.perf_counter()
            (end,) = self._stack.ends([batch])
            ended = time.perf_counter()
            self._ends.append((batch, end))
            self._seconds["from the call"].append(ended - called)
            self._seconds["from its return"].append(ended - returned)
        return sum_of([end for _, end in self._ends])

    def ids(self) -> IdArray:
        """Return the flagged IDs of all batches, once the answer to each by itself has been found right.

        Raises:
            RuntimeError: one is wrong.
        """
        flagged = []
        for ids, (batch, end) in zip(self._given, self._ends, strict=True):
            told, right = sum_of([end]), expected(np.array(sorted(ids), np.uint64), self._task.rate).answer
            if told != right:
                raise RuntimeError(f"the answer to batch {batch.id} is {told}, not {right}")
            flagged += [int(result.id) for result in self._stack.producer.results(batch.id)]
        return np.array(flagged, np.uint64)

    def pace(self) -> Mapping[str, Any]:
        """Return how many batches ended in a second."""
        return {"batches a second": len(self._ends) / self._taken}

    def delays(self) -> Mapping[str, Any]:
        """Return how long a batch took."""
        return {name: ms for kind, taken in self._seconds.items() for name, ms in _milliseconds(kind, taken).items()}


class _Line:
    """What has to be asked of X for a batch."""

    def __init__(self, task: Task, session: requests.Session) -> None:
        self.seconds: list[float] = []
        self._jobs_url = f"{task.api_url}/2/compliance/jobs"
        self._bearer = {"Authorization": f"Bearer {task.token}"}
        self._poll_seconds = task.poll_seconds
        self._session = session
        self._given = _batches(task)
        self._results: list[dict[str, Any]] = []

    def run(self) -> Answer:
        for ids in self._given:
            begun = time.perf_counter()
            self._results += self._check(ids)
            self.seconds.append(time.perf_counter() - begun)
        counts = {name: dict(Counter(result[name] for result in self._results)) for name in ("action", "reason")}
        unique = sum(map(len, self._given))
        return Answer(unique=unique, flagged=len(self._results), by_action=counts["action"], by_reason=counts["reason"])

    def ids(self) -> IdArray:
        return np.array([int(result["id"]) for result in self._results], np.uint64)

    def _check(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """List and create, begin the upload, send it, look, download."""
        self._ask("GET", self._jobs_url, params={"type": JOB_TYPE}, headers=self._bearer)
        job = self._data("POST", self._jobs_url, json={"type": JOB_TYPE, "resumable": True})
        start = {"Content-Type": "text/plain", "Content-Length": "0", "x-goog-resumable": "start"}
        session_uri = self._ask("POST", job["upload_url"], headers=start).headers["Location"]
        body = "".join(f"{identifier}\n" for identifier in sorted(set(ids))).encode()
        self._ask("PUT", session_uri, data=body)
        while (job := self._data("GET", f"{self._jobs_url}/{job['id']}"))["status"] != "complete":
            time.sleep(self._poll_seconds)
        lines = self._ask("GET", job["download_url"])
        return msgspec.json.Decoder(dict[str, Any]).decode_lines(lines.content)

    def _data(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        data: dict[str, Any] = self._ask(method, url, headers=self._bearer, **options).json()["data"]
        return data

    def _ask(self, method: str, url: str, **options: Any) -> requests.Response:
        reply = self._session.request(method, url, timeout=60, **options)
        reply.raise_for_status()
        return reply


def _batches(task: Task) -> list[list[int]]:
    with Path(task.ids_file).open() as file:
        ids = [int(line) for line in file]
    return [ids[start : start + SMALL_BATCH_IDS] for start in range(0, len(ids), SMALL_BATCH_IDS)]


def _milliseconds(kind: str, taken: Sequence[float]) -> dict[str, float]:
    return {
        f"median ms, {kind}": median(taken) * 1000,
        f"95th percentile ms, {kind}": quantiles(taken, n=20)[-1] * 1000,
    }
