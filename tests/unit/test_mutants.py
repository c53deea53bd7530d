"""The list of mutants fits the code, and a trial tells a guard that is watched from one that is not."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mutants.listed import MUTANTS
from mutants.mutant import ROOT, Mutant, StaleMutantError
from mutants.trial import Fate, Verdict, copy_packages, run_tests, try_mutant

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
PLANNED_TWICE = BY_NAME["plan: planned parts"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages as they are."""
    folder = tmp_path_factory.mktemp("sound").resolve()
    copy_packages(ROOT, folder)
    return folder


def test_each_mutant_has_a_name_of_its_own() -> None:
    """It is what they are asked for by."""
    assert len(BY_NAME) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code(mutant: Mutant) -> None:
    """Its guard is there, once, and the tests that must notice are too. The rest `make mutants` says."""
    compile(mutant.changed(), mutant.file, "exec")
    for test in mutant.tests:
        file, _, function = test.partition("::")
        assert f"def {function.partition('[')[0]}" in (ROOT / "tests" / file).read_text()


def test_no_mutant_is_broken_code(tmp_path: Path) -> None:
    """A name that is not there would be noticed by any test, and prove nothing."""
    for number, mutant in enumerate(MUTANTS):
        (tmp_path / f"mutant_{number}.py").write_text(f"# {mutant.name}\n{mutant.changed()}")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E9,F821,F822,F823", str(tmp_path)]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("text", ["        return ", "no such guard", ""])
def test_a_mutant_that_does_not_fit_is_refused(text: str) -> None:
    """The code has changed: the list must follow, or it would shrink in silence."""
    with pytest.raises(StaleMutantError):
        replace(PLANNED_TWICE, old=text).changed()


@pytest.mark.parametrize("name", ["plan: planned parts", "end: attempts", "Redis: word left"])
def test_a_missing_guard_is_noticed(sound: Path, name: str) -> None:
    """By the tests that the list names."""
    verdict = try_mutant(BY_NAME[name], sound)
    assert (verdict.fate, verdict.test.partition("[")[0]) == (Fate.NOTICED, f"tests/{BY_NAME[name].tests[0]}")


def test_a_guard_that_nobody_watches_survives(sound: Path) -> None:
    """The very mutant, before a test that is about something else."""
    blind = replace(
        PLANNED_TWICE, tests=("unit/test_planner.py::test_a_batch_is_completed_when_every_part_is_checked",)
    )
    assert try_mutant(blind, sound).fate is Fate.SURVIVED


def test_a_mutant_that_cannot_be_imported_proves_nothing(sound: Path) -> None:
    """Every test would fail, whatever it is about."""
    broken = replace(PLANNED_TWICE, old="from __future__ import annotations", new="import nothing_of_this_name")
    verdict = try_mutant(broken, sound)
    assert verdict.fate is Fate.UNPROVEN
    assert "nothing_of_this_name" in verdict.how


def test_what_runs_is_the_copy(tmp_path: Path) -> None:
    """Also in the processes that tests start: those of the installed packages would prove nothing."""
    copy, test = tmp_path / "copy", tmp_path / "test_where.py"
    copy_packages(ROOT, copy)
    test.write_text(
        "import subprocess, sys\n"
        "def test_where():\n"
        "    command = [sys.executable, '-c', 'import complyq_workers; print(complyq_workers.__file__)']\n"
        "    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout\n"
        f"    assert found.startswith({str(copy)!r}), found\n"
    )
    verdict = run_tests(copy, [str(test)], scratch=tmp_path, module="complyq_workers", stop_at_first=True)
    assert verdict == Verdict(Fate.SURVIVED, verdict.seconds)
