"""Many workers at the same moment: what each is told agrees with what the others are told."""

from collections.abc import Callable, Sequence
from functools import partial

from complyq_producer.estimates import JobDuration
from complyq_producer.model import ComplianceType
from support.coordinations import Case
from support.crowds import CROWD, all_at_once

TWEETS = ComplianceType.TWEETS
ROUNDS = 50


def test_of_many_workers_one_gets_the_lease(case: Case) -> None:
    """64 at once, one winner, and it is told that it was asked for again."""
    taken = all_at_once(lambda number: case.coordination.take_step("race", str(number), 60))
    [winner] = [number for number, starts in enumerate(taken) if starts]
    assert taken[winner] == 1
    assert case.coordination.end_step("race", str(winner))


def test_a_dead_workers_step_goes_to_one_of_many(case: Case) -> None:
    """64 that find a lease run out, one winner, and one start more."""
    case.coordination.take_step("race", "dead", 60)
    case.sleep(61)
    taken = all_at_once(lambda number: case.coordination.take_step("race", str(number), 60))
    assert sorted(taken)[-2:] == [0, 2]


def test_many_renewals_are_one_start(case: Case) -> None:
    """However often, and from however many threads, a lease is renewed, the step was begun once."""
    assert set(all_at_once(lambda _: case.coordination.take_step("race", "mine", 60))) == {1}


def test_all_agree_on_who_holds_the_slot(case: Case) -> None:
    """64 plans ask at once, and all are told the same one."""
    [holder] = set(all_at_once(lambda number: case.coordination.hold_slot(TWEETS, f"{number}:a", 60)))
    assert case.other.hold_slot(TWEETS, "99:z", 60) == holder


def test_a_slot_given_back_has_one_next_holder(case: Case) -> None:
    """While one gives it back, again and again, the others never hold it both."""
    case.coordination.hold_slot(TWEETS, "0:a", 60)

    def act(number: int) -> str:
        if number % 2 == 0:
            case.coordination.release_slot(TWEETS, "0:a")
            return "0:a"
        return case.coordination.hold_slot(TWEETS, f"{number}:a", 60)

    assert len(set(all_at_once(act)) - {"0:a"}) <= 1


def test_every_failure_is_counted(case: Case) -> None:
    """64 failures at once are 64, and each is told another number."""
    assert sorted(all_at_once(lambda _: case.coordination.count_failure("step"))) == list(range(1, CROWD + 1))


def test_every_duration_is_noted(case: Case) -> None:
    """No job's duration is lost to another's that was noted at the same moment."""
    all_at_once(lambda number: case.coordination.note_duration(TWEETS, JobDuration(number, 1, 2)), 50)
    assert {duration.count for duration in case.view.durations(TWEETS)} == set(range(50))


def test_a_hint_at_the_moment_of_the_end_is_not_lost(case: Case) -> None:
    """Either who ends the step is told of the hint, or who brought it gets the step."""
    for turn in range(ROUNDS):
        name = f"plan {turn}"
        case.coordination.take_step(name, "mine", 60)
        end, ask = partial(case.coordination.end_step, name, "mine"), partial(case.other.take_step, name, "yours", 60)
        asked, taken = all_at_once(partial(_call_one, (end, ask)), 2)
        assert asked != taken


def test_the_farthest_of_many_positions_counts(case: Case) -> None:
    """Two workers of one step, the old one slower, do not make the place they are at look nearer than it is."""
    all_at_once(lambda number: case.coordination.note_progress("upload", number + 1))
    case.coordination.take_step("upload", "a", 60)
    case.sleep(61)
    case.coordination.note_progress("upload", CROWD)
    assert case.coordination.take_step("upload", "b", 60) == 2


def test_steps_do_not_disturb_one_another(case: Case) -> None:
    """64 workers that each run a step of its own all get it, with nothing counted for another."""
    names = [f"step {number}" for number in range(CROWD)]
    assert set(all_at_once(lambda number: case.coordination.take_step(names[number], "mine", 60))) == {1}
    assert set(all_at_once(lambda number: case.coordination.take_step(names[number], "yours", 60))) == {0}
    assert all(case.coordination.end_step(name, "mine") for name in names)


def _call_one(calls: Sequence[Callable[[], object]], number: int) -> bool:
    return bool(calls[number]())
