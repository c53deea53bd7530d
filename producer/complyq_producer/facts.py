"""The facts: small JSON objects that are created once and never changed, and the store of them.

Each carries the version of its schema and the nonce of its writer. A refused create may be our own write whose answer
was lost, so who is told "it exists" reads it back and compares the nonce.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import uuid_utils

from complyq_producer.errors import ObjectNotFoundError, UnknownSchemaError
from complyq_producer.model import BatchId, ComplianceType, EndState, JobId, ObjectFormat, Priority, RemoteId, ReplayId

if TYPE_CHECKING:
    from collections.abc import Callable

    from complyq_producer.store import ObjectStore

SCHEMA = 2
"""The version of the facts that this code writes, and the highest that it reads."""

F = TypeVar("F", bound="Fact")


PARKED = "parked"
"""The status of an attempt at a part, and of a job, that crashed whoever worked on it every time."""

UNRECORDED = datetime.min.replace(tzinfo=UTC)
"""When a fact that nobody has tried to record yet was recorded."""


def utc_now() -> datetime:
    """Return the time of this machine, in UTC."""
    return datetime.now(UTC)


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What every fact carries."""

    schema: int = SCHEMA
    nonce: str = msgspec.field(default_factory=lambda: uuid_utils.uuid4().hex)
    recorded_at: datetime = UNRECORDED
    """By its writer's clock: for people and estimates, never for an order of events."""


class PartInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A slice of a batch: `count` sorted unique IDs from `first` to `last`, `bytes` long as text."""

    index: int
    first: int
    last: int
    count: int
    bytes: int


class BatchRecord(Fact, frozen=True, kw_only=True):
    """A batch as it was accepted. The same record stands under the key, if it has one."""

    batch_id: BatchId
    type: ComplianceType
    name: str | None
    key: str | None
    labels: dict[str, str]
    priority: Priority
    deadline: datetime | None
    digest: str
    submitted: int
    invalid: int
    duplicates: int
    unique: int
    parts: list[PartInfo]
    traceparent: str | None = None
    """The trace in which it was enqueued, if anybody traced."""


class CancelRequested(Fact, frozen=True, kw_only=True):
    """Somebody asked to end the batch early."""


class Parked(Fact, frozen=True, kw_only=True):
    """Work that crashed its process every time: it waits until somebody has looked at it."""

    name: str
    """What of a batch is parked: a plan, by its number, or "publish-1" and so on."""
    plan: int | None
    """The plan whose job is parked; None where publishing a batch is."""
    step: str
    starts: int
    """How often the step was begun without coming to an end or making progress."""
    reason: str
    until: datetime
    """When the batches of a parked job fail, and when parked publishing is tried again."""


class Released(Fact, frozen=True, kw_only=True):
    """Somebody has looked at parked work, and wants it tried again."""


class Attempt(Fact, frozen=True, kw_only=True):
    """A plan that did not check a part, and whether that counts against the part."""

    plan: int
    status: str
    error: str | None
    counted: bool
    max_bytes: int | None = None
    """Where the job was refused for its size: the most bytes that the next one may have."""


class PlannedPart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One part in a plan, of a batch of `of` parts; `attempt` counts from 1."""

    batch_id: BatchId
    part: int
    attempt: int
    count: int
    bytes: int
    of: int = 0
    """0 in plans of a version that did not say it."""


class Plan(Fact, frozen=True, kw_only=True):
    """The decision that one job carries these parts.

    Its payload is `payload`'s objects, one after another. `count` and `bytes` are sums over the parts: what several
    batches have in common is uploaded once, which the fact `Merged` counts.
    """

    type: ComplianceType
    number: int
    job_id: JobId
    parts: list[PlannedPart]
    payload: list[str]
    count: int
    bytes: int
    traceparent: str | None = None
    """What the job's steps belong to in traces, if the worker that planned it traced."""

    @property
    def is_merged(self) -> bool:
        """Whether several batches share the job, so that its payload has to be made."""
        return any(part.batch_id != self.parts[0].batch_id for part in self.parts)

    @property
    def batch_ids(self) -> list[BatchId]:
        """The batches that have a part in the plan, each once, in order."""
        return list(dict.fromkeys(part.batch_id for part in self.parts))

    @property
    def divided_batches(self) -> list[BatchId]:
        """Those of which the plan does not hold all parts, as far as it says."""
        held = Counter(part.batch_id for part in self.parts)
        return list(dict.fromkeys(part.batch_id for part in self.parts if part.of != held[part.batch_id]))


class Merged(Fact, frozen=True, kw_only=True):
    """The payload of a plan of several batches is complete: so many IDs, each once, and bytes."""

    count: int
    bytes: int


class Creating(Fact, frozen=True, kw_only=True):
    """A create of the remote job may have been sent. Of several workers the one that recorded this sends it."""


class Created(Fact, frozen=True, kw_only=True):
    """Which remote job belongs to the plan. The URLs are credentials, hence sealed; None where X gave none."""

    remote_id: RemoteId
    adopted: bool
    sealed_upload_url: str | None
    sealed_download_url: str | None
    upload_expires_at: datetime | None
    download_expires_at: datetime | None


class Session(Fact, frozen=True, kw_only=True):
    """A resumable upload session. Its URI is a credential, hence sealed."""

    sealed_uri: str
    is_gone: bool = False
    """The session before this one died, and this entry only says so: start a new one."""


class Uploaded(Fact, frozen=True, kw_only=True):
    """How the upload ended: complete, or abandoned for a reason (the job will not be uploaded to any more)."""

    complete: bool
    reason: str | None = None
    counted: bool = False
    """Whether being abandoned counts against the parts."""
    max_bytes: int | None = None
    finished_at: datetime
    """X's time where it is known."""


class Finished(Fact, frozen=True, kw_only=True):
    """The remote job is final, or there will be none. `status` is X's word, or our "cancelled"."""

    status: str
    remote_id: RemoteId | None
    error: str | None = None
    active_at: datetime | None = None
    """When X was last asked and showed the job still at work; None if it never did."""
    failed: bool = False
    """Whether X or its storage failed the job, so that somebody is to blame: a batch of it, or X."""
    failures: int = 0
    """Where it failed: how many jobs of the type in a row did, this one included."""
    x_at_fault: bool = False
    """No single batch can be to blame for all of these failures, so that none counts."""
    sealed_download_url: str | None = None
    """Where X said just then that its results are."""

    @property
    def has_results(self) -> bool:
        """Whether there is something to collect."""
        return self.status == "complete"


class ResultsObject(msgspec.Struct, frozen=True, kw_only=True):
    """A stored object of results."""

    key: str
    format: ObjectFormat
    bytes: int
    sha256: str


class CollectedPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The results of one part: their object, its checksum, and how they are cut into messages."""

    batch_id: BatchId
    part: int
    key: str
    format: ObjectFormat = ObjectFormat.JSON_LINES
    count: int
    bytes: int
    sha256: str
    by_action: dict[str, int]
    by_reason: dict[str, int]
    rejected: int
    rejected_key: str | None
    inline: bool
    messages: list[int]
    """Numbers of results in each message; one message for the whole object where they are not inline."""
    also: list[ResultsObject] = []
    """The same results in other formats."""


class Collected(Fact, frozen=True, kw_only=True):
    """What a job that X called complete gave: results, or nothing because they could not be fetched any more.

    The parts are ordered by batch and number. Where they are many they stand on pages of their own, so that
    one batch can be looked up without reading them all.
    """

    available: bool
    parts: list[CollectedPart]
    checked_at: datetime
    foreign: int = 0
    error: str | None = None
    pages: list[BatchId] = []
    """The first batch on each page; empty where `parts` holds all of them."""
    remote_id: RemoteId | None = None
    planned_at: datetime | None = None
    traceparent: str | None = None
    """That of the plan."""


class CollectedPage(Fact, frozen=True, kw_only=True):
    """Some of the parts of a job, see `Collected.pages`. It counts only if `collected.json` exists."""

    parts: list[CollectedPart]


class CountedPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part's result object that counts, and the plan that gave it."""

    part: int
    plan: int
    format: ObjectFormat = ObjectFormat.JSON_LINES


class Outcome(Fact, frozen=True, kw_only=True):
    """How a batch ended. `data` is the body of its last event."""

    state: EndState
    error: str | None
    counted: list[CountedPart]
    data: dict[str, Any]
    traceparent: str | None = None
    """That of the batch, which its last event tells too."""


class Published(Fact, frozen=True, kw_only=True):
    """Every event of the batch was confirmed by the results queue."""

    messages: int


class Purged(Fact, frozen=True, kw_only=True):
    """From here on the IDs and results of a batch are removed. Recorded before the first of them is."""

    accepted_at: datetime
    """The store's time, which the record loses when it is written again without IDs."""
    ended_at: datetime
    objects: int
    bytes: int


class QueueLife(Fact, frozen=True, kw_only=True):
    """The results queue was seen in this life. One that nobody has seen before has lost what the others held."""

    is_first: bool
    """Whether no other was known: then nothing can have been lost."""


class Replay(Fact, frozen=True, kw_only=True):
    """A wish to have events published again."""

    replay_id: ReplayId
    batches: list[BatchId] = []
    """Whose events; empty for those of all open batches, and of all that ended since."""
    since: datetime | None = None
    """None for ever."""
    reason: str


class Replayed(Fact, frozen=True, kw_only=True):
    """How far a replay has come, or what came of it."""

    after: str = ""
    """All candidates up to this one are done: a batch, or the marker of one."""
    batches: int = 0
    """Of so many batches the events were published again."""
    events: int = 0
    passed: int = 0
    """So many had no event to publish, ended too early, or were purged."""
    failed: int = 0
    failures: list[str] = []
    """Why the first few of the failed ones could not be published."""


class FactStore:
    """Creates and reads facts in an object store; `now` tells their writer's time."""

    def __init__(self, store: ObjectStore, now: Callable[[], datetime] = utc_now) -> None:
        self.store = store
        self._now = now

    def create(self, key: str, fact: F) -> tuple[F, bool]:
        """Record a fact unless one is there already.

        Returns:
            The fact that stands in the store, and whether it is this one: if not, go on from what it says.

        Raises:
            StoreUnavailableError: when it is not known whether the fact was recorded.
        """
        if fact.recorded_at == UNRECORDED:
            fact = msgspec.structs.replace(fact, recorded_at=self._now())
        if self.store.create(key, msgspec.json.encode(fact)):
            return fact, True
        standing = decode(self.store.read(key).body, type(fact), key)
        return standing, standing.nonce == fact.nonce

    def read(self, key: str, kind: type[F]) -> F | None:
        """Read a fact, or None if nobody has recorded it."""
        found = self.read_dated(key, kind)
        return found[0] if found else None

    def read_dated(self, key: str, kind: type[F]) -> tuple[F, datetime] | None:
        """Read a fact with the store's time of its creation."""
        try:
            stored = self.store.read(key)
        except ObjectNotFoundError:
            return None
        return decode(stored.body, kind, key), stored.modified_at


class _Version(msgspec.Struct):
    schema: int


def decode(body: bytes, kind: type[F], key: str) -> F:
    """Decode a fact; unknown fields are ignored.

    Raises:
        UnknownSchemaError: if a newer version wrote it, or it is no fact at all.
    """
    try:
        version = msgspec.json.decode(body, type=_Version).schema
        if version > SCHEMA:
            raise UnknownSchemaError(f"{key} has schema {version}, this version reads up to {SCHEMA}: upgrade Complyq")
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise UnknownSchemaError(f"{key} is no {kind.__name__} that this version can read: {error}") from error
