"""What both origins share, and the work that goes on behind them."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from complyq_simulator.clock import Clock
from complyq_simulator.faults import Faults
from complyq_simulator.jobs import Job, Jobs
from complyq_simulator.journal import Journal
from complyq_simulator.limits import Limits
from complyq_simulator.results import Question, Results, answer
from complyq_simulator.settings import Settings
from complyq_simulator.signing import Signer
from complyq_simulator.uploads import Digest


@dataclass(slots=True)
class Session:
    """A resumable upload session. `persisted` bytes are safe; `turn` counts the PUTs, of which the last one writes."""

    id: str
    job: Job
    path: Path
    total: int | None = None
    persisted: int = 0
    turn: int = 0
    dead_status: int | None = None
    stored: Digest | None = None


@dataclass(slots=True)
class World:
    """One simulator."""

    settings: Settings
    api_url: str
    storage_url: str
    spool: Path
    clock: Clock
    journal: Journal
    faults: Faults
    limits: Limits
    jobs: Jobs
    signer: Signer = field(default_factory=Signer)
    sessions: dict[str, Session] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def begin(cls, settings: Settings, *, api_url: str, storage_url: str, spool: Path) -> "World":
        """Make an empty world whose two origins are known."""
        clock = Clock(still=settings.still_clock)
        journal, faults = Journal(clock), Faults()
        jobs, limits = Jobs(settings, clock, journal, faults), Limits(settings.rate_limit)
        return cls(settings, api_url, storage_url, spool, clock, journal, faults, limits, jobs)

    def new_file(self) -> Path:
        """Return the path of a file that does not exist yet."""
        return self.spool / uuid4().hex

    def accept(self, job: Job, upload: Path, size: int) -> None:
        """Take a complete upload; the job's results are computed aside. An upload nobody waits for is dropped."""
        if not self.jobs.uploaded(job):
            upload.unlink()
            return
        job.received = size
        self._spawn(self._process(job, upload))

    async def rest(self) -> None:
        """Wait until all results under way are computed."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _process(self, job: Job, upload: Path) -> None:
        extra = (job.fate.lines if job.fate else None) or ()
        question = Question(upload, job.type, self.settings.seed, self.settings.flagged_rate, extra)
        job.results = await asyncio.to_thread(_answer, question, self.new_file())


def _answer(question: Question, target: Path) -> Results:
    results = answer(question, target)
    question.upload.unlink()
    return results
