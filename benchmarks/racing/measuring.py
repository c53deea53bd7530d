"""Has one competitor run once, and measures it: its own clock, and what all its processes used."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, TypeVar

import msgspec

from racing.entrant import Ran, Shown
from racing.inputs import cut
from racing.processes import Watch, watched
from racing.services import TOKEN, directory, ours, s3_server, simulated_x
from racing.task import Answer, Task
from racing.uploading_x import distant_x

if TYPE_CHECKING:
    from collections.abc import Iterator

    from racing.inputs import Expected, Input
    from racing.services import SimulatedX, Store

T = TypeVar("T")

_END_SECONDS = 60
_SERVERS = frozenset({"redis-server", "valkey-server"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is the same for all competitors of a race."""

    rate: float = 0.1
    s3: bool = False
    batches: int = 1
    merge: bool = True
    cut: bool = False
    """Whether each batch is a file of its own, and X has worked out the answer to each."""
    limit_mb: int = 0
    poll_seconds: float = 0.05
    max_upload_bytes: int = 1_000_000_000
    """What X's older contract allows, so that everybody needs one job."""
    download_mb: int = 0
    distant: bool = False
    """Whether X takes its time for each answer."""
    checks_flagged: bool = True
    """Whether a competitor shows flagged IDs in the end, else unique ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One competitor, once.

    `peaks` names the largest process first, a Redis server too, whose memory holds the results queue; `peak_bytes` is the most
    that any other one had. `wrong` is empty where the answer is right.
    """

    competitor: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    peaks: list[tuple[str, int]]
    load: float
    """The machine's load average of one minute when the run began."""
    wrong: list[str]
    figures: dict[str, Any]
    x_cpu_seconds: float = 0.0
    """Of the simulated X, from the competitor's start to its end."""


def measure(competitor: str, given: Input, right: Expected, conditions: Conditions, work: Path) -> Run:
    """Start services and competitor, measure, check, and end everything.

    Raises:
        RuntimeError: the competitor failed; the message holds the end of what it printed.
    """
    with TemporaryDirectory(prefix="race-", dir=work) as name, ExitStack() as running:
        folder = Path(name)
        x = running.enter_context(_x(folder, given, conditions))
        store = running.enter_context(s3_server(folder)) if conditions.s3 else directory(folder)
        load = os.getloadavg()[0]
        with _process(competitor, folder, store) as process:
            before = _cpu_seconds(x)
            run = _measured(competitor, process, _task(given, folder, store, x, conditions), right, conditions, load)
            return replace(run, x_cpu_seconds=_cpu_seconds(x) - before)


def _cpu_seconds(x: SimulatedX) -> float:
    watch = Watch(x.pid)
    watch.look()
    return watch.cpu_seconds()


def _x(folder: Path, given: Input, conditions: Conditions) -> AbstractContextManager[SimulatedX]:
    if conditions.distant:
        return distant_x(folder, given)
    questions = cut(given, conditions.batches) if conditions.cut else [given]
    return simulated_x(folder, questions, conditions.rate)


def _task(given: Input, folder: Path, store: Store, x: SimulatedX, conditions: Conditions) -> Task:
    own = folder / "competitor"
    own.mkdir()
    return Task(
        ids_file=str(given.path),
        folder=str(own),
        store_url=store.url,
        api_url=x.api_url,
        storage_url=x.storage_url,
        token=TOKEN,
        poll_seconds=conditions.poll_seconds,
        max_upload_bytes=conditions.max_upload_bytes,
        batches=conditions.batches,
        merge=conditions.merge,
        rate=conditions.rate,
        download_mb=conditions.download_mb,
        limit_mb=conditions.limit_mb,
    )


def _measured(
    competitor: str, process: _Entrant, task: Task, right: Expected, conditions: Conditions, load: float
) -> Run:
    with watched(process.pid) as watch:
        process.tell(msgspec.json.encode(task))
        process.hear(dict[str, bool])
        watch.look()
        before = watch.cpu_seconds()
        process.tell(b"run")
        ran = process.hear(Ran)
        watch.look()
        cpu_seconds, peaks = watch.cpu_seconds() - before, watch.peaks()
    process.tell(b"show")
    shown = process.hear(Shown)
    return Run(
        competitor=competitor,
        seconds=ran.seconds,
        cpu_seconds=cpu_seconds,
        peak_bytes=max(size for name, size in peaks if name not in _SERVERS),
        peaks=peaks,
        load=load,
        wrong=list(wrong(ran.answer, shown.digest, right, flagged=conditions.checks_flagged)),
        figures=shown.figures,
    )


def wrong(answer: Answer, digest: str, right: Expected, *, flagged: bool) -> Iterator[str]:
    """Name what of an answer is not right; what a competitor does not tell cannot be wrong."""
    for name in Answer.__struct_fields__:
        told, true = getattr(answer, name), getattr(right.answer, name)
        if told is not None and told != true:
            yield f"{name} is {told}, not {true}"
    if digest != (right.flagged if flagged else right.unique):
        yield "the IDs are other ones"


class _Entrant:
    """The process of a competitor, spoken to in lines."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._log = log
        self._inward, self._outward = _pipes(process)

    def tell(self, line: bytes) -> None:
        self._inward.write(line + b"\n")
        self._inward.flush()

    def hear(self, kind: type[T]) -> T:
        line = self._outward.readline()
        if not line:
            self._process.wait(_END_SECONDS)
            raise RuntimeError(f"a competitor failed: {self._log.read_text(errors='replace')[-3000:]}")
        return msgspec.json.decode(line, type=kind)


@contextmanager
def _process(competitor: str, folder: Path, store: Store) -> Iterator[_Entrant]:
    log = folder / "competitor.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(  # noqa: S603 - a module of ours
            [sys.executable, "-W", "ignore", "-m", "racing.entrant", competitor],
            env=_environment(folder, store),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        try:
            yield _Entrant(process, log)
        except BaseException:
            process.terminate()
            raise


def _environment(folder: Path, store: Store) -> dict[str, str]:
    temporary = folder / "tmp"
    temporary.mkdir()
    return ours() | store.environment | {"TMPDIR": str(temporary)}


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    return process.stdin, process.stdout
