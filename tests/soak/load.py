"""Callers that submit batches all the time: of mixed sizes, some killed, some at once with another, some cancelled."""

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from complyq_producer import Producer
from complyq_producer.errors import StoreError
from soak.evidence import Request
from soak.ids import IdRange
from soak.submit import submit
from soak.watch import Watch

_SIZES = (3, 200, 2_000, 12_000, 29_000, 65_000, 95_000)
_SIZE_WEIGHTS = (2, 4, 5, 5, 4, 3, 1)
_END_SECONDS = 30
_FIRST_ID = {"tweets": 10**18, "users": 10**8}


class Callers:
    """Submits batches of one type for as long as it is not stopped, never more than `backlog` unfinished ones."""

    def __init__(
        self,
        type_: str,
        seed: str,
        producer: Producer,
        environment: dict[str, str],
        log: Path,
        watch: Watch,
        *,
        backlog: int,
    ) -> None:
        self.requests: list[Request] = []
        self.counts: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._type = type_
        self._dice = random.Random(seed)
        self._producer = producer
        self._environment = environment
        self._log = log
        self._watch = watch
        self._backlog = backlog
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._caller: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"callers of {type_}", daemon=True)

    def start(self) -> None:
        """Begin to submit."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is begun, and submit nothing more."""
        self._stop.set()

    def end(self) -> None:
        """Leave nothing running, whatever is begun."""
        self._stop.set()
        if self._caller:
            self._caller.kill()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    @property
    def is_alive(self) -> bool:
        """Whether calls are still under way."""
        return self._thread.is_alive()

    @property
    def unfinished(self) -> int:
        """How many batches were accepted that have not ended."""
        return len({told for request in self.requests for told in request.told} - self._watch.ended)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self.unfinished < self._backlog:
                    self._submit_one()
                self._do_what_is_due(time.monotonic())
                self._stop.wait(0.1)
            self._do_what_is_due(float("inf"))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the soak's end reports it
            self.failure = error

    def _submit_one(self) -> None:
        request = self._new_request()
        self.requests.append(request)
        ways = (self._call, self._call_and_be_killed, self._call_twice_at_once)
        [way] = self._dice.choices(ways, (6, 3, 2))
        way(request)
        if request.key and self._dice.random() < 0.2:
            self._later.append((time.monotonic() + self._dice.uniform(1, 6), lambda: self._call_again(request)))
        if self._dice.random() < 0.12:
            self._later.append((time.monotonic() + self._dice.uniform(0, 4), lambda: self._cancel(request)))

    def _new_request(self) -> Request:
        dice, number = self._dice, len(self.requests)
        [size] = dice.choices(_SIZES, _SIZE_WEIGHTS)
        ids = IdRange(
            first=_FIRST_ID[self._type] + 7919 * dice.randrange(50_000),  # so that batches have IDs in common
            count=max(1, int(size * dice.uniform(0.7, 1.0))),
            step=7919,
            duplicates=dice.choice((0, 0, 1)),
            invalid=dice.choice((0, 0, 0, 2)),
        )
        id_ = f"{self._type}-{number}"
        return Request(id=id_, type=self._type, ids=ids, key=f"key {id_}" if dice.random() < 0.75 else None)

    def _call(self, request: Request) -> None:
        """Enqueue until it is known to be accepted; a caller without a key tries once."""
        while True:
            try:
                request.told.append(submit(self._producer, request).id)
                return
            except StoreError:
                self.counts["calls failed"] += 1
                if request.key is None or self._stop.wait(0.5):
                    return

    def _call_again(self, request: Request) -> None:
        self.counts["calls repeated"] += 1
        self._call(request)

    def _call_twice_at_once(self, request: Request) -> None:
        """Enqueue from two threads, where a key makes one batch of it."""
        if request.key is None:
            self._call(request)
            return
        self.counts["calls twice at once"] += 1
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._call, [request, request]))

    def _call_and_be_killed(self, request: Request) -> None:
        """Enqueue in a process that is killed, perhaps in the middle; with a key another call finishes it."""
        with self._process() as process:
            self._caller = process
            if process.stdin and process.stdout:
                process.stdin.write(msgspec.json.encode(request) + b"\n")
                process.stdin.flush()
                process.stdout.readline()  # it is ready
                process.stdin.write(b"\n")
                process.stdin.flush()
                time.sleep(self._dice.random() ** 2 * 0.4)
                process.kill()
                told = process.stdout.read().decode().strip()
                request.told.extend([told] if told else [])
        self.counts["callers killed"] += 1
        if request.key:
            self._call(request)

    def _process(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "soak.submit"],
                env={**os.environ, **self._environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def _cancel(self, request: Request) -> None:
        for batch_id in set(request.told):
            request.cancelled = True
            self.counts["cancels"] += 1
            try:
                self._producer.cancel(batch_id)
            except StoreError:
                self.counts["calls failed"] += 1

    def _do_what_is_due(self, now: float) -> None:
        due = [action for at, action in self._later if at <= now]
        self._later = [(at, action) for at, action in self._later if at > now]
        for action in due:
            action()
