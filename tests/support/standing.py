"""Facts of batches and jobs as they stand at one moment, and what workers show of them: what status reads."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from complyq_producer.estimates import JobDuration
from complyq_producer.facts import (
    BatchRecord,
    Collected,
    CollectedPart,
    Created,
    Finished,
    Merged,
    Outcome,
    PartInfo,
    Plan,
    PlannedPart,
    Uploaded,
    utc_now,
)
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_producer.ledger import Ledger
from complyq_producer.live import LiveJob, LivePlace, LiveQueue
from complyq_producer.model import BatchId, ComplianceType, EndState, JobId, Priority, RemoteId
from complyq_producer.overview import TypeOverview, read_overview
from complyq_producer.status import BatchStatus, batch_status
from complyq_producer.store import MemoryStore, ObjectStore
from complyq_workers.coordination import Coordination, MemoryCoordination

TWEETS = ComplianceType.TWEETS
BEGUN = timedelta(hours=-2)
PART_IDS = 10
PART_BYTES = 200


class Standing:
    """An installation in which everything stands still."""

    def __init__(self, store: ObjectStore | None = None, shown: Coordination | None = None) -> None:
        self.memory = MemoryCoordination()
        self.shown = shown or self.memory
        self.store = store or MemoryStore()
        self.ledger = Ledger(self.store)

    def batch(self, name: str, parts: int = 1, deadline: datetime | None = None) -> None:
        """Accept a batch."""
        infos = [PartInfo(index=index, first=1, last=9, count=PART_IDS, bytes=PART_BYTES) for index in range(parts)]
        ids = parts * PART_IDS
        record = BatchRecord(
            batch_id=BatchId(name), type=TWEETS, name=None, key=None, labels={}, priority=Priority.NORMAL,
            deadline=deadline, digest="", submitted=ids, invalid=0, duplicates=0, unique=ids, parts=infos,
        )  # fmt: skip
        keys = BatchKeys(record.batch_id)
        self.store.create(keys.open_marker(TWEETS), b"")
        self.ledger.facts.create(keys.record, record)

    def plan(self, number: int, parts: Mapping[str, list[int]], at: timedelta = BEGUN) -> None:
        """Plan parts of some batches, which may have been accepted, and merge them."""
        planned = [
            PlannedPart(
                batch_id=BatchId(name), part=part, attempt=1, count=PART_IDS, bytes=PART_BYTES, of=self._parts_of(name)
            )
            for name, some in parts.items()
            for part in some
        ]
        count, size = len(planned) * PART_IDS, len(planned) * PART_BYTES
        fact = Plan(
            type=TWEETS, number=number, job_id=JobId("j"), parts=planned, payload=[], count=count, bytes=size,
            recorded_at=utc_now() + at,
        )  # fmt: skip
        self.store.create(JobKeys(TWEETS, number).marker, b"")
        self.ledger.facts.create(JobKeys(TWEETS, number).plan, fact)
        if fact.is_merged:
            self.ledger.facts.create(JobKeys(TWEETS, number).merged, Merged(count=count - 1, bytes=size))

    def created(self, number: int, at: timedelta = BEGUN) -> None:
        """Create the job at X."""
        fact = Created(
            remote_id=RemoteId(f"{number}00"), adopted=False, sealed_upload_url=None, sealed_download_url=None,
            upload_expires_at=None, download_expires_at=None, recorded_at=utc_now() + at,
        )  # fmt: skip
        self.ledger.facts.create(JobKeys(TWEETS, number).created, fact)

    def uploaded(self, number: int, seconds_ago: float, *, complete: bool = True) -> None:
        """End the upload, after creating the job."""
        self.created(number)
        then = utc_now() - timedelta(seconds=seconds_ago)
        fact = Uploaded(complete=complete, finished_at=then, recorded_at=then)
        self.ledger.facts.create(JobKeys(TWEETS, number).uploaded, fact)

    def finished(self, number: int, status: str = "complete") -> None:
        """Have X's final word."""
        fact = Finished(status=status, remote_id=RemoteId(f"{number}00"), failed=status == "failed")
        self.ledger.facts.create(JobKeys(TWEETS, number).finished, fact)

    def collected(self, number: int) -> None:
        """Store the results of all parts of a plan; its marker stays."""
        plan = self.ledger.job(TWEETS, number).plan
        assert plan
        parts = [self._result(number, part.batch_id, part.part) for part in plan.parts]
        self.finished(number)
        fact = Collected(available=True, parts=parts, checked_at=utc_now())
        self.ledger.facts.create(JobKeys(TWEETS, number).collected, fact)

    def ended(self, name: str, at: datetime, state: EndState = "completed") -> None:
        """End a batch."""
        fact = Outcome(state=state, error=None, counted=[], data={}, recorded_at=at)
        self.ledger.facts.create(BatchKeys(BatchId(name)).outcome, fact)

    def took(self, seconds: float, times: int = 5, count: int = PART_IDS) -> None:
        """Have learnt how long jobs take."""
        for _ in range(times):
            self.shown.note_duration(TWEETS, JobDuration(count=count, least=seconds, most=seconds))

    def show_job(self, number: int, phase: str, done: int = 0, total: int = 0) -> None:
        """Show what the slot does, as a worker."""
        shown = LiveJob(plan=number, phase=phase, since=utc_now(), bytes_done=done, bytes_total=total)
        self.shown.show_job(TWEETS, shown)

    def show_queue(self, jobs_ahead: Mapping[str, int], ids: int | None = None, at: timedelta = timedelta()) -> None:
        """Show what waits, in order, with the jobs before each, as a worker."""
        places = [
            LivePlace(batch_id=BatchId(name), place=place, jobs_ahead=jobs)
            for place, (name, jobs) in enumerate(jobs_ahead.items(), 1)
        ]
        queue = LiveQueue(
            batches=len(places),
            ids=PART_IDS * len(places) if ids is None else ids,
            oldest=utc_now() - timedelta(minutes=14) if places else None,
            late=0,
            jobs=max(jobs_ahead.values(), default=-1) + 1,
            shown_at=utc_now() + at,
            places=places,
        )
        self.shown.show_queue(TWEETS, queue)

    def status(self, name: str) -> BatchStatus:
        """Ask how far a batch is."""
        view = self.ledger.batch(BatchId(name))
        assert view
        return batch_status(view, self.ledger, self.memory)

    def overview(self) -> TypeOverview:
        """Ask what is going on with Posts."""
        return read_overview(self.ledger, self.memory, utc_now()).types[TWEETS]

    def _parts_of(self, name: str) -> int:
        found = self.ledger.accepted(BatchId(name))
        return len(found[0].parts) if found else 1

    def _result(self, number: int, batch_id: BatchId, part: int) -> CollectedPart:
        key = BatchKeys(batch_id).results_of(part, number)
        self.store.create(key, b"")
        return CollectedPart(
            batch_id=batch_id, part=part, key=key, count=1, bytes=1, sha256="", by_action={}, by_reason={}, rejected=0,
            rejected_key=None, inline=True, messages=[1],
        )  # fmt: skip


def seconds_to(time: datetime | None) -> int | None:
    """Return how many seconds are left until a moment, to the half minute."""
    return None if time is None else 30 * round((time - utc_now()).total_seconds() / 30)
