"""Many histories of the simulated world: the promises hold in each. `make simulate` plays more of them."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from complyq_producer.store import MemoryStore
from complyq_producer.store.port import ObjectInfo
from complyq_workers.pipeline import finishing, replaying
from complyq_workers.planner import Trouble
from simulation.chaos import History, play
from simulation.every_call import SHAPES, OneStrike, play_once, strikes
from simulation.listening import let_hear, listen_to_logs
from simulation.shape import Shape

SEEDS_A_TEST = 40
STRIDE = 250
"""Of the faults at calls one of so many is chosen, three times."""
ONCE_BROKEN = (102, 552, 732, 1083)
"""Seeds whose histories broke a promise before the fault was mended. Drawing differently gives them new meanings."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Let the world hear the logs, and leave them as they were."""
    before, state = structlog.get_config(), random.getstate()
    listen_to_logs(tracing=False)
    yield
    structlog.configure(**before)
    random.setstate(state)


@pytest.mark.parametrize("first", range(1, 401, SEEDS_A_TEST))
def test_the_promises_hold_whatever_happens(first: int, tmp_path: Path) -> None:
    """In histories with crashes, losses, freezes, jumps of time and an X that fails."""
    broken = {seed: found for seed in range(first, first + SEEDS_A_TEST) if (found := play(seed, tmp_path).violations)}
    assert not broken


@pytest.mark.parametrize("seed", ONCE_BROKEN)
def test_what_once_went_wrong_does_not_again(seed: int, tmp_path: Path) -> None:
    """A history that broke a promise is kept."""
    assert not play(seed, tmp_path).violations


def test_a_seed_gives_the_same_history_again(tmp_path: Path) -> None:
    """Otherwise nobody could look into what a seed found."""
    first, second = play(77, tmp_path), play(77, tmp_path)
    assert (first.calls, first.now, first.faults) == (second.calls, second.now, second.faults)
    assert first.calls > 100


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("first", range(3))
def test_no_single_fault_breaks_a_promise(shape: Shape, first: int, tmp_path: Path) -> None:
    """Each of some faults at each of some calls; `make simulate` lets every fault strike every call."""
    chosen = list(strikes(shape, tmp_path))[first::STRIDE]
    broken = {strike: found for strike in chosen if (found := play_once(shape, tmp_path, OneStrike(strike)).violations)}
    assert not broken


class ForgetfulStore(MemoryStore):
    """A store that lets the last writer win, as an S3 without conditional writes does."""

    def create(self, key: str, body: bytes) -> bool:
        """Overwrite what is there."""
        self.delete(key)
        return super().create(key, body)


class LyingStore(MemoryStore):
    """A store that lists nothing of what lies under `open/jobs/`."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Leave out the plans."""
        return (info for info in super().list(prefix, after=after) if not info.key.startswith("open/jobs/"))


def test_a_world_in_which_innocents_are_blamed_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where X is never held at fault, failures of jobs that have no batch in common count."""
    monkeypatch.setattr(finishing, "judge", lambda *_: Trouble(failures=1))
    found = next(filter(None, (play(seed, tmp_path).violations for seed in range(1, 400))), [])
    assert any("counts against" in violation for violation in found)


def test_a_world_in_which_lost_events_stay_lost_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a loss is noticed, and nothing comes of it."""
    monkeypatch.setattr(replaying, "_ask", lambda *_: None)
    found = play_once(SHAPES[-1], tmp_path, OneStrike()).violations
    assert any("lost with the queue" in violation for violation in found)


@pytest.mark.parametrize("broken", [ForgetfulStore, LyingStore])
def test_a_world_that_breaks_promises_is_found_out(broken: type[MemoryStore], tmp_path: Path) -> None:
    """A check that finds nothing in a broken world would prove nothing about a sound one."""
    found = []
    for seed in range(1, 200):
        history = History(seed, tmp_path)
        let_hear(history.world)
        history.world.store.__class__ = broken
        found = history.run().violations
        if found:
            break
    assert found
