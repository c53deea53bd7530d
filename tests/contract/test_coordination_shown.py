"""What workers show each other, `status` and Prometheus: the same from every coordination."""

from datetime import UTC, datetime

import msgspec
import redis

from complyq_producer.estimates import JobDuration
from complyq_producer.live import LiveJob, LivePlace, LiveQueue, RedisLiveView
from complyq_producer.model import BatchId, ComplianceType
from complyq_producer.redis_keys import RedisKeys
from complyq_workers.coordination import (
    Counter,
    Histogram,
    Quota,
    RedisCoordination,
    Unsettled,
)
from support.coordinations import Case

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
