"""Has events published again: of some batches, of those that ended since a time, or of all. Workers do it.

A replay is a fact; the events are made from the facts of their batches, with the ids and bytes that they had.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from complyq_config.errors import ComplyqError
from complyq_producer import layout, task_names
from complyq_producer.errors import BatchNotFoundError, BatchPurgedError, QueueUnavailableError
from complyq_producer.facts import Outcome, Replay, Replayed, utc_now
from complyq_producer.layout import BatchKeys, ReplayKeys
from complyq_producer.ledger import Ledger
from complyq_producer.model import BatchId, ReplayId, checked_batch_id, new_replay_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from complyq_producer.facts import FactStore
    from complyq_producer.poke import Poke
    from complyq_producer.store import ObjectStore

log = structlog.get_logger(__name__)

_LISTED_FIRST = "open/batches/"
"""The open batches come before those that ended: one that ends meanwhile is then met once, or twice."""


class ReplayProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replay is. Batches are counted."""

    replay_id: ReplayId
    finished: bool
    batches: int
    """So many were published again."""
    events: int
    passed: int
    """So many had nothing to publish, ended too early, or were purged."""
    failed: int
    failures: list[str]
    """Why the first few of the failed ones could not be published."""


class Replays:
    """Asks for replays and follows them."""

    def __init__(self, store: ObjectStore, poke: Poke, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._ledger = Ledger(store, now)
        self._poke = poke

    def candidates(self, batches: Iterable[str] = (), since: datetime | None = None) -> list[BatchId]:
        """Return the batches that a replay would publish again.

        Args:
            batches: these; none for all open ones and all that ended.
            since: of those that ended, only the ones that did since then.

        Raises:
            BatchNotFoundError: if one of the named batches does not exist.
            BatchPurgedError: if the results of one of them were removed.
        """
        wanted = Replay(replay_id=new_replay_id(), batches=self._checked(batches), since=since, reason="")
        found = dict.fromkeys(batch_id for _, batch_id in candidates(self._store, wanted))
        return [batch_id for batch_id in found if self._has_events(wanted, batch_id)]

    def ask(self, batches: Iterable[str] = (), since: datetime | None = None) -> ReplayId:
        """Have the events published again, see `candidates`; return the id of the replay. Workers begin with it at once.

        Raises:
            BatchNotFoundError: if one of the named batches does not exist.
            BatchPurgedError: if the results of one of them were removed.
        """
        wanted = Replay(replay_id=new_replay_id(), batches=self._checked(batches), since=since, reason="asked for")
        record_replay(self._ledger.facts, wanted)
        try:
            self._poke.poke(task_names.REPLAY, wanted.replay_id)
        except QueueUnavailableError as error:
            log.warning("workers_not_notified", error=str(error), hint="the workers' sweep finds it once they run")
        return wanted.replay_id

    def progress(self, replay_id: ReplayId) -> ReplayProgress:
        """Return how far a replay is."""
        facts, keys = self._ledger.facts, ReplayKeys(replay_id)
        done = facts.read(keys.replayed, Replayed)
        known = done or reached(facts, keys)[1]
        return ReplayProgress(
            replay_id=replay_id,
            finished=done is not None,
            batches=known.batches,
            events=known.events,
            passed=known.passed,
            failed=known.failed,
            failures=known.failures,
        )

    def _checked(self, batches: Iterable[str]) -> list[BatchId]:
        checked = sorted({checked_batch_id(batch_id) for batch_id in batches})
        for batch_id in checked:
            view = self._ledger.batch(batch_id)
            if view is None:
                raise BatchNotFoundError(f"there is no batch {batch_id}")
            if view.purged:
                raise purged_error(batch_id, view.purged.recorded_at)
        return checked

    def _has_events(self, wanted: Replay, batch_id: BatchId) -> bool:
        outcome = self._ledger.facts.read(BatchKeys(batch_id).outcome, Outcome)
        if outcome is not None:
            return covers(wanted, batch_id, outcome) and self._store.info(BatchKeys(batch_id).purged) is None
        view = self._ledger.batch(batch_id)
        return view is not None and bool(view.checked or view.parked)


def record_replay(facts: FactStore, wanted: Replay) -> bool:
    """Record a wish and the marker by which workers find it; return whether it is a new one."""
    keys = ReplayKeys(wanted.replay_id)
    _, ours = facts.create(keys.replay, wanted)
    facts.store.create(keys.marker, b"")
    return ours


def open_replays(facts: FactStore) -> Iterator[Replay]:
    """Read the replays that are not done."""
    for info in list(facts.store.list(layout.OPEN_REPLAYS)):
        wanted = facts.read(ReplayKeys(ReplayId(info.key.removeprefix(layout.OPEN_REPLAYS))).replay, Replay)
        if wanted is not None:
            yield wanted


def candidates(store: ObjectStore, wanted: Replay, after: str = "") -> Iterator[tuple[str, BatchId]]:
    """List the batches that a replay may be about, those behind `after`; each with what to go on behind."""
    if wanted.batches:
        yield from ((batch_id, batch_id) for batch_id in sorted(wanted.batches) if batch_id > after)
        return
    if not after.startswith(layout.DONE):
        for info in store.list(_LISTED_FIRST, after=after):
            yield info.key, _batch_of(info.key)
    since = wanted.since.astimezone(UTC) if wanted.since else None
    first_day = f"{layout.DONE}{since:%Y-%m-%d}" if since else ""
    for info in store.list(layout.DONE, after=max(first_day, after if after.startswith(layout.DONE) else "")):
        yield info.key, _batch_of(info.key)


def covers(wanted: Replay, batch_id: BatchId, outcome: Outcome) -> bool:
    """Whether a replay is about a batch that has ended."""
    if wanted.batches:
        return batch_id in wanted.batches
    return wanted.since is None or outcome.recorded_at >= wanted.since


def reached(facts: FactStore, keys: ReplayKeys) -> tuple[int, Replayed]:
    """Read how far a replay is, and how often that was recorded."""
    names = [info.key for info in facts.store.list(keys.steps)]
    if not names:
        return 0, Replayed()
    index = int(names[-1].removeprefix(keys.steps).removesuffix(".json"))
    return index, facts.read(keys.reached(index), Replayed) or Replayed()


def purged_error(batch_id: BatchId, purged_at: datetime) -> ComplyqError:
    """Return what is said to whoever asks for what was removed."""
    return BatchPurgedError(
        f"batch {batch_id} was purged on {purged_at:%Y-%m-%d %H:%M:%S} UTC: its IDs and results are gone, its counts are"
        f" not: complyq status {batch_id}"
    )


def _batch_of(marker: str) -> BatchId:
    return BatchId(marker.rsplit("/", 1)[1])
