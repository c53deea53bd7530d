"""The compliance jobs of one App and their lives."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from complyq_simulator.clock import Clock
from complyq_simulator.faults import Fault, Faults
from complyq_simulator.journal import Journal
from complyq_simulator.results import Results
from complyq_simulator.settings import Settings

UPLOAD_SECONDS = 900
DOWNLOAD_SECONDS = 7 * 86_400
ACTIVE = frozenset({"created", "in_progress"})

_TWITTER_EPOCH_MS = 1_288_834_974_657


@dataclass(slots=True)
class Job:
    """One job; times in seconds since the epoch of the simulator's clock."""

    id: str
    type: str
    name: str | None
    resumable: bool
    created_at: float
    upload_expires_at: float
    download_expires_at: float
    status: str = "created"
    error: str | None = None
    received: int = 0
    due_at: float = 0.0
    fate: Fault | None = None
    results: Results | None = None


class Jobs:
    """All jobs. Time passes in `settle`, which must run before anything is read."""

    def __init__(self, settings: Settings, clock: Clock, journal: Journal, faults: Faults) -> None:
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._faults = faults
        self._jobs: dict[str, Job] = {}
        self._numbers = count(1)

    def create(self, type_: str, name: str | None, *, resumable: bool) -> Job:
        """Make a job; whether the type is free is asked with `active` before."""
        now = self._clock.now()
        job = Job(
            id=self._next_id(now),
            type=type_,
            name=name,
            resumable=resumable,
            created_at=now,
            upload_expires_at=now + UPLOAD_SECONDS,
            download_expires_at=now + DOWNLOAD_SECONDS,
        )
        self._jobs[job.id] = job
        self._journal.job(job.id, type_=type_, name=name, before=None, after=job.status)
        return job

    def find(self, id_: str) -> Job | None:
        """Return the job of this id, if there is one."""
        return self._jobs.get(id_)

    def active(self, type_: str) -> Job | None:
        """Return the job that holds the slot of a type."""
        return next((job for job in self._active() if job.type == type_), None)

    def recent(self, type_: str | None = None, status: str | None = None) -> list[Job]:
        """Return the jobs of the last seven days, newest first."""
        oldest = self._clock.now() - DOWNLOAD_SECONDS
        return [
            job
            for job in reversed(self._jobs.values())
            if type_ in {None, job.type} and status in {None, job.status} and job.created_at >= oldest
        ]

    def uploaded(self, job: Job) -> bool:
        """Note that a job's upload is complete; False when it no longer waits for one."""
        if job.status != "created":
            return False
        job.due_at = self._clock.now() + self._settings.processing_seconds
        job.fate = self._faults.take("job")
        self._change(job, "in_progress")
        return True

    def fail(self, job: Job, error: str) -> None:
        """End a job as failed."""
        job.error = error
        self._change(job, "failed")

    def lapse(self, job: Job) -> None:
        """Let the window of a job end now, for its upload or, once uploaded, for its download."""
        if job.status == "created":
            job.upload_expires_at = self._clock.now()
        else:
            job.download_expires_at = self._clock.now()
        self.settle()

    def settle(self) -> None:
        """Let pass what is due: windows that ended, processing that is over."""
        now = self._clock.now()
        due = [(at, job, status) for job in self._active() for at, status in [_next(job)] if at <= now]
        for _, job, status in sorted(due, key=lambda entry: entry[0]):
            self._end(job, status)

    def _end(self, job: Job, status: str) -> None:
        if status == "failed" and job.fate is not None:
            self.fail(job, job.fate.error or "Internal error")
        else:
            self._change(job, status)

    def _active(self) -> Iterator[Job]:
        return (job for job in self._jobs.values() if job.status in ACTIVE)

    def _change(self, job: Job, status: str) -> None:
        before, job.status = job.status, status
        self._journal.job(job.id, type_=job.type, name=job.name, before=before, after=status)

    def _next_id(self, now: float) -> str:
        """A snowflake, as X's are: 19 digits until 2034 and beyond."""
        return str((int(now * 1000) - _TWITTER_EPOCH_MS << 22) | next(self._numbers))


def _next(job: Job) -> tuple[float, str]:
    """Say when an active job changes by itself, and to what; never, while its results are being computed."""
    if job.status == "created":
        return job.upload_expires_at, "expired"
    fates = {"fail": "failed", "expire": "expired"}
    kind = job.fate.fault if job.fate else ""
    if kind == "stuck" or (job.results is None and kind not in fates):
        return float("inf"), ""
    return job.due_at, fates.get(kind, "complete")
