"""A quiet world with many batches: what became of each, and of the plans that carried them."""

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from complyq_producer import Batch
from complyq_producer.facts import Attempt, Plan
from complyq_producer.ledger import JobView
from simulation.x_server import action_of
from support.quiet_world import QuietWorld

ENOUGH_STEPS, STEP_SECONDS = 20_000, 0.01
FIRST_ID = 10**8


class CrowdedWorld(QuietWorld):
    """A quiet world whose jobs carry as much as there is, unless a test says otherwise."""

    def __init__(self, spool: Path, **shape: Any) -> None:
        super().__init__(spool, **{"max_upload_bytes": 1_000_000, **shape})
        self.ids: dict[str, frozenset[int]] = {}
        self.transport.seconds = STEP_SECONDS

    def run_one(self) -> None:
        """Run the next step; each takes a moment."""
        self.world.pass_time(STEP_SECONDS)
        super().run_one()

    def submit(self, ids: Iterable[int], **options: Any) -> Batch:
        """Submit a batch, and remember its IDs."""
        wanted = frozenset(ids)
        batch = self.enqueue(sorted(wanted), **options)
        self.ids[batch.id] = wanted
        return batch

    def crowd(self, count: int, size: int = 4) -> list[Batch]:
        """Submit so many batches that have no ID in common: the n-th begins at `first_id(n, size)`."""
        return [self.submit(range(first_id(n, size), first_id(n + 1, size))) for n in range(count)]

    def finish_all(self) -> None:
        """Run steps until every batch is published to its end."""
        self.run_until(lambda: not list(self.store.list("open/batches/")), ENOUGH_STEPS)

    def jobs(self) -> list[JobView]:
        """Read all jobs of Posts, in order."""
        numbers = range(1, 1 + sum(info.key.endswith("/plan.json") for info in self.store.list("jobs/tweets/")))
        return [self.job(number) for number in numbers]

    def plans(self) -> list[Plan]:
        """Read all plans of Posts, in order."""
        return [job.plan for job in self.jobs() if job.plan]

    def carried(self) -> list[list[str]]:
        """Return the batches that each plan carries."""
        return [list(map(str, plan.batch_ids)) for plan in self.plans()]

    def states(self, batches: Sequence[Batch]) -> list[str]:
        """Return how batches ended."""
        outcomes = (self.batch(batch.id).outcome for batch in batches)
        return [outcome.state if outcome else "open" for outcome in outcomes]

    def failures(self, batch_id: str) -> list[Attempt]:
        """Read the attempts that count against a batch."""
        attempts = self.batch(batch_id).attempts.values()
        return [attempt for some in attempts for attempt in some if attempt.counted]

    def end_of(self, batch_id: str) -> dict[str, Any]:
        """Return the end event of a batch."""
        ends = [e for e in self.events() if e["subject"] == batch_id and ".results." not in e["type"]]
        assert len(ends) == 1, ends
        return ends[0]

    def told(self, batch_id: str) -> dict[str, str]:
        """Return the IDs that the results events of a batch tell of, with what is to be done."""
        told: dict[str, str] = {}
        for event in self.events():
            if event["subject"] == batch_id and ".results." in event["type"]:
                ref = event["data"].get("ref")
                told |= self._actions(self._lines(ref["url"]) if ref else event["data"]["results"])
        return told

    def stored(self, batch_id: str) -> dict[str, str]:
        """Return what the objects say that the end event of a batch names."""
        stored: dict[str, str] = {}
        for item in self.end_of(batch_id)["data"]["objects"]:
            stored |= self._actions(self._lines(item["url"]))
        return stored

    def assert_own_results(self, batch_id: str) -> None:
        """Require that a batch completed with the results of its own IDs, all of them and no others."""
        found = {str(number): action_of(number) for number in self.ids[batch_id]}
        expected = {number: action[0] for number, action in found.items() if action}
        data = self.end_of(batch_id)["data"]
        assert self.end_of(batch_id)["type"] == "complyq.batch.completed.v1"
        assert self.told(batch_id) == self.stored(batch_id) == expected
        assert (data["flagged"], data["compliant"]) == (len(expected), len(self.ids[batch_id]) - len(expected))

    def _lines(self, url: str) -> list[dict[str, Any]]:
        body = self.store.read(url.removeprefix("memory:///")).body
        return [json.loads(line) for line in gzip.decompress(body).splitlines()]

    @staticmethod
    def _actions(lines: list[dict[str, Any]]) -> dict[str, str]:
        return {line["id"]: line["action"] for line in lines}


def first_id(number: int, size: int = 4) -> int:
    """Return the first ID of the n-th batch of a crowd."""
    return FIRST_ID + number * size
