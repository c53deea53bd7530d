"""What a scrape shows, told from what the workers keep in Redis."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from complyq_config.errors import ConfigurationError
from complyq_config.settings import load_settings
from complyq_producer import task_names
from complyq_producer.errors import EventsError, StoreUnavailableError
from complyq_producer.estimates import JobDuration
from complyq_producer.live import LiveJob, LiveQueue, LiveView
from complyq_producer.model import BatchId, ComplianceType
from complyq_workers.coordination import (
    Coordination,
    CoordinationError,
    Counter,
    Histogram,
    MemoryCoordination,
    Quota,
    Unsettled,
)
from complyq_workers.counting import count_event, count_exchange, count_failure
from complyq_workers.metrics import Metrics, prove_port
from complyq_workers.pipeline.unsettled import show_unsettled
from complyq_workers.x import Exchange
from support.inline_workers import NoLiveView
from support.quiet_world import QuietWorld

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TWEETS, USERS = ComplianceType.TWEETS, ComplianceType.USERS
JOB = LiveJob(plan=7, phase="processing", since=NOON - timedelta(seconds=90))
QUEUE = LiveQueue(batches=3, ids=700, oldest=NOON - timedelta(hours=1), late=2, shown_at=NOON - timedelta(seconds=30))
LATE = "batches_ended_late|tweets"
NOTHING = {
    "slot_busy": 0,
    "queue_fresh": 0,
    "batches_ended_late_total": 0,
    **{f"{of}_seconds_{what}": 0.0 for of in ("delivery", "job_duration") for what in ("count", "sum")},
}
"""What is shown of a type of which nothing is known."""

Samples = dict[tuple[str, str], float]


def scraped(live: LiveView, coordination: Coordination, now: datetime = NOON) -> Samples:
    """Scrape at noon; return all samples by name and label."""
    registry = CollectorRegistry()
    registry.register(Metrics(live, coordination, lambda: now))
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
    memory.count(Counter.BATCHES_ENDED_LATE, TWEETS)
    samples = scraped(memory, memory)
    assert of(samples, "tweets") == NOTHING | {
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
    assert of(samples, "users") == NOTHING
    assert of(samples, "")["redis_up"] == 1


def test_a_free_slot_is_not_held_by_the_job_that_was_shown_last(memory: MemoryCoordination) -> None:
    """What a job showed stays for an hour; that it has the slot, the lock of its plan tells."""
    memory.show_job(TWEETS, JOB)
    assert of(scraped(memory, memory), "tweets") == NOTHING
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


def test_a_scrape_shows_what_waits_for_listeners_and_for_people(memory: MemoryCoordination) -> None:
    """Ended batches whose events are not all out, parked work, the backlog of the results queue, and who lives."""
    waiting = Unsettled(batch_id=BatchId("a"), since=NOON - timedelta(hours=2), has_ended=True, parked=0)
    parked = Unsettled(batch_id=BatchId("b"), since=NOON - timedelta(hours=5), has_ended=False, parked=2)
    memory.show_unsettled(TWEETS, [parked, waiting])
    memory.show_unsettled(USERS, [])
    memory.show_backlog(40)
    memory.show_alive("control", ["a/1", "a/2"], 60)
    samples = scraped(memory, memory)
    assert of(samples, "tweets") == NOTHING | {"parked": 2, "undelivered_batches": 1, "undelivered_seconds": 7200}
    assert of(samples, "users") == NOTHING | {"parked": 0, "undelivered_batches": 0, "undelivered_seconds": 0}
    assert of(samples, "")["events_backlog"] == 40
    assert (of(samples, "control"), of(samples, "transfer")) == ({"worker_processes": 2}, {"worker_processes": 0})


def test_a_scrape_shows_what_was_counted(memory: MemoryCoordination) -> None:
    """By what people page on; what Prometheus should see increase is there before it does."""
    before = scraped(memory, memory)
    memory.count(Counter.BATCHES_ENDED, TWEETS, "failed")
    memory.count(Counter.STEPS_PARKED, "upload_job")
    for event in ("1-2/0/7", "1-2/completed", "1-2/parked/publish-1"):
        count_event(memory, event)
    for error in (EventsError("full"), EventsError("full"), ValueError("no idea")):
        count_failure(memory, "publish_batch:1-2", error, [StoreUnavailableError, EventsError])
    for endpoint, status in (("create", 409), ("get", 429), ("get", 429), ("list", None), ("list", 799)):
        count_exchange(memory, Exchange(endpoint, status, 0, 0))
    count_exchange(memory, Exchange("upload", 413, 1000, 0))
    count_exchange(memory, Exchange("offset", 308, 0, 0))
    count_exchange(memory, Exchange("download", 206, 0, 5000))
    after = scraped(memory, memory)
    risen = {sample: value for sample, value in after.items() if value != before.get(sample, 0)}
    assert {name.removeprefix("complyq_") + of_what: value for (name, of_what), value in risen.items()} == {
        "batches_ended_totalfailedtweets": 1,
        "steps_parked_totalupload_job": 1,
        "events_published_totalresults": 1,
        "events_published_totalcompleted": 1,
        "events_published_totalparked": 1,
        "step_failures_totalEventspublish_batch": 2,
        "step_failures_totalunexpectedpublish_batch": 1,
        "answers_totalcreate409": 1,
        "answers_totalget429": 2,
        "answers_totallistnone": 1,
        "answers_totallistother": 1,
        "answers_totalupload413": 1,
        "answers_totaloffset308": 1,
        "answers_totaldownload206": 1,
        "uploaded_bytes_total": 1000,
        "downloaded_bytes_total": 5000,
        "upload_resumptions_total": 1,
        "download_resumptions_total": 1,
    }
    there = {"batches_ended_totalfailedtweets", "answers_totalget429", "step_failures_totalEventspublish_batch"}
    assert there <= {name.removeprefix("complyq_") + of_what for name, of_what in before}


def test_a_histogram_reaches_from_seconds_to_days(memory: MemoryCoordination) -> None:
    """Each bucket holds what the smaller ones hold, as Prometheus has it."""
    for seconds in (5, 45, 100_000):
        memory.observe(Histogram.DELIVERY, TWEETS, seconds)
    samples = scraped(memory, memory)
    buckets = {le: value for (name, le), value in samples.items() if name == "complyq_delivery_seconds_bucket"}
    of_tweets = {le.replace("tweets", "").replace("+", ""): value for le, value in buckets.items() if "tweets" in le}
    assert (of_tweets["10.0"], of_tweets["30.0"], of_tweets["60.0"], of_tweets["86400.0"], of_tweets["Inf"]) == (
        1, 1, 2, 2, 3,
    )  # fmt: skip
    assert samples["complyq_delivery_seconds_sum", "tweets"] == 100_050


def test_what_a_newer_version_counts_is_left_out(memory: MemoryCoordination) -> None:
    """A scrape succeeds while versions run side by side."""
    memory.count(Counter.BATCHES_ENDED, TWEETS, "failed", "for a reason")
    assert scraped(memory, memory)["complyq_batches_ended_total", "failedtweets"] == 0


class DyingCoordination(MemoryCoordination):
    """Goes away in the middle of a scrape."""

    def counted(self) -> dict[str, int]:
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
    assert world.world.coordination.counted()[LATE] == 1


def test_a_batch_that_fails_late_is_counted_too(tmp_path: Path) -> None:
    """Who had to know in time does not, however it ended. Its queue is seen to be empty."""
    world = QuietWorld(tmp_path)
    world.x.fate = lambda: (60.0, "failed")
    assert world.finish(world.enqueue(deadline=world.ports.clock.now()).id) == "failed"
    counted = world.world.coordination.counted()
    assert (counted[LATE], counted["batches_ended|tweets|failed"]) == (1, 1)
    world.world.pass_time(60)
    world.run(task_names.SWEEP)
    queue = world.world.coordination.queue(TWEETS)
    assert queue is not None
    assert queue.batches == 0


def test_a_batch_is_delivered_once(tmp_path: Path) -> None:
    """How long that took, and how long its job did, is known; so is each kind of event, and the answers of X."""
    world = QuietWorld(tmp_path)
    batch = world.enqueue()
    assert world.finish(batch.id) == "completed"
    world.run(task_names.PUBLISH_BATCH, batch.id)
    counted = world.world.coordination.counted()
    assert counted["batches_ended|tweets|completed"] == counted["events_published|completed"] == 1
    for of, least in (("delivery", 60), ("job", 60)):
        assert (
            sum(value for name, value in counted.items() if name.startswith(f"{of}|tweets|") and "sum" not in name) == 1
        )
        assert counted[f"{of}|tweets|sum"] >= least * 1000


def test_a_queue_that_refuses_is_seen(tmp_path: Path) -> None:
    """The sweep shows the batch whose events are not out, until they are; each failure is counted."""
    world = QuietWorld(tmp_path)
    coordination = world.world.coordination
    world.world.events.available = False
    batch = world.enqueue()
    world.run_until(lambda: world.batch(batch.id).outcome)
    world.run_until(lambda: coordination.counted().get("step_failures|publish_batch|Events", 0) > 1)
    world.world.pass_time(60)
    world.run(task_names.SWEEP)
    assert [each.batch_id for each in coordination.unsettled(TWEETS) or []] == [batch.id]
    assert coordination.backlog() is None
    world.world.events.available = True
    world.finish(batch.id)
    world.world.pass_time(60)
    world.run(task_names.SWEEP)
    assert (coordination.unsettled(TWEETS), coordination.backlog()) == ([], 0)


def test_what_a_sweep_did_not_look_at_stays_shown(tmp_path: Path) -> None:
    """As long as its batch is open: sweeps look at some batches at a time."""
    world = QuietWorld(tmp_path)
    older, newer = (
        Unsettled(batch_id=BatchId(name), since=NOON + timedelta(hours=n), has_ended=True, parked=0)
        for n, name in enumerate(("older", "newer"))
    )
    world.world.coordination.show_unsettled(TWEETS, [older, newer])
    show_unsettled(world.ports, TWEETS, [older.batch_id, newer.batch_id], {newer.batch_id: None})
    assert world.world.coordination.unsettled(TWEETS) == [older]
    show_unsettled(world.ports, TWEETS, [newer.batch_id], {})
    assert world.world.coordination.unsettled(TWEETS) == []


def test_metrics_need_a_port() -> None:
    """The message names the variable."""
    with pytest.raises(ConfigurationError, match="COMPLYQ_METRICS_PORT"):
        prove_port(load_settings())
    with pytest.raises(ConfigurationError, match=r"COMPLYQ_METRICS_HOST=nowhere\.invalid"):
        prove_port(load_settings(metrics_port=1024, metrics_host="nowhere.invalid"))
