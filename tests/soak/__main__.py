"""`python -m soak --seconds 600 --seed 7`: real workers, batches all the time, faults at random, and a judge at the end.

Exit codes: 0 all promises kept, 1 one was broken (the evidence is kept), 130 interrupted.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from complyq_config.logging import configure_logging
from soak.checker import Violation, check
from soak.evidence import Evidence, load
from soak.interrupts import is_interrupted, take_up_interrupts
from soak.phase import Effort, Figures, run_phase, use_s3
from soak.report import table, violations
from soak.s3_proxy import Weather, running_s3_proxy
from soak.saying import say
from soak.site import Kind
from support.s3_server import running_s3_server

PHASES = (
    Kind("cloud-storage", concurrent=False, in_s3=True),
    Kind("direct", concurrent=True, in_s3=True),
    Kind("direct", concurrent=False, in_s3=False),
    Kind("cloud-storage", concurrent=True, in_s3=False, chunked=True),
)
_FEW_SECONDS = 240
"""A shorter soak has the first two phases only."""

Judged = tuple[Figures, Evidence, Sequence[Violation]]


def main() -> int:
    """Run a soak."""
    arguments = _arguments()
    take_up_interrupts()
    configure_logging("console", "ERROR")
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]  # the first for our own processes
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    folder = Path(tempfile.mkdtemp(prefix="complyq-soak-", dir=arguments.folder))
    say(f"seed {arguments.seed}, {arguments.seconds} s, evidence in {folder}")
    try:
        judged = _run(folder, arguments)
    except (KeyboardInterrupt, Exception):  # servers may have got the same Ctrl-C, and fail the step under way
        if not is_interrupted():
            raise
        say("interrupted")
        shutil.rmtree(folder)
        return 130
    return _conclude(folder, arguments, judged)


def _run(folder: Path, arguments: argparse.Namespace) -> list[Judged]:
    kinds = [kind for kind in PHASES if kind.name == arguments.only] or _phases_of(arguments.seconds)
    effort = Effort(workers=arguments.workers, backlog=arguments.backlog, pause=arguments.pause)
    weather = Weather()
    judged: list[Judged] = []
    with running_s3_server(folder / "s3") as s3, running_s3_proxy(s3.endpoint, weather) as endpoint:
        use_s3(s3, endpoint)
        for number, kind in enumerate(kinds):
            own = folder / f"{number + 1}-{kind.name}"
            figures = run_phase(kind, own, arguments.seed, arguments.seconds / len(kinds), effort, s3, weather)
            evidence = load(own)
            found = [*check(evidence), *(Violation("the_soak_itself", what) for what in figures.failures)]
            say(f"{kind.name}: {len(found)} violations")
            judged.append((figures, evidence, found))
    return judged


def _phases_of(seconds: int) -> Sequence[Kind]:
    return PHASES if seconds >= _FEW_SECONDS else PHASES[:2]


def _conclude(folder: Path, arguments: argparse.Namespace, judged: Sequence[Judged]) -> int:
    found = [violation for _, _, some in judged for violation in some]
    sys.stdout.write(f"soak of {arguments.seconds} s with seed {arguments.seed}\n{table(judged)}\n")
    if found or arguments.keep:
        sys.stdout.write(f"\n{violations(found)}\nThe evidence is in {folder}\n")
        return int(bool(found))
    shutil.rmtree(folder)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="how long faults strike")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="chooses the faults and the batches")
    parser.add_argument("--only", choices=[kind.name for kind in PHASES], help="run this phase for all the time")
    parser.add_argument("--workers", type=int, default=2, help="how many `complyq worker` run")
    parser.add_argument("--backlog", type=int, default=4, help="unfinished batches of a type at most")
    parser.add_argument(
        "--pause", type=float, default=4.0, help="seconds between two faults of processes and servers, on average"
    )
    parser.add_argument("--folder", type=Path, default=None, help="where the evidence goes")
    parser.add_argument("--keep", action="store_true", help="keep the evidence in any case")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
