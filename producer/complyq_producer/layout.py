"""Where each fact, part, payload and result lies in the object store.

keys/<sha256 of key>.json
batches/<batch_id>/ids/00000.txt … batch.json · cancel_requested.json · outcome.json · published.json
batches/<batch_id>/attempts/00000-<n>.json      one per part and failed plan
batches/<batch_id>/parked-publish-1.json …      publishing it was parked
batches/<batch_id>/released-<n>.json · released-publish-1.json …     what was parked may be tried again
jobs/<type>/<n>/plan.json · payload.txt · merged.json · creating-000.json … · created.json · session-000.json … · uploaded.json
jobs/<type>/<n>/finished.json · page-00000.json … · collected.json · parked.json
results/<batch_id>/part-00000-<n>.jsonl.gz · part-00000-<n>.parquet · rejected-00000-<n>.jsonl.gz
open/batches/<type>/<batch_id> · open/jobs/<type>/<n> · done/<date>/<batch_id>
batches/<batch_id>/purged.json      its IDs and results are removed, and then its marker under done/
queues/<life>.json                  the results queue was seen in this life
replays/<replay_id>/replay.json · reached-00001.json … · replayed.json · open/replays/<replay_id>
purged/<type>/<n>                   no payload is left of this plan and those before

Plan numbers have eight digits and part numbers five, so that listing gives them in order.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from complyq_producer.model import BatchId, ComplianceType, ObjectFormat, ReplayId

if TYPE_CHECKING:
    from datetime import datetime


def key_record(key: str) -> str:
    """Where the batch that owns an idempotency key is recorded."""
    return f"keys/{hashlib.sha256(key.encode()).hexdigest()}.json"


def open_batches(type_: ComplianceType) -> str:
    """The prefix of the markers of batches that have not ended."""
    return f"open/batches/{type_}/"


def open_jobs(type_: ComplianceType) -> str:
    """The prefix of the markers of plans that are not closed (and of the highest plan)."""
    return f"open/jobs/{type_}/"


DONE = "done/"
"""The prefix of the markers of batches that ended and were published, by date."""
OPEN_REPLAYS = "open/replays/"
"""The prefix of the markers of replays that are not done."""
QUEUE_LIVES = "queues/"
"""The prefix of the lives in which the results queue was seen."""


def queue_life(life: str) -> str:
    """Where it is recorded that the results queue was seen in this life."""
    return f"{QUEUE_LIVES}{life}.json"


def purged_payloads(type_: ComplianceType) -> str:
    """The prefix of the markers that say up to which plan payloads were purged."""
    return f"purged/{type_}/"


def purged_up_to(type_: ComplianceType, plan: int) -> str:
    """The marker that says that no payload is left of this plan and those before."""
    return f"{purged_payloads(type_)}{plan:08}"


def done_marker(batch_id: BatchId, ended_at: datetime) -> str:
    """The marker of a batch that ended and was published."""
    return f"done/{ended_at:%Y-%m-%d}/{batch_id}"


@dataclass(frozen=True, slots=True)
class BatchKeys:
    """Where the objects of one batch lie."""

    batch_id: BatchId

    @property
    def folder(self) -> str:
        """The prefix of all facts and parts of the batch."""
        return f"batches/{self.batch_id}/"

    @property
    def record(self) -> str:
        """The fact that makes the batch accepted."""
        return f"{self.folder}batch.json"

    @property
    def cancel_requested(self) -> str:
        """The wish to end the batch early."""
        return f"{self.folder}cancel_requested.json"

    @property
    def outcome(self) -> str:
        """How the batch ended: whoever creates it decides."""
        return f"{self.folder}outcome.json"

    @property
    def published(self) -> str:
        """All events of the batch were confirmed by the results queue."""
        return f"{self.folder}published.json"

    @property
    def purged(self) -> str:
        """Its IDs and results are removed."""
        return f"{self.folder}purged.json"

    @property
    def id_parts(self) -> str:
        """The prefix of the parts."""
        return f"{self.folder}ids/"

    @property
    def results(self) -> str:
        """The prefix of the result objects."""
        return f"results/{self.batch_id}/"

    def ids(self, part: int) -> str:
        """The sorted unique IDs of a part, one a line."""
        return f"{self.id_parts}{part:05}.txt"

    def attempt(self, part: int, plan: int) -> str:
        """Why a plan did not check a part."""
        return f"{self.folder}attempts/{part:05}-{plan:08}.json"

    def parked(self, name: str) -> str:
        """Why publishing the batch is parked; by name, as `Parked` has it. Of a parked plan its job's folder tells."""
        return f"{self.folder}parked-{name}.json"

    def released(self, name: str) -> str:
        """What was parked under this name may be tried again."""
        return f"{self.folder}released-{name}.json"

    def results_of(self, part: int, plan: int, format_: ObjectFormat = ObjectFormat.JSON_LINES) -> str:
        """The results of a part as a plan's job gave them."""
        return f"{self.results}part-{part:05}-{plan:08}.{format_}"

    def rejected_of(self, part: int, plan: int) -> str:
        """The lines that X answered with an error."""
        return f"{self.results}rejected-{part:05}-{plan:08}.{ObjectFormat.JSON_LINES}"

    def open_marker(self, type_: ComplianceType) -> str:
        """The marker that makes workers find the batch; removed last."""
        return f"{open_batches(type_)}{self.batch_id}"


@dataclass(frozen=True, slots=True)
class JobKeys:
    """Where the objects of one plan and its job lie."""

    type: ComplianceType
    plan_number: int

    @property
    def folder(self) -> str:
        """The prefix of all facts of the job."""
        return f"jobs/{self.type}/{self.plan_number:08}/"

    @property
    def plan(self) -> str:
        """The decision that one job carries these parts."""
        return f"{self.folder}plan.json"

    def creating(self, index: int) -> str:
        """A create of the remote job that may have been sent."""
        return f"{self.folder}creating-{index:03}.json"

    @property
    def created(self) -> str:
        """Which remote job belongs to the plan."""
        return f"{self.folder}created.json"

    @property
    def uploaded(self) -> str:
        """How the upload ended."""
        return f"{self.folder}uploaded.json"

    @property
    def finished(self) -> str:
        """How the remote job ended."""
        return f"{self.folder}finished.json"

    @property
    def collected(self) -> str:
        """Which results the job gave."""
        return f"{self.folder}collected.json"

    @property
    def payload(self) -> str:
        """The IDs of several batches, merged."""
        return f"{self.folder}payload.txt"

    @property
    def merged(self) -> str:
        """The merged payload is complete."""
        return f"{self.folder}merged.json"

    def page(self, index: int) -> str:
        """Some of the parts that gave results, where they are many."""
        return f"{self.folder}page-{index:05}.json"

    @property
    def parked(self) -> str:
        """The job crashed whoever worked on it, and is left alone."""
        return f"{self.folder}parked.json"

    @property
    def marker(self) -> str:
        """The marker that makes workers find the plan."""
        return f"{open_jobs(self.type)}{self.plan_number:08}"

    def session(self, index: int) -> str:
        """A resumable upload session, its address sealed."""
        return f"{self.folder}session-{index:03}.json"


@dataclass(frozen=True, slots=True)
class ReplayKeys:
    """Where the objects of one replay lie."""

    replay_id: ReplayId

    @property
    def folder(self) -> str:
        """The prefix of all its facts."""
        return f"replays/{self.replay_id}/"

    @property
    def replay(self) -> str:
        """What is to be published again."""
        return f"{self.folder}replay.json"

    @property
    def replayed(self) -> str:
        """What came of it; nothing is left to do."""
        return f"{self.folder}replayed.json"

    @property
    def steps(self) -> str:
        """The prefix of the facts that say how far it is."""
        return f"{self.folder}reached-"

    @property
    def marker(self) -> str:
        """The marker that makes workers find it; removed last."""
        return f"{OPEN_REPLAYS}{self.replay_id}"

    def reached(self, index: int) -> str:
        """How far it was, from 1; the highest counts."""
        return f"{self.steps}{index:05}.json"


def plan_of_result(key: str) -> tuple[str, int, int]:
    """Read kind ("part" or "rejected"), part and plan number off the key of a result object."""
    kind, part, plan = key.rsplit("/", 1)[1].split(".", 1)[0].split("-")
    return kind, int(part), int(plan)


_KINDS = (
    (re.compile(r"keys/.+"), "key"),
    (re.compile(r"open/batches/.+"), "open_batch"),
    (re.compile(r"open/jobs/.+"), "open_job"),
    (re.compile(r"open/replays/.+"), "open_replay"),
    (re.compile(r"done/.+"), "done"),
    (re.compile(r"queues/.+"), "queue_life"),
    (re.compile(r"purged/.+"), "purged_payloads"),
    (re.compile(r"batches/[^/]+/ids/.+"), "ids"),
    (re.compile(r"batches/[^/]+/attempts/.+"), "attempt"),
    (re.compile(r"results/[^/]+/part-.+"), "results"),
    (re.compile(r"results/[^/]+/rejected-.+"), "rejected"),
    (re.compile(r"(?:batches/[^/]+|jobs/[^/]+/[^/]+|replays/[^/]+)/([a-z_]+)(?:-[a-z]+)?(?:-\d+)?\.\w+"), r"\1"),
)


def kind_of(key: str) -> str:
    """Tell what an object is by its key: "plan", "session", "attempt", "results", "open_batch" …; "other" if not ours."""
    matches = ((pattern.fullmatch(key), kind) for pattern, kind in _KINDS)
    return next((match.expand(kind) for match, kind in matches if match), "other")
