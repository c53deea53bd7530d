"""One suite for every coordination: leases and hints behave alike in Redis and in memory."""

import time
from datetime import UTC, datetime
from functools import partial

import msgspec
import pytest
import redis

from complyq_producer.estimates import JobDuration
from complyq_producer.live import LiveJob, LivePlace, LiveQueue, RedisLiveView, connect_redis
from complyq_producer.model import BatchId, ComplianceType
from complyq_producer.redis_keys import RedisKeys
from complyq_workers.coordination import (
    NOT_DUE,
    CoordinationError,
    Counter,
    Histogram,
    Quota,
    RedisCoordination,
    Unsettled,
)
from complyq_workers.coordination import redis_server as coordination_server
from support.coordinations import Case
from support.tcp_proxy import running_tcp_proxy

TWEETS, USERS = ComplianceType.TWEETS, ComplianceType.USERS
HOUR, DAY = 3600, 86_400
LATE = Counter.BATCHES_ENDED_LATE
JOB = LiveJob(plan=3, phase="uploading", since=datetime(2026, 11, 22, tzinfo=UTC), bytes_done=5, bytes_total=9)
QUEUE = LiveQueue(batches=3, ids=700, oldest=JOB.since, late=1, shown_at=JOB.since)


def queue_of(*names: str) -> LiveQueue:
    """Make a queue in which these batches wait, each for as many jobs as stand before it."""
    places = [LivePlace(batch_id=BatchId(name), place=n + 1, jobs_ahead=n) for n, name in enumerate(names)]
    return msgspec.structs.replace(QUEUE, places=places)


def place_of(case: Case, name: str) -> int | None:
    """Return the place that status sees."""
    found = case.view.position(TWEETS, BatchId(name))
    return found.place if found else None


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
    case.coordination.clear_failures("step")
    case.coordination.clear_failures("step")
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


def test_status_sees_what_workers_show(case: Case) -> None:
    """The producer reads the job, the queue and each batch's place in it that a worker wrote."""
    case.coordination.show_job(TWEETS, JOB)
    case.coordination.show_queue(TWEETS, queue_of("gone"))
    case.coordination.show_queue(TWEETS, queue_of("a", "b"))
    assert (case.view.job(TWEETS), case.view.job(USERS)) == (JOB, None)
    assert (case.view.queue(TWEETS), case.view.queue(USERS)) == (QUEUE, None)
    assert case.view.position(TWEETS, BatchId("b")) == LivePlace(batch_id=BatchId("b"), place=2, jobs_ahead=1)
    assert [place_of(case, name) for name in ("a", "b", "gone")] == [1, 2, None]
    case.coordination.show_queue(TWEETS, queue_of())
    assert place_of(case, "a") is None
    assert case.view.queue(TWEETS) == QUEUE


def test_what_is_shown_is_shown_for_an_hour(case: Case) -> None:
    """Status shows no job of workers that are long gone."""
    case.coordination.show_job(TWEETS, JOB)
    case.coordination.show_queue(TWEETS, queue_of("a"))
    case.sleep(HOUR - 60)
    assert (case.view.job(TWEETS), case.view.queue(TWEETS), place_of(case, "a")) == (JOB, QUEUE, 1)
    case.sleep(61)
    assert (case.view.job(TWEETS), case.view.queue(TWEETS), place_of(case, "a")) == (None, None, None)


def test_a_long_queue_is_shown_as_far_as_anybody_looks(case: Case) -> None:
    """The first twenty thousand batches have a place."""
    case.coordination.show_queue(TWEETS, queue_of(*map(str, range(1, 20_101))))
    assert [place_of(case, name) for name in ("1", "20000", "20001")] == [1, 20_000, None]


def test_estimates_rest_on_the_last_fifty_jobs(case: Case) -> None:
    """Old durations make room for new ones, and stay until then."""
    assert case.view.durations(TWEETS) == case.coordination.durations(TWEETS) == []
    took = [JobDuration(count=n, least=n / 2, most=n) for n in range(60)]
    for duration in took:
        case.coordination.note_duration(TWEETS, duration)
    case.sleep(30 * DAY)
    assert case.view.durations(TWEETS) == case.coordination.durations(TWEETS) == took[:9:-1]
    assert case.view.durations(USERS) == []


def test_metrics_see_who_holds_the_slot(case: Case) -> None:
    """As long as the lock lasts, and nobody afterwards."""
    assert case.coordination.slot_holder(TWEETS) is None
    case.coordination.hold_slot(TWEETS, "1:a", 60)
    assert (case.other.slot_holder(TWEETS), case.other.slot_holder(USERS)) == ("1:a", None)
    case.sleep(61)
    assert case.other.slot_holder(TWEETS) is None


def test_what_metrics_count_is_never_forgotten(case: Case) -> None:
    """All workers count together, under each label for itself; it is told when a step ends."""
    assert case.coordination.counted() == {}
    for worker in (case.coordination, case.other, case.other):
        worker.count(LATE, TWEETS)
        worker.count(Counter.BYTES, "upload", "sent", amount=1000)
        worker.end_step("any", "mine")
    case.other.end_step("any", "mine")
    case.sleep(400 * DAY)
    assert case.other.counted() == {"batches_ended_late|tweets": 3, "bytes|upload|sent": 3000}


def test_metrics_see_how_long_things_took(case: Case) -> None:
    """Each duration is in the first bucket that it fits into, the longest in the last, and all in the sum."""
    for seconds in (0.0, 10.0, 10.001, 86_400.5):
        case.coordination.observe(Histogram.JOB, TWEETS, seconds)
    case.coordination.end_step("any", "mine")
    assert case.other.counted() == {
        "job|tweets|10.0": 2,
        "job|tweets|30.0": 1,
        "job|tweets|inf": 1,
        "job|tweets|sum": 86_420_501,
    }


def test_metrics_see_what_is_unsettled(case: Case) -> None:
    """In place of what was shown before, for an hour; nothing is not the same as not known."""
    assert (case.coordination.unsettled(TWEETS), case.coordination.backlog()) == (None, None)
    case.coordination.show_backlog(7)
    unsettled = [Unsettled(batch_id=BatchId("a"), since=JOB.since, has_ended=True, parked=2)]
    case.coordination.show_unsettled(TWEETS, unsettled)
    assert (case.other.unsettled(TWEETS), case.other.unsettled(USERS)) == (unsettled, None)
    case.coordination.show_unsettled(TWEETS, [])
    assert (case.other.unsettled(TWEETS), case.other.backlog()) == ([], 7)
    case.sleep(HOUR + 1)
    assert (case.other.unsettled(TWEETS), case.other.backlog()) == (None, None)


def test_metrics_see_which_processes_live(case: Case) -> None:
    """Those of all workers of a role, each for as long as it was last said to live."""
    case.coordination.show_alive("control", ["a/1", "a/2"], 60)
    case.sleep(30)
    case.other.show_alive("control", ["a/2", "b/1"], 60)
    assert (case.other.alive("control"), case.other.alive("transfer")) == (3, 0)
    case.sleep(31)
    assert case.other.alive("control") == 2
    case.sleep(30)
    assert case.other.alive("control") == 0


def test_what_another_version_shows_is_not_known(redis_server: str) -> None:
    """Status goes on without it."""
    view = RedisLiveView(redis.Redis.from_url(redis_server), "other version")
    keys = RedisKeys("other version")
    view._redis.set(keys.live(TWEETS), b"{}")
    view._redis.hset(keys.queue(TWEETS), "a", "1")
    view._redis.lpush(keys.durations(TWEETS), b"12.5")
    assert (view.job(TWEETS), view.queue(TWEETS), view.durations(TWEETS)) == (None, None, [])


def test_a_flush_loses_everything(case: Case) -> None:
    """Nothing survives a Redis that comes back empty: no lease, no word, no count and nothing that is shown."""
    case.coordination.take_step("step", "mine", 60)
    case.coordination.take_step("step", "yours", 60)
    case.coordination.note_progress("step", 100)
    case.coordination.hold_slot(TWEETS, "1:a", 60)
    case.coordination.postpone("step", 60)
    case.coordination.reserve("get", "mine")
    case.coordination.settle("list", "mine", Quota(limit=150, remaining=0, seconds_left=900))
    case.coordination.block("cancel", 60)
    case.coordination.count_failure("step")
    case.coordination.show_job(TWEETS, JOB)
    case.coordination.show_queue(TWEETS, queue_of("a"))
    case.coordination.note_duration(TWEETS, JobDuration(count=1, least=1, most=1))
    case.coordination.count(LATE, TWEETS)
    case.coordination.show_unsettled(TWEETS, [])
    case.coordination.show_backlog(7)
    case.coordination.show_alive("control", ["a/1"], 60)
    case.coordination.end_step("other step", "mine")
    case.flush()
    assert not case.coordination.end_step("step", "mine")
    assert case.coordination.take_step("step", "third", 60) == 1
    assert case.coordination.hold_slot(TWEETS, "2:b", 60) == "2:b"
    assert case.coordination.seconds_until_due("step") == 0
    assert case.coordination.budgets() == {}
    assert [case.coordination.reserve(endpoint, "yours") for endpoint in ("get", "list", "cancel")] == [0, 0, 0]
    assert case.coordination.count_failure("step") == 1
    assert (case.view.job(TWEETS), case.view.queue(TWEETS), case.view.durations(TWEETS)) == (None, None, [])
    assert place_of(case, "a") is None
    assert case.coordination.counted() == {}
    assert (case.coordination.unsettled(TWEETS), case.coordination.alive("control")) == (None, 0)
    assert case.coordination.backlog() is None


def test_counting_keeps_no_step_from_ending(redis_server: str) -> None:
    """Somebody wrote to our key; the lease is given back all the same."""
    coordination, keys = RedisCoordination(redis_server, "miscounted"), RedisKeys("miscounted")
    redis.Redis.from_url(redis_server).set(keys.counted, "no hash")
    assert coordination.take_step("poll", "mine", 60)
    coordination.count(LATE, TWEETS)
    coordination.end_step("poll", "mine")
    assert coordination.take_step("poll", "yours", 60)


def test_what_a_newer_version_shows_as_unsettled_is_not_known(redis_server: str) -> None:
    """A sweep shows it anew."""
    coordination, keys = RedisCoordination(redis_server, "newer"), RedisKeys("newer")
    redis.Redis.from_url(redis_server).set(keys.unsettled(TWEETS), b'{"version": 2}')
    assert coordination.unsettled(TWEETS) is None


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
