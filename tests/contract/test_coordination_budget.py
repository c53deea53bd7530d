"""One suite for every coordination: the requests that X allows are shared by all, and nobody gets one too many."""

import time
from itertools import count

import pytest

from complyq_producer.live import LiveBudget
from complyq_workers.coordination import Coordination, Quota
from support.coordinations import Case
from support.crowds import CROWD, all_at_once

WINDOW = 900
_names = map(str, count())


def quota(remaining: int, seconds_left: float = WINDOW) -> Quota:
    """Say what X's headers say."""
    return Quota(limit=150, remaining=remaining, seconds_left=seconds_left)


def granted(coordination: Coordination, endpoint: str = "get") -> str | None:
    """Reserve a request under a new name; return the name, or None if it must wait."""
    nonce = next(_names)
    return nonce if coordination.reserve(endpoint, nonce) == 0 else None


def learnt(case: Case, remaining: int, seconds_left: float = WINDOW) -> None:
    """Have one request learn the window."""
    nonce = granted(case.other)
    assert nonce
    case.other.settle("get", nonce, quota(remaining, seconds_left))


def left(case: Case, endpoint: str = "get") -> int | None:
    """Return how many requests status says are left."""
    return case.view.budgets()[endpoint].remaining


def test_one_request_at_a_time_learns_the_window(case: Case) -> None:
    """Each endpoint by itself; the others wait a moment."""
    assert case.coordination.reserve("get", "probe") == 0
    assert case.other.reserve("get", "other") == 0.5
    assert case.other.reserve("list", "other") == 0
    case.coordination.settle("get", "probe", quota(149))
    assert case.other.reserve("get", "other") == 0


def test_of_many_at_once_one_learns_the_window(case: Case) -> None:
    """64 that know nothing send one request."""
    waits = all_at_once(lambda number: case.coordination.reserve("get", str(number)))
    assert sorted(waits) == [0] + [0.5] * (CROWD - 1)


@pytest.mark.parametrize("remaining", [0, 1, 40])
def test_of_many_at_once_as_many_as_x_allows_get_a_request(case: Case, remaining: int) -> None:
    """Not one more, however many ask."""
    learnt(case, remaining)
    waits = all_at_once(lambda number: case.coordination.reserve("get", str(number)))
    assert waits.count(0) == remaining
    assert all(WINDOW - 60 < wait <= WINDOW for wait in waits if wait)


def test_many_ask_and_settle_without_getting_too_much(case: Case) -> None:
    """64 workers that learn, ask and settle as they please send no more than X has, and waste less than one each."""
    arrived = count(1)

    def act(number: int) -> None:
        for nonce in map(f"{number}-{{}}".format, range(150)):
            while 0 < (wait := case.coordination.reserve("get", nonce)) < 1:
                time.sleep(0.01)  # another one learns the window
            if wait:
                return
            case.coordination.settle("get", nonce, quota(100 - next(arrived)))

    all_at_once(act)
    assert 100 - CROWD < next(arrived) - 1 <= 100


def test_who_asks_again_for_its_request_is_told_the_same(case: Case) -> None:
    """Also when nothing is left for others, or X refuses since."""
    learnt(case, 1)
    assert case.coordination.reserve("get", "mine") == 0
    assert case.coordination.reserve("get", "mine") == 0
    assert case.other.reserve("get", "yours") > 0
    case.other.block("get", 60)
    assert case.coordination.reserve("get", "mine") == 0


def test_a_dead_probe_is_given_up(case: Case) -> None:
    """Another request learns the window then; the dead one may have been counted, or may still be."""
    case.coordination.reserve("get", "dead")
    case.sleep(14)
    assert granted(case.other) is None
    case.sleep(2)
    nonce = granted(case.other)
    assert nonce
    assert granted(case.other) is None
    case.other.settle("get", nonce, quota(148))
    assert left(case) == 147


def test_a_probe_that_was_given_up_does_not_end_its_follower(case: Case) -> None:
    """It comes to its end late, and the one that learns the window now is still the only one."""
    case.coordination.reserve("get", "slow")
    case.sleep(16)
    case.other.reserve("get", "second")
    case.coordination.settle("get", "slow", None, sent=False)
    assert granted(case.other) is None


def test_a_probe_that_was_never_sent_makes_room(case: Case) -> None:
    """Whoever asks next learns the window."""
    case.coordination.reserve("get", "mine")
    case.coordination.settle("get", "mine", None, sent=False)
    assert granted(case.other)


def test_what_was_never_sent_is_given_back(case: Case) -> None:
    """Once; what is not reserved any more, or never was, is not."""
    learnt(case, 10)
    case.coordination.reserve("get", "mine")
    for nonce in ("mine", "mine", "nobody's"):
        case.coordination.settle("get", nonce, None, sent=False)
    assert left(case) == 10


def test_a_reservation_of_the_dead_counts_as_sent(case: Case) -> None:
    """Until two minutes have passed it may also be under way: then X has counted it, or never will."""
    learnt(case, 10)
    case.coordination.reserve("get", "dead")
    case.sleep(60)
    case.other.settle("get", "any", quota(9, WINDOW - 60))
    assert left(case) == 8
    case.sleep(61)
    case.other.settle("get", "any", quota(8, WINDOW - 121))
    assert left(case) == 8


def test_a_foreign_client_eats_from_the_same_plate(case: Case) -> None:
    """What X says is left counts, less what is under way and may not be in that count."""
    learnt(case, 100)
    mine, others = granted(case.coordination), [granted(case.coordination) for _ in range(3)]
    case.coordination.settle("get", mine or "", quota(50))
    assert left(case) == 47
    for nonce, remaining in zip(others, (49, 48, 47), strict=True):
        case.coordination.settle("get", nonce or "", quota(remaining))
    assert left(case) == 47


def test_late_answers_bring_nothing_back(case: Case) -> None:
    """Within a window the rest only shrinks, whatever order answers come in."""
    learnt(case, 10)
    case.coordination.settle("get", "quick", quota(5))
    case.coordination.settle("get", "slow", quota(9, WINDOW - 4))
    assert left(case) == 5


def test_a_new_window_replaces_the_old_one(case: Case) -> None:
    """As soon as an answer tells of it, also where X begins it earlier than thought."""
    learnt(case, 0, 600)
    case.coordination.settle("get", "any", quota(149))
    assert left(case) == 149
    assert granted(case.other)


def test_an_answer_of_an_earlier_window_says_nothing(case: Case) -> None:
    """It was under way for long: how little was left then does not matter any more."""
    learnt(case, 149)
    case.coordination.settle("get", "old", quota(0, 2))
    assert left(case) == 149


def test_what_is_under_way_counts_in_the_next_window_too(case: Case) -> None:
    """X may count it there."""
    learnt(case, 100, 60)
    for _ in range(3):
        granted(case.coordination)
    case.sleep(61)
    learnt(case, 149)
    assert left(case) == 146


def test_when_its_window_ends_nothing_is_known_of_an_endpoint(case: Case) -> None:
    """One request learns the next one."""
    learnt(case, 0)
    assert granted(case.other) is None
    case.sleep(WINDOW + 1)
    assert "get" not in case.view.budgets()
    assert granted(case.other)
    assert granted(case.other) is None


def test_without_headers_requests_are_counted(case: Case) -> None:
    """150 in fifteen minutes from the first, one at a time, since nobody knows whether that is true."""
    for _ in range(150):
        nonce = granted(case.coordination)
        assert nonce
        assert granted(case.other) is None
        case.coordination.settle("get", nonce, None)
    assert WINDOW - 60 < case.other.reserve("get", "next") <= WINDOW
    assert left(case) == 0
    case.sleep(WINDOW + 1)
    assert granted(case.other)


def test_headers_are_believed_rather_than_our_count(case: Case) -> None:
    """As soon as they come: how many are left, and until when."""
    for told in (None, quota(42, 300)):
        nonce = granted(case.coordination)
        case.coordination.settle("get", nonce or "", told)
    budget = case.view.budgets()["get"]
    assert (budget.limit, budget.remaining) == (150, 42)
    assert 240 < budget.seconds_left <= 300
    assert granted(case.coordination)
    assert granted(case.other)


def test_an_answer_without_headers_changes_nothing_that_is_known(case: Case) -> None:
    """The request was counted when it was reserved."""
    learnt(case, 10)
    nonce = granted(case.coordination)
    case.coordination.settle("get", nonce or "", None)
    assert left(case) == 9


def test_a_refusal_keeps_all_away_until_its_end(case: Case) -> None:
    """From that endpoint alone; the last word counts, and 0 seconds are none."""
    learnt(case, 100)
    case.coordination.block("get", 900)
    case.coordination.block("get", -1)
    assert 840 < case.other.reserve("get", "mine") <= 900
    assert granted(case.other, "list")
    case.coordination.block("get", 60)
    case.sleep(61)
    assert granted(case.other)


def test_after_a_refusal_one_request_learns_the_window(case: Case) -> None:
    """What was thought of it was wrong."""
    learnt(case, 100)
    case.coordination.block("get", 60)
    case.sleep(61)
    assert granted(case.other)
    assert granted(case.other) is None


def test_status_sees_the_budgets(case: Case) -> None:
    """Of each endpoint of which anything is known; never less than nothing is left."""
    assert case.view.budgets() == {}
    learnt(case, 2)
    for _ in range(2):
        granted(case.coordination)
    case.coordination.settle("get", "foreign", quota(0))
    case.coordination.block("list", 60)
    budgets = case.view.budgets()
    assert set(budgets) == {"get", "list"}
    assert (budgets["get"].limit, budgets["get"].remaining, budgets["get"].seconds_blocked) == (150, 0, 0)
    assert WINDOW - 60 < budgets["get"].seconds_left <= WINDOW
    assert 50 < budgets["list"].seconds_blocked <= 60
    assert budgets["list"] == LiveBudget(seconds_blocked=budgets["list"].seconds_blocked)
    assert case.coordination.budgets().keys() == budgets.keys()
