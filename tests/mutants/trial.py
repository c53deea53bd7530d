"""One trial: a copy of the packages, perhaps without a guard, and the tests that should notice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from mutants.mutant import PACKAGES, ROOT, Mutant
from mutants.witness import COPY, MODULE, VERDICT

LONGEST_SECONDS = 600.0
"""A trial that takes longer proves nothing."""
ALL_PASSED, SOME_FAILED = 0, 1
"""Exit codes of pytest."""


class Fate(StrEnum):
    """What became of a mutant."""

    NOTICED = "noticed"
    """A test failed."""
    SURVIVED = "survived"
    """All tests passed without the guard."""
    UNPROVEN = "unproven"
    """The trial ended otherwise, which says nothing about the guard."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a trial ended; `test` is the first that failed and `how` says how, or what went wrong with the trial."""

    fate: Fate
    seconds: float
    test: str = ""
    how: str = ""


def copy_packages(root: Path, copy: Path) -> None:
    """Copy what is on trial; what was compiled comes along only from a copy, where nobody else compiles."""
    ignored = shutil.ignore_patterns("__pycache__") if root == ROOT else None
    for folder in PACKAGES:
        shutil.copytree(root / folder, copy / folder, ignore=ignored)


def try_sound(tests: Iterable[str], sound: Path) -> Verdict:
    """Run tests with every guard in its place. What is compiled by that is of use to all trials."""
    with TemporaryDirectory(prefix="sound-") as folder:
        return run_tests(sound, tests, scratch=Path(folder), module="complyq_workers", stop_at_first=False)


def try_mutant(mutant: Mutant, sound: Path) -> Verdict:
    """Take a guard out of a copy of the sound packages, and run the tests that must notice."""
    with TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder).resolve()
        copy_packages(sound, copy)
        mutant.apply(copy)
        return run_tests(copy, mutant.tests, scratch=copy, module=mutant.module, stop_at_first=True)


def run_tests(copy: Path, tests: Iterable[str], *, scratch: Path, module: str, stop_at_first: bool) -> Verdict:
    """Run tests on a copy of the packages. It comes first on the path, also in what the tests start."""
    verdict = scratch / "verdict.json"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "mutants.witness"]
    command += [
        f"--basetemp={scratch / 't'}",
        *(["-x"] if stop_at_first else []),
        *(str(ROOT / "tests" / test) for test in tests),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": _path_of(copy), COPY: str(copy), MODULE: module, VERDICT: str(verdict)}
    begun = time.monotonic()
    exit_code, output = _run(command, environment)
    seconds = time.monotonic() - begun
    if exit_code == ALL_PASSED:
        return Verdict(Fate.SURVIVED, seconds)
    if exit_code == SOME_FAILED and verdict.exists():
        return Verdict(Fate.NOTICED, seconds, **json.loads(verdict.read_text()))
    return Verdict(Fate.UNPROVEN, seconds, how=f"pytest ended with {exit_code}: {output[-2000:]}")


def _path_of(copy: Path) -> str:
    return os.pathsep.join([*(str(copy / folder) for folder in PACKAGES), str(ROOT / "tests")])


def _run(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command in a session of its own, so that all of it can be ended."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL, f"not ended after {LONGEST_SECONDS:.0f} s"
        finally:
            with suppress(ProcessLookupError):  # what a test started and could not end
                os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, output
