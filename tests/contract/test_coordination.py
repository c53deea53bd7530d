"""One suite for every coordination: leases and hints behave alike in Redis and in memory."""

import time
from functools import partial

import pytest

from complyq_producer.live import connect_redis
from complyq_producer.model import ComplianceType
from complyq_workers.coordination import (
    NOT_DUE,
    CoordinationError,
    RedisCoordination,
)
from complyq_workers.coordination import redis_server as coordination_server
from support.coordinations import Case
from support.tcp_proxy import running_tcp_proxy

TWEETS, USERS = ComplianceType.TWEETS, ComplianceType.USERS
HOUR, DAY = 3600, 86_400


def test_a_step_is_run_by_one_at_a_time(case: Case) -> None:
    """Who has the lease may renew it; nobody else gets it."""
    assert case.coordination.take_step("poll", "mine", 60)
    assert case.coordination.take_step("poll", "mine", 60)
    assert not case.coordination.take_step("poll", "yours", 60)
    assert case.coordination.take_step("other", "yours", 60)


def test_a_lease_that_ran_out_is_free(case: Case) -> None:
    """A worker that died holds nobody up for longer than its lease; if it was only slow, it ends nobody else's."""
    case.coordination.take_step("poll", "dead", 60)
    case.sleep(61)
    assert case.coordination.take_step("poll", "alive", 60)
    assert not case.coordination.end_step("poll", "dead")
    assert not case.coordination.take_step("poll", "third", 60)


def test_a_renewed_lease_counts_from_then(case: Case) -> None:
    """The last renewal says how long it lasts, also where that is shorter."""
    case.coordination.take_step("poll", "mine", 60)
    case.sleep(50)
    case.coordination.take_step("poll", "mine", 60)
    case.sleep(50)
    assert not case.coordination.take_step("poll", "yours", 60)
    case.coordination.take_step("poll", "mine", 1)
    case.sleep(2)
    assert case.coordination.take_step("poll", "yours", 60)


def test_leases_run_out_by_the_servers_own_clock(redis_server: str) -> None:
    """What the other tests do to time is what a real server does by itself."""
    coordination = RedisCoordination(redis_server, "clock")
    for use in (
        coordination.postpone,
        lambda name, seconds: coordination.take_step(name, "a", seconds),
    ):
        use("short", 0.05)
    coordination.hold_slot(TWEETS, "1:a", 0.05)
    coordination.block("get", 0.05)
    time.sleep(0.1)
    assert coordination.take_step("short", "b", 60)
    assert coordination.hold_slot(TWEETS, "2:b", 60) == "2:b"
    assert coordination.seconds_until_due("short") == coordination.reserve("get", "a") == 0


def test_a_hint_that_came_during_the_step_is_not_lost(case: Case) -> None:
    """What changed while the step ran may have come after it looked."""
    case.coordination.take_step("plan", "mine", 60)
    case.coordination.take_step("plan", "yours", 60)
    case.coordination.take_step("plan", "mine", 60)
    assert case.coordination.end_step("plan", "mine")
    case.coordination.take_step("plan", "mine", 60)
    assert not case.coordination.end_step("plan", "mine")


def test_a_hint_is_answered_by_the_next_run(case: Case) -> None:
    """Who begins after the hint came sees what it was about; it is not run once more for that."""
    case.coordination.take_step("plan", "dead", 60)
    case.coordination.take_step("plan", "yours", 60)
    case.sleep(61)
    case.coordination.take_step("plan", "mine", 60)
    assert not case.coordination.end_step("plan", "mine")


def test_a_hint_outlives_the_lease_of_a_slow_worker(case: Case) -> None:
    """A step that ends late, with nobody after it, is still told that it was asked for."""
    case.coordination.take_step("plan", "slow", 60)
    case.coordination.take_step("plan", "yours", 60)
    case.sleep(61)
    assert case.coordination.end_step("plan", "slow")


def test_a_hint_is_remembered_for_ten_minutes(case: Case) -> None:
    """A word that nobody heeds does not stay for ever."""
    for name, seconds in (("early", 570), ("late", 601)):
        case.coordination.take_step(name, "mine", HOUR)
        case.coordination.take_step(name, "yours", HOUR)
        case.sleep(seconds)
        assert case.coordination.end_step(name, "mine") == (name == "early")


def test_starts_are_counted_until_a_step_ends(case: Case) -> None:
    """Work that kills its worker again and again is seen; renewing a lease is no start."""
    for start in (1, 2, 3):
        assert case.coordination.take_step("upload", f"dead {start}", 60) == start
        assert case.coordination.take_step("upload", f"dead {start}", 60) == start
        case.sleep(61)
    assert case.coordination.take_step("upload", "mine", 60) == 4
    case.coordination.end_step("upload", "mine")
    assert case.coordination.take_step("upload", "mine", 60) == 1


def test_starts_are_forgotten_where_a_step_gets_on(case: Case) -> None:
    """Farther than ever before is progress; the same place again is not. A renewal in between changes nothing."""
    for position, starts in ((100, 1), (100, 1), (50, 2), (101, 3), (101, 1)):
        assert case.coordination.take_step("upload", f"to {position} {starts}", 60) == starts
        case.coordination.note_progress("upload", position)
        case.coordination.take_step("upload", f"to {position} {starts}", 60)
        case.sleep(61)


def test_starts_and_progress_are_remembered_for_a_week(case: Case) -> None:
    """Both are counted from the last of them."""
    case.coordination.take_step("upload", "a", 1)
    case.sleep(6 * DAY)
    assert case.coordination.take_step("upload", "b", 1) == 2
    case.sleep(6 * DAY)
    assert case.coordination.take_step("upload", "c", 1) == 3
    case.coordination.note_progress("upload", 100)
    case.sleep(8 * DAY)
    assert case.coordination.take_step("upload", "d", 1) == 1
    case.coordination.note_progress("upload", 1)
    case.sleep(2)
    assert case.coordination.take_step("upload", "e", 1) == 1


def test_the_slot_belongs_to_one_plan_until_it_gives_it_back(case: Case) -> None:
    """Any worker may renew it in the plan's name."""
    assert case.coordination.hold_slot(TWEETS, "1:a", 60) == "1:a"
    assert case.other.hold_slot(TWEETS, "2:b", 60) == "1:a"
    case.other.release_slot(TWEETS, "2:b")
    assert case.other.hold_slot(TWEETS, "1:a", 60) == "1:a"
    case.coordination.release_slot(TWEETS, "1:a")
    case.coordination.release_slot(TWEETS, "1:a")
    assert case.coordination.hold_slot(TWEETS, "2:b", 60) == "2:b"
    assert case.coordination.hold_slot(USERS, "1:a", 60) == "1:a"


def test_a_slot_that_nobody_renews_is_free(case: Case) -> None:
    """The lock of a plan without workers ends by itself, from its last renewal on."""
    case.coordination.hold_slot(TWEETS, "1:a", 60)
    case.sleep(50)
    case.coordination.hold_slot(TWEETS, "1:a", 60)
    case.sleep(50)
    assert case.coordination.hold_slot(TWEETS, "2:b", 60) == "1:a"
    case.sleep(11)
    assert case.coordination.hold_slot(TWEETS, "2:b", 60) == "2:b"


def test_a_postponed_step_becomes_due_by_itself(case: Case) -> None:
    """Repeated hints in between are dropped; the last word on when counts, and 0 seconds are none."""
    assert case.coordination.seconds_until_due("poll") == 0
    case.coordination.postpone("poll", 60)
    case.coordination.postpone("poll", 0)
    assert 50 < case.coordination.seconds_until_due("poll") <= 60
    case.coordination.postpone("poll", 30)
    assert 20 < case.coordination.seconds_until_due("poll") <= 30
    case.sleep(31)
    assert case.coordination.seconds_until_due("poll") == 0


def test_a_postponed_step_is_not_begun(case: Case) -> None:
    """Unless it is due in a moment; and what is begun may be renewed, whatever was said meanwhile."""
    case.coordination.postpone("poll", 60)
    assert case.coordination.take_step("poll", "mine", 60, due_within=10) == NOT_DUE
    assert case.coordination.take_step("poll", "mine", 60, due_within=61) == 1
    assert case.coordination.take_step("poll", "mine", 60, due_within=10) == 1
    assert case.coordination.take_step("poll", "yours", 60, due_within=61) == 0
    assert case.coordination.end_step("poll", "mine")


def test_no_word_is_left_for_a_step_that_is_not_due(case: Case) -> None:
    """A hint that is dropped does not have it run once more."""
    case.coordination.take_step("poll", "mine", 60)
    case.coordination.postpone("poll", 60)
    assert case.coordination.take_step("poll", "yours", 60, due_within=10) == NOT_DUE
    assert not case.coordination.end_step("poll", "mine")


def test_a_step_may_end_postponed(case: Case) -> None:
    """It is due again after so many seconds, and no earlier."""
    case.coordination.take_step("poll", "mine", 60)
    case.coordination.end_step("poll", "mine", postponed=30)
    assert 20 < case.coordination.seconds_until_due("poll") <= 30
    case.coordination.take_step("poll", "mine", 60)
    case.coordination.end_step("poll", "mine")
    assert case.coordination.seconds_until_due("poll") > 20


def test_a_step_that_went_well_has_no_failures(case: Case) -> None:
    """One that ended otherwise keeps them."""
    assert [case.coordination.count_failure("poll") for _ in range(2)] == [1, 2]
    case.coordination.take_step("poll", "mine", 60)
    case.coordination.end_step("poll", "mine")
    assert case.coordination.count_failure("poll") == 3
    case.coordination.end_step("poll", "mine", went_well=True)
    assert case.coordination.count_failure("poll") == 1


def test_a_step_is_idle_while_it_is_due_and_nobody_runs_it(case: Case) -> None:
    """Then a hint at it is worth a message."""
    assert case.coordination.is_idle("poll")
    case.coordination.take_step("poll", "mine", 60)
    assert not case.coordination.is_idle("poll")
    case.coordination.end_step("poll", "mine", postponed=30)
    assert not case.coordination.is_idle("poll")
    case.sleep(31)
    assert case.coordination.is_idle("poll")


def test_failures_in_a_row_are_counted_until_one_goes_well(case: Case) -> None:
    """So that delays grow, and start anew."""
    assert [case.coordination.count_failure("step") for _ in range(3)] == [1, 2, 3]
    case.coordination.take_step("step", "mine", 60)
    case.coordination.end_step("step", "mine", went_well=True)
    assert case.coordination.count_failure("step") == 1


def test_failures_are_forgotten_a_day_after_the_last(case: Case) -> None:
    """A step that is never run again leaves nothing behind."""
    case.coordination.count_failure("step")
    case.sleep(DAY - 60)
    assert case.coordination.count_failure("step") == 2
    case.sleep(DAY - 60)
    assert case.coordination.count_failure("step") == 3
    case.sleep(DAY + 1)
    assert case.coordination.count_failure("step") == 1


def test_an_unreachable_redis_is_an_error_of_ours() -> None:
    """Steps know what to do about it; redis-py's exceptions do not leave the adapter."""
    with pytest.raises(CoordinationError, match="COMPLYQ_REDIS_URL"):
        RedisCoordination("redis://127.0.0.1:1/0", "tests").take_step("a", "b", 1)


def test_a_late_answer_is_not_taken_for_the_next_one(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that answers too late is an error of ours; what it said is not heard when something else is asked."""
    with running_tcp_proxy(redis_server) as proxy:
        monkeypatch.setattr(coordination_server, "connect_redis", partial(connect_redis, answer_seconds=1))
        coordination = RedisCoordination(proxy.url(redis_server), "late")
        assert coordination.hold_slot(TWEETS, "1:a", 60) == "1:a"
        proxy.delay(2)
        with pytest.raises(CoordinationError, match="COMPLYQ_REDIS_URL"):
            coordination.hold_slot(TWEETS, "1:a", 60)
        proxy.delay(0)
        assert coordination.count_failure("step") == 1
        assert coordination.hold_slot(TWEETS, "2:b", 60) == "1:a"
