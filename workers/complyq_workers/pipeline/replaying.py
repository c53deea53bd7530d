"""Publishes events again, from the facts: because somebody asked for it, or because the results queue lost what it held."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from msgspec.structs import replace

from complyq_config.errors import ComplyqError
from complyq_producer import layout, task_names
from complyq_producer.errors import EventsError, ObjectNotFoundError, UnknownSchemaError
from complyq_producer.facts import QueueLife, Replay, Replayed
from complyq_producer.layout import ReplayKeys
from complyq_producer.model import BatchId, ReplayId
from complyq_producer.replays import candidates, covers, reached, record_replay
from complyq_producer.results import DamagedResultsError
from complyq_workers.counting import count_event
from complyq_workers.events import BuiltEvent, EventContentError
from complyq_workers.pipeline.batch_events import last_event, parked_events, results_events
from complyq_workers.pipeline.step import Hint, Outcome, again, done

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_producer.ledger import BatchView
    from complyq_workers.pipeline.lease import StepLease
    from complyq_workers.pipeline.ports import Ports

log = structlog.get_logger(__name__)

STEP_SECONDS = 5.0
"""After this time a step records how far it is, so that others have their turn."""
MOST_FAILURES = 20
"""So many failures are told one by one."""
HOPELESS = (DamagedResultsError, EventContentError, ObjectNotFoundError, UnknownSchemaError)
"""Why the events of a batch cannot be made, whoever tries again."""


class ResultsGoneError(ObjectNotFoundError):
    """Results that count are not in the store any more."""


def notice_loss(ports: Ports) -> None:
    """Ask for a replay if the results queue has lost what it held: if it lives a life that nobody has seen."""
    try:
        life = ports.events.life()
    except EventsError as error:
        log.debug("queue_not_asked", error=str(error))
        return
    if life is None or ports.store.info(layout.queue_life(life)):
        return
    is_first = next(ports.store.list(layout.QUEUE_LIVES), None) is None
    if not is_first:
        _ask(ports, ReplayId(life))
    # Last: whoever dies before it has a successor who notices the loss too, and asks for the same replay.
    ports.facts.create(layout.queue_life(life), QueueLife(is_first=is_first))


def replay_hints(ports: Ports) -> list[Hint]:
    """Look at all replays that are not done."""
    markers = [info.key for info in ports.store.list(layout.OPEN_REPLAYS)]
    return [Hint(task_names.REPLAY, (marker.removeprefix(layout.OPEN_REPLAYS),)) for marker in markers]


def replay(ports: Ports, replay_id: ReplayId, lease: StepLease) -> Outcome:
    """Publish the events of some more batches again."""
    keys = ReplayKeys(replay_id)
    wanted = ports.facts.read(keys.replay, Replay)
    if wanted is None:
        return done()
    if ports.facts.read(keys.replayed, Replayed) is None and not _go_on(ports, wanted, lease):
        return again(0.0)
    _close(ports, keys)
    return done()


def _ask(ports: Ports, replay_id: ReplayId) -> None:
    since = ports.clock.now() - timedelta(hours=ports.limits.events_replay_hours)
    wanted = Replay(replay_id=replay_id, since=since, reason="the results queue has lost what it held")
    if record_replay(ports.facts, wanted):
        log.warning("queue_lost", replay=replay_id, since=since.isoformat())


def _go_on(ports: Ports, wanted: Replay, lease: StepLease) -> bool:
    """Go on for a while from where the replay was; return whether nothing is left."""
    keys = ReplayKeys(wanted.replay_id)
    index, so_far = reached(ports.facts, keys)
    begun, ends = so_far, ports.clock.monotonic() + STEP_SECONDS
    try:
        for after, batch_id in candidates(ports.store, wanted, so_far.after):
            lease.check()
            if so_far is not begun and ports.clock.monotonic() >= ends:
                break
            so_far = replace(_with_batch(ports, wanted, batch_id, so_far, lease), after=after)
        else:
            return _finish(ports, keys, so_far)
    except ComplyqError:  # the queue has no room, or is away: what is done need not be done again
        if so_far is not begun:
            ports.facts.create(keys.reached(index + 1), _fresh(so_far))
        raise
    ports.facts.create(keys.reached(index + 1), _fresh(so_far))
    lease.note_progress(index + 1)
    return False


def _with_batch(ports: Ports, wanted: Replay, batch_id: BatchId, so_far: Replayed, lease: StepLease) -> Replayed:
    """Publish the events of a batch again, and count them."""
    try:
        events = _publish_again(ports, wanted, batch_id, lease)
    except HOPELESS as error:
        log.error("batch_not_replayed", batch=batch_id, error=str(error))  # noqa: TRY400 - no bug of ours
        told = [*so_far.failures, f"batch {batch_id}: {error}"][:MOST_FAILURES]
        return replace(so_far, failed=so_far.failed + 1, failures=told)
    if not events:
        return replace(so_far, passed=so_far.passed + 1)
    log.info("batch_replayed", batch=batch_id, events=events)
    return replace(so_far, batches=so_far.batches + 1, events=so_far.events + events)


def _publish_again(ports: Ports, wanted: Replay, batch_id: BatchId, lease: StepLease) -> int:
    view = ports.ledger.batch(batch_id)
    if view is None or view.purged or (view.outcome and not covers(wanted, batch_id, view.outcome)):
        return 0
    count = 0
    for event in _events(ports, view):
        lease.check()
        ports.room.require()
        # What a replay has published is remembered apart: copies are what it is for, but one of each is enough.
        if ports.events.publish(f"{batch_id}@{wanted.replay_id}", event.id, event.body):
            count_event(ports.coordination, event.id)
        count += 1
    return count


def _events(ports: Ports, view: BatchView) -> Iterator[BuiltEvent]:
    """Make all events that a batch has so far."""
    outcome = view.outcome
    if outcome and any(part.part not in view.checked for part in outcome.counted):
        raise ResultsGoneError("results that count are not in the store any more")
    yield from parked_events(ports, view)
    yield from results_events(ports, view)
    if outcome:
        yield last_event(ports, outcome)


def _finish(ports: Ports, keys: ReplayKeys, so_far: Replayed) -> bool:
    result, ours = ports.facts.create(keys.replayed, _fresh(so_far))
    if ours:
        counts = {name: getattr(result, name) for name in ("batches", "events", "passed", "failed")}
        log.info("replayed", replay=keys.replay_id, **counts)
    return True


def _fresh(so_far: Replayed) -> Replayed:
    """Return what is to be recorded: a fact of its own, with its own nonce and time."""
    return Replayed(
        after=so_far.after,
        batches=so_far.batches,
        events=so_far.events,
        passed=so_far.passed,
        failed=so_far.failed,
        failures=so_far.failures,
    )


def _close(ports: Ports, keys: ReplayKeys) -> None:
    for info in list(ports.store.list(keys.steps)):
        ports.store.delete(info.key)
    ports.store.delete(keys.marker)
