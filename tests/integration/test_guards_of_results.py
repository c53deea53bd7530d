"""What keeps results right: each test takes one way to lose, mix or truncate them."""

import gzip
import hashlib
import io
import os
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from complyq_producer import task_names
from complyq_producer.facts import Collected
from complyq_producer.layout import BatchKeys
from complyq_producer.results import Result
from complyq_workers import preemption
from complyq_workers.clock import Clock
from complyq_workers.download import DownloadCorruptError, DownloadInterruptedError, _Partial, read_announced
from complyq_workers.results import Helper, ResultsUnreadableError
from complyq_workers.results import helper as helping
from complyq_workers.results.answer import Reader, read_blocks
from complyq_workers.results.answer_rows import Told
from complyq_workers.results.kinds import Kinds
from complyq_workers.results.shapes import Shapes
from complyq_workers.x.messages import Reply, Request
from simulation.x_transport import SimulatedStream
from support.quiet_world import IDS, QuietWorld

COLLECT = task_names.COLLECT_JOB
TEN = read_announced({"content-length": "10"})


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


@pytest.fixture
def shut_down() -> Iterator[Callable[[], None]]:
    """Have the worker of this process shut down, and take it back."""
    yield lambda: preemption.begin(0)
    preemption._INSTANT.pack_into(preemption._shared, 0, 0.0)


def test_a_line_without_end_fills_no_memory(tmp_path: Path) -> None:
    """Of its sixty megabytes only so much is read as shows that it is too long."""
    answer = tmp_path / "answer"
    answer.write_bytes(b"x" * 60_000_000)
    kinds = Kinds()
    tracemalloc.start()
    try:
        with pytest.raises(ResultsUnreadableError):
            list(map(Reader("tweets", kinds, Shapes("tweets", kinds)).read, read_blocks(answer)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10_000_000


def collected(world: QuietWorld) -> Collected:
    """Read what the first job gave."""
    found = world.job().collected
    assert found is not None
    return found


def test_a_body_without_its_end_is_not_whole() -> None:
    """Fewer bytes came than were announced."""
    partial = _Partial(TEN, io.BytesIO(), 1000)
    partial.take(b"123456789")
    with pytest.raises(DownloadInterruptedError):
        partial.finish()


def test_a_body_behind_its_end_is_corruption() -> None:
    """More bytes came than were announced."""
    partial = _Partial(TEN, io.BytesIO(), 1000)
    partial.take(b"12345678901")
    with pytest.raises(DownloadCorruptError):
        partial.finish()


def test_nothing_of_an_earlier_attempt_is_left() -> None:
    """A longer body was begun before, and given up."""
    file = io.BytesIO()
    _Partial(read_announced({"content-length": "99"}), file, 1000).take(b"of another object")
    whole = _Partial(TEN, file, 1000)
    whole.take(b"1234567890")
    whole.finish()
    assert file.getvalue() == b"1234567890"


class Slow(SimulatedStream):
    """Results that come ten bytes at a time; something happens with each."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__(Reply(200, {"content-length": "100"}, b"\n" * 100), cut=False)
        self.reads = 0
        self._happens = happens

    def read(self, size: int) -> bytes:
        """Give the next ten bytes."""
        self.reads += 1
        self._happens()
        return super().read(10)


def test_a_download_stops_when_its_worker_shuts_down(world: QuietWorld, shut_down: Callable[[], None]) -> None:
    """With the bytes that are on the way, not with the last."""
    world.enqueue()
    world.run_to("finished")
    slow = Slow(shut_down)
    world.transport.meddle("download", lambda _: slow)
    assert world.run(COLLECT, "tweets", 1).again_in == 0.0
    assert slow.reads == 1


def test_a_download_that_is_too_slow_is_stopped(world: QuietWorld) -> None:
    """Before its lease ends: it is one of the few tries that it has."""
    world.enqueue()
    world.run_to("finished")
    slow = Slow(lambda: world.world.pass_time(300))
    world.transport.meddle("download", lambda _: slow)
    assert world.run(COLLECT, "tweets", 1).again_in is not None
    assert slow.reads == 2


def test_what_another_worker_stored_is_what_counts(world: QuietWorld) -> None:
    """It stored its results first, and X told it something else: count and checksum are those of the object."""
    batch = world.enqueue()
    world.run_to("finished")
    line = Result(str(IDS[0]), "tweets", "delete", "deleted").to_json()
    stored = gzip.compress(line + b"\n")
    world.store.create(BatchKeys(batch.id).results_of(0, 1), stored)
    world.finish(batch.id)
    (part,) = collected(world).parts
    assert (part.sha256, part.bytes, part.count) == (hashlib.sha256(stored).hexdigest(), len(stored), 1)
    (told, _) = world.events()
    assert [result["id"] for result in told["data"]["results"]] == [str(IDS[0])]


@pytest.fixture
def willing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have a second process help with any answer, and tell how large each was that one was started for."""
    started: list[int] = []
    expect = Helper.expect

    def noted(helper: Helper, answer_bytes: int) -> None:
        if not helper.is_there:
            started.append(answer_bytes)
        expect(helper, answer_bytes)

    monkeypatch.setattr(helping, "_LARGE_BYTES", 0)
    monkeypatch.setattr(helping, "_processors", lambda: 2)
    monkeypatch.setattr(Helper, "expect", noted)
    return started


def test_a_process_that_helps_and_dies_is_done_without(
    world: QuietWorld, willing: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be memory that was short, and would be each time: the step ends all the same, with the same results."""
    exchange = Helper.exchange

    def dead(helper: Helper, told: Told) -> Told:
        assert helper._process is not None
        os.kill(helper._process.pid, signal.SIGKILL)
        return exchange(helper, told)

    monkeypatch.setattr(Helper, "exchange", dead)
    batch = world.enqueue()
    world.finish(batch.id)
    assert len(willing) == 1
    assert collected(world).available
    assert world.transport.asked.count("download") == 2


def test_who_crashed_before_works_alone(world: QuietWorld, willing: list[int]) -> None:
    """Two processes take more memory than one, and a crash may have been for want of it."""
    batch = world.enqueue()
    world.run_to("finished")
    step = f"collect_job:tweets:{world.job().keys.plan_number}"
    assert world.ports.coordination.take_step(step, "died", 1.0) == 1
    world.world.pass_time(2.0)
    world.finish(batch.id)
    assert collected(world).available
    assert willing == []


def test_damaged_results_are_asked_for_again_and_then_given_up(world: QuietWorld) -> None:
    """Five times; then they count as unavailable, and that counts against the parts."""
    damaged = b'{"id": "1\n'
    batch = world.enqueue()
    world.transport.meddle("download", Reply(200, {"content-length": str(len(damaged))}, damaged), times=30)
    world.run_to("collected")
    assert world.transport.asked.count("download") == 5
    assert not collected(world).available
    assert [(attempt.status, attempt.counted) for attempt in world.attempts(batch.id)] == [("unavailable", True)]


def test_results_are_fetched_from_where_x_just_said(world: QuietWorld) -> None:
    """Each question costs one of the few requests that X allows."""
    world.finish(world.enqueue().id)
    asked = world.transport.asked
    assert asked[-2:] == ["get", "download"]
    assert collected(world).available


@pytest.mark.parametrize("late", [False, True])
def test_where_results_are_is_asked_anew_when_that_leads_nowhere(world: QuietWorld, *, late: bool) -> None:
    """The URL has expired, or the worker that knew it was away for long: the next one may not be the same."""
    world.enqueue()
    world.run_to("finished")
    if late:
        world.world.pass_time(world.ports.limits.poll_max_seconds + 1)
    else:
        world.transport.meddle("download", Reply(403, {}, b"expired"))
    before = len(world.transport.asked)
    world.run_to("collected")
    assert world.transport.asked[before:] == [*([] if late else ["download"]), "get", "download"]
    assert collected(world).available


def test_a_url_that_a_clock_ahead_of_ours_calls_new_is_not_trusted(world: QuietWorld) -> None:
    """It would be so for as long as that clock is ahead, however often the results are damaged."""
    world.enqueue()
    world.run_to("finished")
    before = len(world.transport.asked)
    behind = BehindClock(world.ports.clock)
    world.run(COLLECT, "tweets", 1, ports=replace(world.ports, clock=cast("Clock", behind)))
    assert world.transport.asked[before:] == ["get", "download"]


class BehindClock:
    """A clock an hour behind another one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        """The time."""
        return self._clock.now() - timedelta(hours=1)

    def __getattr__(self, name: str) -> object:
        return getattr(self._clock, name)


def test_results_that_cannot_be_had_are_waited_for_as_long_as_they_exist(world: QuietWorld) -> None:
    """X names a host that is not allowed: the setting may be mended for a week, and then the batch does not wait on."""
    world.enqueue()
    world.run_to("uploaded")
    (job,) = world.remote_jobs()

    def elsewhere(_: Request) -> Reply:
        return world.shown(job, status="complete", download_url="https://example.invalid/results")

    world.transport.meddle("get", elsewhere, times=2000)
    for _ in range(30):
        world.run_one()
    assert not world.has_fact("collected")
    assert "download" not in world.transport.asked
    world.world.pass_time(8 * 86_400)
    world.run_to("collected")
    assert not collected(world).available
