"""One suite for every coordination: leases and hints behave alike in Redis and in memory."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import redis

from complyq_producer.facts import utc_now
from complyq_producer.live import LiveJob, RedisLiveView, connect_redis
from complyq_producer.model import BatchId, ComplianceType
from complyq_workers.coordination import Coordination, CoordinationError, MemoryCoordination, RedisCoordination

TWEETS = ComplianceType.TWEETS


@dataclass
class Case:
    """A coordination, and how to let its time pass."""

    coordination: Coordination
    sleep: Callable[[float], None]


@pytest.fixture(params=["memory", "redis"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Give each implementation in turn."""
    if request.param == "memory":
        clock = [1000.0]
        yield Case(MemoryCoordination(lambda: clock[0]), lambda seconds: clock.__setitem__(0, clock[0] + seconds))
        return
    url: str = request.getfixturevalue("redis_server")
    with redis.Redis.from_url(url) as client:
        client.flushall()
    yield Case(RedisCoordination(url, "tests"), time.sleep)


def test_a_step_is_run_by_one_at_a_time(case: Case) -> None:
    """Who has the lease may renew it; nobody else gets it."""
    assert case.coordination.take_step("poll", "mine", 60)
    assert case.coordination.take_step("poll", "mine", 60)
    assert not case.coordination.take_step("poll", "yours", 60)
    assert case.coordination.take_step("other", "yours", 60)


def test_of_many_workers_one_gets_the_lease(case: Case) -> None:
    """64 at once, one winner."""
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda n: case.coordination.take_step("race", str(n), 60), range(64)))
    assert sum(taken) == 1


def test_a_lease_that_ran_out_is_free(case: Case) -> None:
    """A worker that died holds nobody up for longer than its lease."""
    case.coordination.take_step("poll", "dead", 0.05)
    case.sleep(0.1)
    assert case.coordination.take_step("poll", "alive", 60)
    assert not case.coordination.end_step("poll", "dead")
    assert not case.coordination.take_step("poll", "third", 60)


def test_a_hint_that_came_during_the_step_is_not_lost(case: Case) -> None:
    """What changed while the step ran may have come after it looked."""
    case.coordination.take_step("plan", "mine", 60)
    case.coordination.take_step("plan", "yours", 60)
    assert case.coordination.end_step("plan", "mine")
    case.coordination.take_step("plan", "mine", 60)
    assert not case.coordination.end_step("plan", "mine")


def test_the_slot_belongs_to_one_plan_until_it_gives_it_back(case: Case) -> None:
    """Any worker may renew it in the plan's name."""
    assert case.coordination.hold_slot(TWEETS, "1:a", 60) == "1:a"
    assert case.coordination.hold_slot(TWEETS, "2:b", 60) == "1:a"
    case.coordination.release_slot(TWEETS, "2:b")
    assert case.coordination.hold_slot(TWEETS, "1:a", 60) == "1:a"
    case.coordination.release_slot(TWEETS, "1:a")
    case.coordination.release_slot(TWEETS, "1:a")
    assert case.coordination.hold_slot(TWEETS, "2:b", 60) == "2:b"
    assert case.coordination.hold_slot(ComplianceType.USERS, "1:a", 60) == "1:a"


def test_a_postponed_step_becomes_due_by_itself(case: Case) -> None:
    """Repeated hints in between are dropped; the last word on when counts."""
    assert case.coordination.seconds_until_due("poll") == 0
    case.coordination.postpone("poll", 60)
    assert 59 < case.coordination.seconds_until_due("poll") <= 60
    case.coordination.postpone("poll", 0.05)
    case.sleep(0.1)
    assert case.coordination.seconds_until_due("poll") == 0


def test_a_blocked_endpoint_is_free_again_when_its_window_ends(case: Case) -> None:
    """All workers stay away from it, and only from it."""
    case.coordination.block("get", 0.1)
    assert case.coordination.seconds_blocked("get") > 0
    assert case.coordination.seconds_blocked("list") == 0
    case.sleep(0.2)
    assert case.coordination.seconds_blocked("get") == 0


def test_failures_in_a_row_are_counted_until_one_goes_well(case: Case) -> None:
    """So that delays grow, and start anew."""
    assert [case.coordination.count_failure("step") for _ in range(3)] == [1, 2, 3]
    case.coordination.clear_failures("step")
    assert case.coordination.count_failure("step") == 1


def test_status_sees_what_workers_show(redis_server: str) -> None:
    """The producer reads the job and the queue positions that a worker wrote."""
    coordination = RedisCoordination(redis_server, "shown")
    job = LiveJob(plan=3, phase="uploading", since=utc_now(), bytes_done=5, bytes_total=9)
    coordination.show_job(TWEETS, job)
    coordination.show_queue(TWEETS, [BatchId("a"), BatchId("b")])
    client = connect_redis(redis_server)
    view = RedisLiveView(client, "shown")
    assert view.job(TWEETS) == job
    assert view.job_seconds(TWEETS) is None
    for seconds in (1.0, 100.0, 2.0):
        coordination.note_duration(TWEETS, seconds)
    assert view.job_seconds(TWEETS) == 2.0
    assert [view.position(TWEETS, BatchId(name)) for name in ("a", "b", "c")] == [1, 2, None]
    client.close()


def test_an_unreachable_redis_is_an_error_of_ours(unused_port: int) -> None:
    """Steps know what to do about it; redis-py's exceptions do not leave the adapter."""
    with pytest.raises(CoordinationError, match="COMPLYQ_REDIS_URL"):
        RedisCoordination(f"redis://127.0.0.1:{unused_port}/0", "tests").take_step("a", "b", 1)


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens: port 1 is reserved."""
    return 1
