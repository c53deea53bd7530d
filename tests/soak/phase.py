"""One phase of a soak: batches and faults for a time, then calm until everything has ended, then the evidence."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from complyq_producer.ledger import JobPhase, Ledger
from complyq_producer.model import ComplianceType
from complyq_producer.store import open_store
from soak.agenda import Agenda
from soak.attendant import Attendant
from soak.evidence import copies_of, save_about, save_request, write_lines
from soak.faults import FAULTS, heal_all, schedule
from soak.interrupts import look_for_interrupts
from soak.load import Callers
from soak.s3_proxy import Weather
from soak.saying import say
from soak.schedule import Strike
from soak.site import STREAM, Kind, Site, running_site
from soak.snapshot import snapshot_s3
from soak.watch import Watch
from support.s3_server import S3Server

_TICK_SECONDS = 0.05
_PROGRESS_SECONDS = 5.0
_START_SECONDS = 120
_SETTLE_SECONDS = 300
_STUCK_SECONDS = 8.0
_WINDOW_SECONDS = 16 * 60
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a soak does at a time."""

    workers: int
    backlog: int
    pause: float
    """Seconds between two faults of processes and servers on average."""


@dataclass
class Figures:
    """What a phase did."""

    name: str
    folder: Path
    seconds: float = 0.0
    strikes: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """What went wrong with the soak itself."""


def run_phase(
    kind: Kind, folder: Path, seed: int, seconds: float, effort: Effort, s3: S3Server, weather: Weather
) -> Figures:
    """Run a phase and leave its evidence in the folder."""
    figures = Figures(kind.name, folder)
    begun = time.monotonic()
    with ExitStack() as stack:
        site = stack.enter_context(running_site(kind, folder, seed, s3, weather))
        phase = stack.enter_context(_staffed(site, figures, effort))
        phase.rage(schedule(f"{seed} {kind.name}", seconds, pause=effort.pause, in_s3=kind.in_s3), seconds)
        phase.settle()
        phase.testify(s3)
    figures.seconds = time.monotonic() - begun
    return figures


@contextmanager
def _staffed(site: Site, figures: Figures, effort: Effort) -> Iterator["_Phase"]:
    """Start workers, a listener and callers."""
    for _ in range(effort.workers):
        site.workers.add("complyq_workers", "--role", "all")
    site.listeners.add("soak.recorder", str(site.folder / "recorded.jsonl"))
    with (
        Watch(site.events.server, STREAM) as watch,
        Attendant(site.producer(), lambda: watch.parked) as attendant,
    ):
        callers = [
            Callers(
                type_,
                f"{site.seed} {site.kind.name} {type_}",
                site.producer(),
                site.environment,
                site.folder / "callers.log",
                watch,
                backlog=effort.backlog,
            )
            for type_ in ComplianceType
        ]
        try:
            yield _Phase(site, figures, watch, attendant, callers)
        finally:
            for some in callers:
                some.end()


class _Phase:
    """The main loop of a phase."""

    def __init__(
        self, site: Site, figures: Figures, watch: Watch, attendant: Attendant, callers: list[Callers]
    ) -> None:
        self._site = site
        self._figures = figures
        self._watch = watch
        self._attendant = attendant
        self._callers = callers
        self._begun = time.monotonic()
        self._said = self._begun
        self._agenda = Agenda()

    def rage(self, strikes: Iterable[Strike], seconds: float) -> None:
        """Let callers call, and faults strike for so long, once the first job shows that all is well."""
        for callers in self._callers:
            callers.start()
        while not self._site.simulator.jobs():
            if time.monotonic() > self._begun + _START_SECONDS:
                raise RuntimeError(f"no job after {_START_SECONDS} s: see {self._site.folder}/workers.log")
            self._tick(0.2)
        self._begun = time.monotonic()
        for strike in strikes:
            self._agenda.add(self._begun + strike.at, partial(self._strike, strike))
        while time.monotonic() < self._begun + seconds:
            self._agenda.run_due()
            self._tick()

    def settle(self) -> None:
        """End all faults, and wait until every batch has ended and everything is published and heard."""
        for callers in self._callers:
            callers.stop()
        heal_all(self._site)
        say(f"{self._figures.name}: calm, waiting for {self._unfinished()} batches")
        calm = time.monotonic()
        stuck = _Stuck(self._site)
        while not self._is_settled():
            if time.monotonic() > calm + _SETTLE_SECONDS:
                self._figures.failures.append(f"not settled after {_SETTLE_SECONDS} s")
                return
            stuck.look()
            self._tick(0.5)
        self._figures.others["seconds until all had ended"] = round(time.monotonic() - calm)

    def testify(self, s3: S3Server) -> None:
        """Stop the processes and write the evidence."""
        site, figures = self._site, self._figures
        figures.others["workers that had to be killed at the end"] += site.workers.stop(_STOP_SECONDS)
        site.listeners.stop()
        figures.others["processes that ended by themselves"] += site.workers.deaths
        figures.others["S3 requests disturbed"] += site.weather.struck
        figures.others.update(self._attendant.counts)
        for callers in self._callers:
            figures.others.update(callers.counts)
            figures.failures += [f"a caller: {callers.failure!r}"] if callers.failure else []
        save_about(site.folder, site.about)
        save_request(site.folder, [request for callers in self._callers for request in callers.requests])
        write_lines(site.folder / "journal.jsonl", (json.dumps(line).encode() for line in site.simulator.journal()))
        write_lines(site.folder / "stream.jsonl", self._watch.bodies())
        if site.kind.in_s3:
            snapshot_s3(s3, site.folder.name, site.folder / "store")

    def _strike(self, strike: Strike) -> None:
        self._figures.strikes[strike.fault] += 1
        say(f"{self._figures.name}: {strike}")
        heal = FAULTS[strike.fault](self._site, strike)
        if heal is not None:
            self._agenda.add(time.monotonic() + heal[0], heal[1])

    def _tick(self, seconds: float = _TICK_SECONDS) -> None:
        """Start again what died, and say how it goes."""
        look_for_interrupts()
        self._site.workers.tend()
        self._site.listeners.tend()
        now = time.monotonic()
        if now - self._said >= _PROGRESS_SECONDS:
            self._said = now
            say(self._progress(now))
        time.sleep(seconds)

    def _progress(self, now: float) -> str:
        asked = sum(len(callers.requests) for callers in self._callers)
        return (
            f"{self._figures.name}: {now - self._begun:.0f} s, {asked} calls, {len(self._watch.ended)} batches ended, "
            f"{self._unfinished()} open, {len(self._watch.ids)} events, {self._figures.strikes.total()} faults"
        )

    def _unfinished(self) -> int:
        return sum(callers.unfinished for callers in self._callers)

    def _is_settled(self) -> bool:
        if self._unfinished() or any(callers.is_alive for callers in self._callers):
            return False
        if next(self._site.producer().open_batches(), None) is not None:
            return False
        ledger = Ledger(open_store(self._site.about.store_url))
        jobs = [job for type_ in ComplianceType for job in ledger.marked_jobs(type_)]
        recorded = (self._site.folder / "recorded.jsonl").read_bytes().splitlines()
        return all(job.phase is JobPhase.CLOSED for job in jobs) and self._watch.ids <= {
            copy.id for copy in copies_of(recorded)
        }


class _Stuck:
    """Moves X's clock on when nothing happens any more because a job waits for its upload window to end."""

    def __init__(self, site: Site) -> None:
        self._simulator = site.simulator
        self._seen: list[tuple[str, str]] = []
        self._since = time.monotonic()

    def look(self) -> None:
        """Look whether anything has changed since the last time."""
        now, seen = time.monotonic(), [(job["remote_id"], job["status"]) for job in self._simulator.jobs()]
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif now - self._since > _STUCK_SECONDS and any(status == "created" for _, status in seen):
            self._simulator.advance_clock(_WINDOW_SECONDS)
            self._since = now


def use_s3(s3: S3Server, endpoint: str) -> None:
    """Point this process and its children to S3 through the proxy."""
    os.environ.update({**s3.environment, "AWS_ENDPOINT_URL": endpoint})
