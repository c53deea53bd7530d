"""Workers that freeze in the middle of a step, as a paused machine does, and are woken when others have gone on."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast

from complyq_producer.store import ObjectStore
from complyq_workers.clock import SystemClock
from complyq_workers.coordination import MemoryCoordination
from complyq_workers.pipeline import Hint, Outcome, Pipeline, Ports, Remote
from complyq_workers.pipeline.lease import StepLease

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Point:
    """A call of a port at which a worker freezes, the first time that it comes there."""

    port: Literal["store", "remote", "x", "events", "coordination"]
    method: str
    argument: str = ""
    """What one of the arguments must contain."""
    when: Literal["before", "after"] = "before"

    def __str__(self) -> str:
        return f"{self.when} {self.method} {self.argument}".strip()


class LaterClock(SystemClock):
    """A clock that tests move forward: that of leases and due times, and of workers that notice how long they froze."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += seconds


class Frozen:
    """A step of a worker of its own that stands still."""

    def __init__(self, run: Callable[[], Outcome]) -> None:
        self._run = run
        self._reached = threading.Event()
        self._woken = threading.Event()
        self._outcomes: list[Outcome | BaseException] = []
        self._thread = threading.Thread(target=self._work, daemon=True)

    def hold(self) -> None:
        """Stand still here, once."""
        if not self._reached.is_set():
            self._reached.set()
            assert self._woken.wait(_PATIENCE), "nobody woke the frozen worker"

    def start(self) -> None:
        """Run until the worker stands still."""
        self._thread.start()
        while not self._reached.wait(0.01):
            assert self._thread.is_alive(), f"the step ended without coming to the point: {self._outcomes}"

    def wake(self) -> Outcome:
        """Let the worker go on to the end of its step."""
        self._woken.set()
        self._thread.join(_PATIENCE)
        (outcome,) = self._outcomes
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _work(self) -> None:
        try:
            outcome = self._run()
            while not self._reached.is_set() and outcome.again_in is not None:  # X was not ready yet
                time.sleep(outcome.again_in)
                outcome = self._run()
            self._outcomes.append(outcome)
        except BaseException as error:  # noqa: BLE001 - shown to the test that wakes it
            self._outcomes.append(error)


def never_renewed(lease: StepLease) -> AbstractContextManager[None]:
    """Keep no lease: the machine of a frozen worker stands still, its clock and its threads too."""
    return nullcontext()


@contextmanager
def frozen(ports: Ports, hint: Hint, point: Point) -> Iterator[Frozen]:
    """Have another worker run a step up to a point; it may be woken once, and is at the end.

    By the clock of its ports it notices, or not, how long it stood still.
    """
    worker = Frozen(lambda: Pipeline(_freezing(ports, point, worker)).run(hint))
    with _standing(worker):
        yield worker


@contextmanager
def frozen_in_mid_upload(ports: Ports, hint: Hint, after_bytes: int) -> Iterator[Frozen]:
    """Have another worker run an upload until it has read so many bytes of the payload for the connection."""
    worker = Frozen(lambda: Pipeline(_reading(ports, after_bytes, worker)).run(hint))
    with _standing(worker):
        yield worker


@contextmanager
def _standing(worker: Frozen) -> Iterator[None]:
    worker.start()
    try:
        yield
    finally:
        worker._woken.set()
        worker._thread.join(_PATIENCE)


def _freezing(ports: Ports, point: Point, worker: Frozen) -> Ports:
    if point.port == "x":  # behind all that the pipeline can look at: the request is on its way
        client: Any = _FreezingPort(ports.remote.client, point, worker)
        remote = Remote(client, ports.coordination, ports.clock)
        return dataclasses.replace(ports, keep_lease=never_renewed, remote=remote)
    proxy: Any = _FreezingPort(getattr(ports, point.port), point, worker)
    return dataclasses.replace(ports, keep_lease=never_renewed, **{point.port: proxy})


def _reading(ports: Ports, after_bytes: int, worker: Frozen) -> Ports:
    store = cast("ObjectStore", _FreezingReads(ports.store, after_bytes, worker))
    return dataclasses.replace(ports, keep_lease=never_renewed, store=store)


class _FreezingPort:
    """A port whose one method freezes who calls it."""

    def __init__(self, port: object, point: Point, worker: Frozen) -> None:
        self._port = port
        self._point = point
        self._worker = worker

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        return self._held(attribute) if name == self._point.method else attribute

    def _held(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not any(self._point.argument in str(value) for value in (*args, *kwargs.values())):
                return method(*args, **kwargs)
            if self._point.when == "before":
                self._worker.hold()
            result = method(*args, **kwargs)
            if self._point.when == "after":
                self._worker.hold()
            return result

        return call


class _FreezingReads:
    """A store whose streams freeze who reads them, after so many bytes."""

    def __init__(self, store: ObjectStore, after_bytes: int, worker: Frozen) -> None:
        self._store = store
        self._after_bytes = after_bytes
        self._worker = worker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def open(self, key: str, offset: int = 0) -> Iterator[BinaryIO]:
        """Open as the store does."""
        with self._store.open(key, offset) as stream:
            yield cast("BinaryIO", _FreezingStream(stream, self._after_bytes - offset, self._worker))


class _FreezingStream:
    def __init__(self, stream: BinaryIO, left: int, worker: Frozen) -> None:
        self._stream = stream
        self._left = left
        self._worker = worker

    def read(self, size: int = -1) -> bytes:
        """Read on; once enough was read, only after being woken."""
        if self._left <= 0:
            self._worker.hold()
        data = self._stream.read(size)
        self._left -= len(data)
        return data


@dataclass(frozen=True)
class Replica:
    """A copy of what Redis held, which lags behind: what a failover brings back."""

    held: dict[str, Any]

    @classmethod
    def of(cls, coordination: MemoryCoordination) -> "Replica":
        """Copy everything."""
        return cls(deepcopy(coordination._values))

    def take_over(self, coordination: MemoryCoordination) -> None:
        """Forget what was written since."""
        coordination._values = deepcopy(self.held)
