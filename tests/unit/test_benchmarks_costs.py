"""What is worked out from measured costs: every figure of "a thousand times the load" follows from these few rules."""

import pytest

from costing.costs import Costs, Events, Figures, Stored, charged
from costing.notes import StepCost, StepNote, sums
from costing.redis_usage import RedisUsage
from costing.report import tables
from costing.thousandfold import (
    BASE_LOAD,
    Load,
    Machine,
    PerBatch,
    Prices,
    XLimits,
    apps,
    bounds,
    dollars_a_million_ids,
    ids_a_job,
    ids_a_second_of_app,
    needs,
)

UNIT = PerBatch(
    worker_cpu_seconds=0.05,
    producer_cpu_seconds=0.01,
    redis_commands=60,
    redis_cpu_seconds=0.002,
    writes=12,
    reads=8,
    stored_bytes=200_000,
    event_bytes=80_000,
    remembered_bytes=1_000,
    payload_bytes=100_000,
)
LIMITS, PRICES = XLimits(), Prices()


def costs(case: str = "10 of 5,000") -> Costs:
    steps = {
        "collect_job": StepCost(runs=2, idle_runs=1, cpu_seconds=1.0, requests={"GetObject": 40, "PutObject": 20}),
        "sweep": StepCost(runs=1, idle_runs=0, cpu_seconds=0.5, requests={"ListObjectsV2": 30, "GetObject": 5}),
    }
    redis = RedisUsage(calls={"get": 400, "eval": 100}, cpu_seconds=0.2, received_bytes=1, sent_bytes=1)
    enqueue = StepNote(
        task="enqueue", seconds=1.0, cpu_seconds=0.3, requests={"PutObject": 30, "CreateMultipartUpload": 10}
    )
    figures = Figures(
        jobs=1,
        enqueue=enqueue,
        own_cpu_seconds=0.8,
        steps=steps,
        redis=redis,
        events=Events(count=20, bytes=50_000),
        remembered_bytes=10_000,
        stored={"ids": Stored(objects=10, bytes=1_000_000), "results": Stored(objects=10, bytes=200_000)},
        idle_commands_a_second=3.0,
    )
    return Costs(
        case=case, batches=10, ids=50_000, flagged=5_000, seconds=3.0, cpu_seconds=4.0, load=0.0, figures=figures
    )


def test_a_batch_costs_its_share() -> None:
    """Of all but what is done by the clock, whatever comes."""
    unit = PerBatch.of(costs())
    assert unit.worker_cpu_seconds == pytest.approx((4.0 - 0.8 - 0.2 - 0.5) / 10)
    assert unit.producer_cpu_seconds == pytest.approx(0.03)
    assert (unit.redis_commands, unit.writes, unit.reads) == (50, 6, 4)
    assert (unit.stored_bytes, unit.event_bytes, unit.remembered_bytes) == (120_000, 5_000, 1_000)
    assert unit.payload_bytes == 100_000


def test_requests_are_charged_by_kind() -> None:
    """Listings cost as much as writes, deletes nothing, all else as much as a read."""
    sent = {"PutObject": 1, "UploadPart": 2, "ListObjectsV2": 4, "GetObject": 8, "HeadObject": 16, "DeleteObject": 32}
    assert charged(sent) == (7, 24)


def test_notes_are_added_up_by_step() -> None:
    """A step whose hint was dropped asked nothing of the store."""
    notes = [
        StepNote(task="plan", seconds=1.0, cpu_seconds=0.5, requests={"GetObject": 2}),
        StepNote(task="plan", seconds=1.0, cpu_seconds=0.25, requests={}),
    ]
    assert sums(notes) == {"plan": StepCost(runs=2, idle_runs=1, cpu_seconds=0.75, requests={"GetObject": 2})}


def test_redis_is_compared_with_what_it_was_before() -> None:
    """Commands that nobody sent meanwhile are not named."""
    before = RedisUsage(calls={"get": 5, "set": 1}, cpu_seconds=1.0, received_bytes=1, sent_bytes=2)
    after = RedisUsage(calls={"get": 7, "set": 1, "del": 1}, cpu_seconds=1.5, received_bytes=2, sent_bytes=4)
    added = after.since(before)
    assert added.calls == {"get": 2, "del": 1}
    assert added.commands == 3
    assert (added.cpu_seconds, added.received_bytes, added.sent_bytes) == (0.5, 1, 2)


def test_a_slot_carries_a_full_job_at_a_time() -> None:
    """However fast X is, it allows one job every six seconds."""
    assert ids_a_job(LIMITS, 20) == 6_000_000
    assert ids_a_second_of_app(LIMITS, 20, 60) == 100_000
    assert ids_a_second_of_app(LIMITS, 20, 0) == ids_a_second_of_app(LIMITS, 20, 6) == 1_000_000
    assert apps(Load(1_000, 5_000), 100_000) == 50
    assert apps(Load(1_000, 5_001), 100_000) == 51


def test_the_same_load_may_come_in_larger_batches() -> None:
    """There are fewer of them, and as many IDs."""
    assert BASE_LOAD.times(1_000).in_batches_of(1_000_000) == Load(5.0, 1_000_000)
    assert Load(5.0, 1_000_000).ids_a_second == BASE_LOAD.times(1_000).ids_a_second


def test_needs_grow_with_the_load() -> None:
    """All but the sweeps, which come by the clock in every App."""
    one = needs(BASE_LOAD, UNIT, 60, limits=LIMITS, prices=PRICES)
    many = needs(BASE_LOAD.times(1_000), UNIT, 60, limits=LIMITS, prices=PRICES)
    assert (one.apps, many.apps) == (1, 50)
    assert many.worker_cpus == pytest.approx(50)
    assert many.redis_commands == 60_000
    assert one.writes == pytest.approx(12 + 2 * 90 / 10)  # 90 batches are open on average
    assert many.writes == pytest.approx(12_000 + 50 * 2 * 256 / 10)
    assert many.stored_gb_a_day == pytest.approx(17_280)
    assert many.remembered_gb == pytest.approx(604.8)
    assert many.dollars["processors"] == pytest.approx((50 + 2) * 720 * 0.04048)
    assert many.dollars["store, reads"] == pytest.approx(8_000 * 30 * 86_400 / 1_000 * 0.0004)
    assert many.dollars["store, bytes"] == pytest.approx(17_280 * 30 * 0.023)


def test_what_runs_out_first_stands_first() -> None:
    """A slot of an hour a job, long before processors."""
    found = bounds(UNIT, BASE_LOAD, LIMITS, Machine())
    times = {bound.what: bound.times for bound in found}
    assert found[0].what == "the slot, where X takes an hour"
    assert times["the slot, where X takes a minute"] == pytest.approx(20)
    assert times["2 processors for workers"] == pytest.approx(40)
    assert times["the one thread of a Redis"] == pytest.approx(500)
    assert [*times.values()] == sorted(times.values())


def test_large_batches_are_cheap() -> None:
    """What a batch costs by itself is shared by its IDs."""
    small = dollars_a_million_ids(UNIT, 100, PRICES)
    assert small == pytest.approx(100 * dollars_a_million_ids(UNIT, 10_000, PRICES))
    assert small == pytest.approx(10_000 * ((12 * 0.005 + 8 * 0.0004) / 1_000 + 0.052 / 3_600 * 0.04048))


def test_tables_are_made_of_what_was_measured() -> None:
    """What a thousand times the load needs is shown only where the cases for it were measured."""
    assert len([*tables([costs()])]) == 2
    assert len([*tables([costs("60 of 5,000"), costs("300 of 5,000"), costs("1 of 1,000,000")])]) == 5
