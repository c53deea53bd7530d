"""`python -m mutants`: try all mutants, or some, and show which test noticed each. Exits with 1 if one is not noticed."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mutants.listed import MUTANTS
from mutants.mutant import ROOT, Mutant
from mutants.trial import Fate, Verdict, copy_packages, try_mutant, try_sound

console, errors = Console(), Console(stderr=True)


def main() -> int:
    """Try mutants; return the exit code."""
    given = _given()
    chosen = _chosen(given.only)
    if given.list:
        console.print(_listing(chosen))
        return 0
    for mutant in chosen:
        mutant.changed()
    with TemporaryDirectory(prefix="sound-") as folder:
        sound = Path(folder).resolve()
        copy_packages(ROOT, sound)
        return _try_all(chosen, sound, given.jobs) if _is_sound(chosen, sound, given.jobs) else 1


def _given() -> Namespace:
    parser = ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", default=[], help="only mutants whose names hold one of these"
    )
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument("--jobs", type=int, default=2, help="how many to try at once (2)")
    return parser.parse_args()


def _chosen(names: Sequence[str]) -> list[Mutant]:
    chosen = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    if not chosen:
        sys.exit(f"no mutant is called like {' or '.join(names)}")
    return chosen


def _listing(mutants: Sequence[Mutant]) -> Table:
    table = Table("mutant", "what the guard protects", title=f"{len(mutants)} mutants")
    for mutant in mutants:
        table.add_row(mutant.name, mutant.protects)
    return table


def _is_sound(mutants: Sequence[Mutant], sound: Path, jobs: int) -> bool:
    """Whether all tests pass while every guard is in its place."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    errors.print(f"all guards in place: {len(tests)} tests or files", highlight=False)
    shares = [share for first in range(jobs) if (share := tests[first::jobs])]
    with ThreadPoolExecutor(jobs) as pool:
        verdicts = list(pool.map(partial(try_sound, sound=sound), shares))
    for verdict in verdicts:
        if verdict.fate is not Fate.SURVIVED:
            errors.print(f"a test fails although no guard is missing: {verdict.test} {verdict.how}", markup=False)
    return all(verdict.fate is Fate.SURVIVED for verdict in verdicts)


def _try_all(mutants: Sequence[Mutant], sound: Path, jobs: int) -> int:
    verdicts = {}
    for mutant, verdict in _verdicts(mutants, sound, jobs):
        verdicts[mutant.name] = verdict
        line = f"{len(verdicts):3}/{len(mutants)} {verdict.fate:8} {verdict.seconds:5.1f} s  {mutant.name}  {verdict.how[:160]!r}"
        errors.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(_table(mutants, verdicts))
    missed = [mutant for mutant in mutants if verdicts[mutant.name].fate is not Fate.NOTICED]
    for mutant in missed:
        console.print(f"{verdicts[mutant.name].fate}: {mutant.name} ({mutant.protects})", markup=False)
        errors.print(verdicts[mutant.name].how, markup=False, highlight=False)
    console.print(f"{len(mutants) - len(missed)} of {len(mutants)} mutants were noticed")
    return 1 if missed else 0


def _verdicts(mutants: Sequence[Mutant], sound: Path, jobs: int) -> Iterator[tuple[Mutant, Verdict]]:
    with ThreadPoolExecutor(jobs) as pool:
        trials = {pool.submit(try_mutant, mutant, sound): mutant for mutant in mutants}
        try:
            for trial in as_completed(trials):
                yield trials[trial], trial.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _table(mutants: Sequence[Mutant], verdicts: dict[str, Verdict]) -> Table:
    table = Table("mutant", "noticed by", "seconds")
    for mutant in mutants:
        verdict = verdicts[mutant.name]
        noticed_by = verdict.test.removeprefix("tests/") or verdict.fate
        table.add_row(escape(mutant.name), escape(noticed_by), f"{verdict.seconds:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
