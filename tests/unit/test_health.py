"""What a probe makes of the signs of life that a worker left in a file."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery.worker import state
from kombu.exceptions import OperationalError

from complyq_workers import vital_signs
from complyq_workers.coordination import CoordinationError, MemoryCoordination
from complyq_workers.self_examination import SelfExamination, Since
from complyq_workers.vital_signs import Signs

WORKER = vital_signs.worker_name("control", "eu-1", "host")
WELL: dict[str, Any] = {"pid": os.getpid(), "connected": True, "processes": 2, "living": 2}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for signs of life."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_worker_tells_its_role_by_its_name() -> None:
    """Also where the namespace has hyphens."""
    assert vital_signs.role_of(WORKER) == "control"


def test_a_worker_that_shows_life_is_well() -> None:
    """Also while it waits for its broker, or misses a process for a moment."""
    for changed in ({}, {"connected": False}, {"living": 1, "short_seconds": 89.0}, {"unread_seconds": 300.0}):
        vital_signs.show(WORKER, Signs(**WELL | changed))
        assert vital_signs.ailment(WORKER) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"living": 1, "short_seconds": 91.0}, "1 of its 2 processes have lived for 91 s"),
        ({"unread": 7, "unread_seconds": 331.0}, "it takes no messages: 7 have waited for 331 s"),
        ({"pid": 2**22 + 1}, "its main process 4194305 is gone"),
    ],
)
def test_a_worker_that_ails_is_found_out(changed: dict[str, Any], why: str) -> None:
    """The line says what is wrong with it."""
    vital_signs.show(WORKER, Signs(**WELL | changed))
    assert why in (vital_signs.ailment(WORKER) or "")


def test_a_worker_that_is_silent_is_found_out(folder: Path) -> None:
    """It hangs, or its machine stood still: after a while, and at once where a probe has less patience."""
    vital_signs.show(WORKER, Signs(**WELL))
    (file,) = folder.iterdir()
    os.utime(file, (time.time() - 60,) * 2)
    assert vital_signs.ailment(WORKER) is None
    assert "shown no life for 60 s" in (vital_signs.ailment(WORKER, patience=30) or "")


def test_a_worker_that_shows_nothing_does_not_run(folder: Path) -> None:
    """It has not begun, has ended, or what it shows is of another version."""
    assert vital_signs.ailment(WORKER) == "it is not running"
    vital_signs.show(WORKER, Signs(**WELL))
    vital_signs.hide(WORKER)
    vital_signs.hide(WORKER)
    assert vital_signs.ailment(WORKER) == "it is not running"
    (folder / f"complyq-{os.getuid()}-{WORKER}.alive").touch()
    assert vital_signs.ailment(WORKER) == "it is not running"


def test_how_long_something_has_been_so_counts_from_its_last_break() -> None:
    """What was otherwise in between begins anew."""
    clock = [100.0]
    since = Since(lambda: clock[0])
    told = []
    for is_so in (True, True, False, True, True):
        told.append(since.note(is_so=is_so))
        clock[0] += 10
    assert told == [0, 10, 0, 0, 10]


class Consumer:
    """What a worker looks at of Celery's consumer."""

    connection_errors = channel_errors = ()
    hostname = WORKER
    taken = 0

    def __init__(self, length: Callable[[], int]) -> None:
        self.exit_codes: list[int | None] = [None, None]
        channel = SimpleNamespace(queue_declare=lambda *_, **__: SimpleNamespace(message_count=length()))
        producer = SimpleNamespace(connection=SimpleNamespace(default_channel=channel))
        self.app = SimpleNamespace(
            producer_or_acquire=lambda: _lent(producer), amqp=SimpleNamespace(queues=SimpleNamespace(consume_from="q"))
        )

    @property
    def pool(self) -> Any:
        """The processes, and how many there should be."""
        processes = [SimpleNamespace(pid=10 + n, exitcode=code) for n, code in enumerate(self.exit_codes)]
        return SimpleNamespace(num_processes=2, _pool=SimpleNamespace(_pool=processes))


class _lent:  # noqa: N801 - a function that lends
    def __init__(self, what: object) -> None:
        self._what = what

    def __enter__(self) -> object:
        return self._what

    def __exit__(self, *_: object) -> None:
        pass


def shown() -> Signs:
    """Read what the worker shows."""
    found = vital_signs.read(WORKER)
    assert found
    return found[0]


@pytest.fixture
def busy() -> Iterator[set[object]]:
    """What Celery knows to be running."""
    requests: set[object] = state.active_requests
    yield requests
    requests.clear()


class Request:
    """A step under way, which Celery refers to weakly."""


def test_messages_that_wait_for_a_free_process_are_seen(busy: set[object]) -> None:
    """Not those of a worker whose processes are all busy, or that has taken one meanwhile."""
    consumer = Consumer(lambda: 5)
    examination = SelfExamination(consumer, MemoryCoordination())
    unread = []

    def look() -> None:
        examination.count_unread()
        examination.show()
        unread.append(shown().unread)

    look()
    look()
    consumer.taken += 1
    look()
    look()
    held = [Request(), Request()]
    busy |= set(held)
    look()
    assert unread == [0, 5, 0, 5, 0]
    examination.show(connected=False)
    assert not shown().connected


def test_a_broker_that_does_not_tell_what_waits_is_no_ailment() -> None:
    """Starting anew would not mend it."""

    def fail() -> int:
        raise OperationalError("away")

    examination = SelfExamination(Consumer(fail), MemoryCoordination())
    examination.count_unread()
    examination.count_unread()
    examination.show()
    assert (shown().unread, shown().unread_seconds) == (0, 0.0)


def test_processes_that_died_are_missed() -> None:
    """The worker shows it, and metrics count those that live."""
    consumer, coordination = Consumer(lambda: 0), MemoryCoordination()
    examination = SelfExamination(consumer, coordination)
    examination.show()
    assert (shown().living, coordination.alive("control")) == (2, 2)
    consumer.exit_codes[0] = -9
    examination.show()
    assert (shown().living, shown().processes) == (1, 2)


class Unreachable:
    """A Redis that does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    def show_alive(self, *_: object) -> None:
        """Fail."""
        self.asked += 1
        raise CoordinationError("away")


def test_a_redis_that_does_not_answer_is_left_alone_for_a_while() -> None:
    """The main loop stands still while it asks; the sign of life is shown all the same."""
    unreachable = Unreachable()
    examination = SelfExamination(Consumer(lambda: 0), cast("MemoryCoordination", unreachable))
    examination.show()
    examination.show()
    assert unreachable.asked == 1
    assert shown().living == 2
