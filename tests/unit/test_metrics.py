"""What a scrape shows, told from what the workers keep in Redis."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from complyq_config.errors import ConfigurationError
from complyq_config.settings import load_settings
from complyq_producer import task_names
from complyq_producer.estimates import JobDuration
from complyq_producer.live import LiveJob, LiveQueue, LiveView
from complyq_producer.model import ComplianceType
from complyq_workers.coordination import Coordination, CoordinationError, Counter, MemoryCoordination, Quota
from complyq_workers.metrics import SchedulerMetrics, prove_port
from support.inline_workers import NoLiveView
from support.quiet_world import QuietWorld

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TWEETS, USERS = ComplianceType.TWEETS, ComplianceType.USERS
JOB = LiveJob(plan=7, phase="processing", since=NOON - timedelta(seconds=90))
QUEUE = LiveQueue(batches=3, ids=700, oldest=NOON - timedelta(hours=1), late=2, shown_at=NOON - timedelta(seconds=30))
LATE = Counter.BATCHES_ENDED_LATE

Samples = dict[tuple[str, str], float]


def scraped(live: LiveView, coordination: Coordination, now: datetime = NOON) -> Samples:
    """Scrape at noon; return all samples by name and label."""
    registry = CollectorRegistry()
    registry.register(SchedulerMetrics(live, coordination, lambda: now))
    text = generate_latest(registry).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert all(family.documentation for family in text_string_to_metric_families(text))
    return {(sample.name, "".join(sample.labels.values())): sample.value for sample in samples}


def of(samples: Samples, label: str) -> dict[str, float]:
    """Return the samples of one type or endpoint."""
    return {name.removeprefix("complyq_"): value for (name, labelled), value in samples.items() if labelled == label}


@pytest.fixture
def memory() -> MemoryCoordination:
    """What a Redis would hold: nothing so far."""
    return MemoryCoordination()


def test_a_scrape_shows_slot_queue_and_durations(memory: MemoryCoordination) -> None:
    """All of a type that the workers keep, and nothing of it for the other type."""
    memory.hold_slot(TWEETS, "7:a", 60)
    memory.show_job(TWEETS, JOB)
    memory.show_queue(TWEETS, QUEUE)
    for seconds in (50.0, 60.0, 400.0):
        memory.note_duration(TWEETS, JobDuration(count=5, least=0, most=seconds))
    memory.count(LATE, TWEETS)
    samples = scraped(memory, memory)
    assert of(samples, "tweets") == {
        "slot_busy": 1,
        "slot_held_seconds": 90,
        "queue_fresh": 1,
        "queue_batches": 3,
        "queue_ids": 700,
        "queue_oldest_seconds": 3600,
        "queue_late_batches": 2,
        "job_seconds": 60,
        "batches_ended_late_total": 1,
    }
    assert of(samples, "users") == {"slot_busy": 0, "queue_fresh": 0, "batches_ended_late_total": 0}
    assert of(samples, "") == {"redis_up": 1}


def test_a_free_slot_is_not_held_by_the_job_that_was_shown_last(memory: MemoryCoordination) -> None:
    """What a job showed stays for an hour; that it has the slot, the lock of its plan tells."""
    memory.show_job(TWEETS, JOB)
    assert of(scraped(memory, memory), "tweets") == {"slot_busy": 0, "queue_fresh": 0, "batches_ended_late_total": 0}
    memory.hold_slot(TWEETS, "8:b", 60)
    shown = of(scraped(memory, memory), "tweets")
    assert shown["slot_busy"] == 1
    assert "slot_held_seconds" not in shown


def test_a_queue_that_nobody_looks_at_is_not_fresh(memory: MemoryCoordination) -> None:
    """Control workers are gone: what waited then waits on, longer and longer."""
    memory.show_queue(TWEETS, QUEUE)
    later = of(scraped(memory, memory, NOON + timedelta(minutes=10)), "tweets")
    assert (later["queue_fresh"], later["queue_batches"], later["queue_oldest_seconds"]) == (0, 3, 4200)


def test_in_an_empty_queue_nothing_waits(memory: MemoryCoordination) -> None:
    """Zeros, not gaps."""
    memory.show_queue(TWEETS, LiveQueue(batches=0, ids=0, oldest=None, late=0, shown_at=NOON))
    shown = of(scraped(memory, memory), "tweets")
    assert [shown[f"queue_{name}"] for name in ("fresh", "batches", "ids", "oldest_seconds", "late_batches")] == [
        1, 0, 0, 0, 0,
    ]  # fmt: skip


def test_a_scrape_shows_the_request_budget(memory: MemoryCoordination) -> None:
    """Of endpoints of which something is known; where X refuses requests, none remain."""
    memory.settle("get", "a", Quota(limit=150, remaining=40, seconds_left=900))
    memory.block("create", 60)
    samples = scraped(memory, memory)
    assert of(samples, "get") == {"requests_limit": 150, "requests_remaining": 40}
    assert of(samples, "create") == {"requests_remaining": 0}
    assert of(samples, "list") == {}


class DyingCoordination(MemoryCoordination):
    """Goes away in the middle of a scrape."""

    def counted(self, counter: Counter, type_: ComplianceType) -> int:
        """Do not answer any more."""
        raise CoordinationError("gone")


def test_a_redis_that_does_not_answer_is_shown(memory: MemoryCoordination) -> None:
    """The scrape succeeds, and says so; nothing that is not known is shown as nought."""
    assert scraped(NoLiveView(), memory) == {("complyq_redis_up", ""): 0}
    dying = DyingCoordination()
    assert scraped(dying, dying) == {("complyq_redis_up", ""): 0}


def test_a_batch_that_ends_late_is_counted_once(tmp_path: Path) -> None:
    """By whoever decided its end; publishing it again, or a batch that ends in time, counts nothing."""
    world = QuietWorld(tmp_path)
    now = world.ports.clock.now()
    late = world.enqueue(deadline=now + timedelta(seconds=10))  # X takes a minute
    in_time = world.enqueue(deadline=now + timedelta(hours=10))
    assert [world.finish(batch.id) for batch in (late, in_time, world.enqueue())] == ["completed"] * 3
    world.run(task_names.PUBLISH_BATCH, late.id)
    assert world.world.coordination.counted(LATE, TWEETS) == 1


def test_a_batch_that_fails_late_is_counted_too(tmp_path: Path) -> None:
    """Who had to know in time does not, however it ended. Its queue is seen to be empty."""
    world = QuietWorld(tmp_path)
    world.x.fate = lambda: (60.0, "failed")
    assert world.finish(world.enqueue(deadline=world.ports.clock.now()).id) == "failed"
    assert world.world.coordination.counted(LATE, TWEETS) == 1
    world.world.pass_time(60)
    world.run(task_names.SWEEP)
    queue = world.world.coordination.queue(TWEETS)
    assert queue is not None
    assert queue.batches == 0


def test_metrics_need_a_port() -> None:
    """The message names the variable."""
    with pytest.raises(ConfigurationError, match="COMPLYQ_METRICS_PORT"):
        prove_port(load_settings())
    with pytest.raises(ConfigurationError, match=r"COMPLYQ_METRICS_HOST=nowhere\.invalid"):
        prove_port(load_settings(metrics_port=1024, metrics_host="nowhere.invalid"))
