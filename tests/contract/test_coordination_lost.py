"""Answers and requests that are lost on the way to the coordination: a repeated call leads to what was promised.

Lost once, the adapter may send a request again by itself. Lost twice, the caller sees our own error and calls again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from complyq_producer.estimates import JobDuration
from complyq_producer.live import LiveJob, LivePlace, LiveQueue
from complyq_producer.model import BatchId, ComplianceType
from complyq_workers.coordination import Coordination, CoordinationError, Counter, Quota, RedisCoordination
from support.coordinations import Case
from support.lost_answers import Network, until_answered
from support.tcp_proxy import running_tcp_proxy

T = TypeVar("T")
TWEETS = ComplianceType.TWEETS
LATE = Counter.BATCHES_ENDED_LATE
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
JOB = LiveJob(plan=3, phase="uploading", since=NOON)
PLACE = LivePlace(batch_id=BatchId("a"), place=1, jobs_ahead=0)
QUEUE = LiveQueue(batches=1, ids=5, oldest=NOON, late=0, shown_at=NOON, places=[PLACE])
DURATION = JobDuration(count=5, least=1.5, most=2.0)


@dataclass
class Loss:
    """A coordination on a bad line.

    Attributes:
        lose: loses what the next calls ask or are answered.
        most: how often the next call may have been carried out, when it is answered at last.
    """

    case: Case
    lose: Callable[[Network], None]
    most: int

    def call(self, question: Callable[[Coordination], T]) -> T:
        """Call until there is an answer, with as much lost as is to be."""
        self.lose(self.case.network)
        answer = until_answered(lambda: question(self.case.coordination), CoordinationError)
        assert self.case.network.faults_left() == 0
        return answer


@pytest.fixture(
    params=[("reply", 1), ("reply", 2), ("request", 1), ("request", 2)], ids=lambda loss: f"{loss[0]}-{loss[1]}"
)
def loss(case: Case, request: pytest.FixtureRequest) -> Loss:
    """Every way to lose something."""
    what, times = request.param
    if what == "reply":
        return Loss(case, lambda network: network.lose_next_reply(times=times), times + 1)
    return Loss(case, lambda network: network.lose_next_request(times=times), 1)


def test_a_lease_is_ours_when_the_answer_was_lost(loss: Loss) -> None:
    """It was begun once, nobody else has it, and it can be ended."""
    assert loss.call(lambda it: it.take_step("poll", "mine", 60)) == 1
    assert not loss.case.other.take_step("poll", "yours", 60)
    assert loss.case.other.end_step("poll", "mine")
    assert loss.case.other.take_step("poll", "yours", 60)


def test_a_lease_is_renewed_when_the_answer_was_lost(loss: Loss) -> None:
    """It lasts as long as the last renewal said."""
    loss.case.other.take_step("poll", "mine", 60)
    assert loss.call(lambda it: it.take_step("poll", "mine", 600)) == 1
    loss.case.sleep(590)
    assert not loss.case.other.take_step("poll", "yours", 60)


def test_a_refused_lease_leaves_word_when_the_answer_was_lost(loss: Loss) -> None:
    """Who runs the step is told that it was asked for."""
    loss.case.other.take_step("poll", "mine", 60)
    assert not loss.call(lambda it: it.take_step("poll", "yours", 60))
    assert loss.case.other.end_step("poll", "mine")


@pytest.mark.parametrize("hints", [0, 1])
def test_an_ended_step_is_free_when_the_answer_was_lost(loss: Loss, hints: int) -> None:
    """It can be begun anew, its starts are forgotten, and a hint that came meanwhile is told all the same."""
    loss.case.other.take_step("poll", "dead", 60)
    loss.case.sleep(61)
    loss.case.other.take_step("poll", "mine", 60)
    for _ in range(hints):
        loss.case.other.take_step("poll", "yours", 60)
    assert loss.call(lambda it: it.end_step("poll", "mine")) == bool(hints)
    assert loss.case.other.take_step("poll", "yours", 60) == 1


def test_progress_is_noted_when_the_answer_was_lost(loss: Loss) -> None:
    """Earlier starts are forgotten, and the place is remembered."""
    loss.case.other.take_step("upload", "a", 60)
    loss.call(lambda it: it.note_progress("upload", 100))
    loss.case.sleep(61)
    assert loss.case.other.take_step("upload", "b", 60) == 1
    loss.case.other.note_progress("upload", 100)
    loss.case.sleep(61)
    assert loss.case.other.take_step("upload", "c", 60) == 2


def test_the_slot_is_held_when_the_answer_was_lost(loss: Loss) -> None:
    """The plan that took it has it, and who asks is told so."""
    assert loss.call(lambda it: it.hold_slot(TWEETS, "1:a", 60)) == "1:a"
    assert loss.call(lambda it: it.hold_slot(TWEETS, "2:b", 60)) == "1:a"


def test_the_slot_is_free_when_the_answer_was_lost(loss: Loss) -> None:
    """What was given back stays given back."""
    loss.case.other.hold_slot(TWEETS, "1:a", 60)
    loss.call(lambda it: it.release_slot(TWEETS, "1:a"))
    assert loss.case.other.hold_slot(TWEETS, "2:b", 60) == "2:b"


def test_a_step_is_postponed_when_the_answer_was_lost(loss: Loss) -> None:
    """By as much as was asked for, not by more."""
    loss.call(lambda it: it.postpone("poll", 60))
    assert 50 < loss.call(lambda it: it.seconds_until_due("poll")) <= 60


def test_an_endpoint_is_blocked_when_the_answer_was_lost(loss: Loss) -> None:
    """For as long as was said, not for longer."""
    loss.call(lambda it: it.block("get", 60))
    assert 50 < loss.call(lambda it: it.reserve("get", "mine")) <= 60


def test_a_request_is_reserved_once_when_the_answer_was_lost(loss: Loss) -> None:
    """Who asks again for the same request is told the same, and it costs one."""
    loss.case.other.settle("get", "earlier", Quota(limit=150, remaining=2, seconds_left=900))
    assert loss.call(lambda it: it.reserve("get", "mine")) == 0
    assert loss.case.other.budgets()["get"].remaining == 1


def test_the_probe_stays_the_only_one_when_the_answer_was_lost(loss: Loss) -> None:
    """It is told that it may go, and nobody else is."""
    assert loss.call(lambda it: it.reserve("get", "mine")) == 0
    assert loss.case.other.reserve("get", "yours") == 0.5


def test_a_request_is_settled_once_when_the_answer_was_lost(loss: Loss) -> None:
    """Neither is it counted twice, nor given back twice, nor does it end another one's."""
    other = loss.case.other
    other.settle("get", "earlier", Quota(limit=150, remaining=10, seconds_left=900))
    for nonce in ("a", "b", "c", "d"):
        other.reserve("get", nonce)
    loss.call(lambda it: it.settle("get", "a", None))
    assert other.budgets()["get"].remaining == 6
    loss.call(lambda it: it.settle("get", "b", None, sent=False))
    assert other.budgets()["get"].remaining == 7
    loss.call(lambda it: it.settle("get", "c", Quota(limit=150, remaining=8, seconds_left=900)))
    assert other.budgets()["get"].remaining == 7
    loss.call(lambda it: it.settle("list", "first", None))
    assert other.budgets()["list"].remaining == 149


def test_a_failure_is_counted_when_the_answer_was_lost(loss: Loss) -> None:
    """At least once, and not more often than it was asked for; one that goes well ends it all."""
    assert 1 <= loss.call(lambda it: it.count_failure("step")) <= loss.most
    loss.call(lambda it: it.end_step("step", "mine", went_well=True))
    assert loss.case.other.count_failure("step") == 1


def test_metrics_count_at_least_once_when_the_answer_was_lost(loss: Loss) -> None:
    """And not more often than it was asked for."""
    loss.case.coordination.count(LATE, TWEETS)
    loss.call(lambda it: it.end_step("poll", "mine"))
    assert 1 <= loss.call(lambda it: it.counted())["batches_ended_late|tweets"] <= loss.most
    loss.case.other.hold_slot(TWEETS, "1:a", 60)
    assert loss.call(lambda it: it.slot_holder(TWEETS)) == "1:a"


def test_status_sees_what_is_shown_when_the_answer_was_lost(loss: Loss) -> None:
    """The job, the queue, and a duration that may be noted more than once."""
    loss.call(lambda it: it.show_job(TWEETS, JOB))
    loss.call(lambda it: it.show_queue(TWEETS, QUEUE))
    loss.call(lambda it: it.note_duration(TWEETS, DURATION))
    assert loss.case.view.job(TWEETS) == JOB
    shown = loss.case.view.queue(TWEETS)
    assert shown
    assert shown.batches == 1
    assert loss.case.view.position(TWEETS, BatchId("a")) == QUEUE.places[0]
    assert set(loss.call(lambda it: it.durations(TWEETS))) == {DURATION}
    assert len(loss.case.view.durations(TWEETS)) <= loss.most


CALLS: list[Callable[[Coordination], object]] = [
    lambda it: it.take_step("a", "b", 1),
    lambda it: it.take_step("a", "b", 1, due_within=1),
    lambda it: it.end_step("a", "b"),
    lambda it: it.end_step("a", "b", postponed=1, went_well=True),
    lambda it: it.is_idle("a"),
    lambda it: it.note_progress("a", 1),
    lambda it: it.hold_slot(TWEETS, "1:a", 1),
    lambda it: it.release_slot(TWEETS, "1:a"),
    lambda it: it.postpone("a", 1),
    lambda it: it.seconds_until_due("a"),
    lambda it: it.count_failure("a"),
    lambda it: it.reserve("get", "a"),
    lambda it: it.settle("get", "a", None),
    lambda it: it.settle("get", "a", None, sent=False),
    lambda it: it.settle("get", "a", Quota(limit=150, remaining=10, seconds_left=900)),
    lambda it: it.block("get", 1),
    lambda it: it.budgets(),
    lambda it: it.show_job(TWEETS, JOB),
    lambda it: it.note_duration(TWEETS, DURATION),
    lambda it: it.durations(TWEETS),
    lambda it: it.show_queue(TWEETS, QUEUE),
    lambda it: it.slot_holder(TWEETS),
    lambda it: it.counted(),
    lambda it: it.show_unsettled(TWEETS, []),
    lambda it: it.unsettled(TWEETS),
    lambda it: it.show_backlog(7),
    lambda it: it.backlog(),
    lambda it: it.show_alive("control", ["a/1"], 1),
    lambda it: it.alive("control"),
]


def test_every_way_to_fail_is_an_error_of_ours(redis_server: str) -> None:
    """Refused, reset or lost: each method says so in our words, and works again when the network does."""
    with running_tcp_proxy(redis_server) as proxy:
        coordination = RedisCoordination(proxy.url(redis_server), "bad line")
        for call in CALLS:
            call(coordination)
            proxy.lose_next_request(times=2)
            with pytest.raises(CoordinationError, match="COMPLYQ_REDIS_URL"):
                call(coordination)
            proxy.refuse(True)
            with pytest.raises(CoordinationError, match="COMPLYQ_REDIS_URL"):
                call(coordination)
            proxy.refuse(False)
            call(coordination)


def test_one_broken_connection_is_not_noticed(redis_server: str) -> None:
    """A connection that was cut, or an answer lost with it, costs a second request, not a lease nobody knows of."""
    with running_tcp_proxy(redis_server) as proxy:
        coordination = RedisCoordination(proxy.url(redis_server), "cut line")
        for call in CALLS:
            call(coordination)
            proxy.lose_next_reply()
            call(coordination)
            proxy.reset_connections()
            call(coordination)
