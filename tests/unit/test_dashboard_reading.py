"""What the dashboard reads: a bounded number of requests, each once, and never a write."""

import asyncio
import io
import json
import threading
from collections import Counter
from typing import Any

import anyio
import pytest

from complyq_producer.dashboard.board import BoardReader
from complyq_producer.dashboard.remembered import Memory, RememberedStore
from complyq_producer.dashboard.shared import MOST_PAGES, Fragments, Readings, Shared, Streams
from complyq_producer.dashboard.tally import MOST_PAGES as MOST_PAGES_OF_PARTS
from complyq_producer.dashboard.tally import Tally, tally_of, total
from complyq_producer.errors import StoreUnavailableError
from complyq_producer.facts import Collected, CollectedPage, utc_now
from complyq_producer.layout import JobKeys
from complyq_producer.model import BatchId
from complyq_producer.store import MemoryStore
from support.standing import TWEETS, Standing


class CountingStore(MemoryStore):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def read(self, key: str) -> Any:
        """Count, and read."""
        self.asked["read"] += 1
        return super().read(key)

    def list(self, prefix: str, *, after: str = "") -> Any:
        """Count, and list."""
        self.asked["list"] += 1
        return super().list(prefix, after=after)


def busy(batches: int) -> tuple[CountingStore, Standing]:
    """Have a job with many batches, and as many that wait."""
    store = CountingStore()
    standing = Standing(store)
    for number in range(batches):
        standing.batch(f"a{number:07}")
        standing.batch(f"b{number:07}")
    standing.plan(3, {f"a{number:07}": [0] for number in range(batches)})
    standing.uploaded(3, seconds_ago=60)
    standing.show_job(3, "processing")
    standing.show_queue({f"b{number:07}": 0 for number in range(batches)})
    return store, standing


def asked_for_a_board(batches: int) -> Counter[str]:
    """Count what the first reading asks of the store."""
    store, standing = busy(batches)
    store.asked.clear()
    reader = BoardReader(store, standing.memory, 60)
    board = reader.read()
    assert (board.problem, len(board.types[0].open), board.types[0].has_more) == (None, 10, True)
    return store.asked


def test_a_page_costs_the_same_however_many_batches_are_open() -> None:
    """A hundred batches or two thousand."""
    assert asked_for_a_board(100) == asked_for_a_board(2000)


def test_nothing_is_asked_of_the_store_twice_within_the_interval() -> None:
    """Then only listings are."""
    store, standing = busy(20)
    now = [0.0]
    reader = BoardReader(store, standing.memory, 20)
    reader._store._monotonic = lambda: now[0]
    reader.read()
    store.asked.clear()
    now[0] = 19.0
    reader.read()
    assert store.asked == Counter()
    now[0] = 21.0
    reader.read()
    assert 0 < store.asked["list"] < 50
    assert store.asked["read"] == 0


def test_what_workers_show_makes_the_store_be_looked_at_at_once() -> None:
    """Another phase of a job; more bytes do not."""
    store, standing = busy(5)
    reader = BoardReader(store, standing.memory, 1e9)
    reader.read()
    store.asked.clear()
    standing.show_job(3, "processing", done=5, total=9)
    reader.read()
    assert store.asked == Counter()
    standing.collected(3)
    standing.show_job(3, "collecting")
    board = reader.read()
    assert board.overview
    assert board.overview.types[TWEETS].slot is None
    assert board.types[0].courses[0].words == "done"


def test_the_queue_is_live_while_facts_are_remembered() -> None:
    """Redis is asked each time."""
    store, standing = busy(5)
    reader = BoardReader(store, standing.memory, 1e9)
    reader.read()
    standing.show_queue({"b0000001": 0})
    overview = reader.read().overview
    assert overview
    queue = overview.types[TWEETS].queue
    assert queue
    assert queue.batches == 1


def test_a_redis_that_is_away_is_waited_for_once_a_reading() -> None:
    """However many questions there are."""

    class Away:
        asked = 0

        def answers(self) -> bool:
            self.asked += 1
            return False

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked of a Redis that does not answer")

    store, _ = busy(5)
    live: Any = Away()
    board = BoardReader(store, live, 60).read()
    assert (board.problem, live.asked) == (None, 1)
    assert board.overview
    assert not board.overview.redis_answers


def test_the_page_cannot_write() -> None:
    """Whatever it does, the store stays as it is."""
    real = MemoryStore()
    real.create("open/jobs/tweets/00000001", b"")
    store = RememberedStore(real, 1)
    calls: list[Any] = [
        lambda: store.create("a", b""), lambda: store.create_from("a", io.BytesIO()), lambda: store.replace("a", b""),
        lambda: store.delete("open/jobs/tweets/00000001"), store.verify,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(PermissionError):
            call()
    assert [info.key for info in real.list("")] == ["open/jobs/tweets/00000001"]


def test_a_long_listing_is_whole_and_remembered_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond ten thousand it is asked for again, page by page, by whoever wants more."""
    monkeypatch.setattr("complyq_producer.dashboard.remembered.MOST_COUNTED", 5)
    real = CountingStore()
    for number in range(12):
        real.create(f"open/{number:02}", b"")
    store = RememberedStore(real, 1e9)
    for _ in range(2):
        assert [info.key for info in store.list("open/")] == [f"open/{number:02}" for number in range(12)]
    assert real.asked["list"] == 3
    assert [info.key for info in store.list("open/", after="open/09")] == ["open/10", "open/11"]


def test_memory_is_bounded() -> None:
    """What was used last is kept."""
    memory: Memory[str, str] = Memory(10)
    memory.keep("a", "A", 4)
    memory.keep("b", "B", 4)
    assert memory.get("a") == "A"
    memory.keep("c", "C", 4)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == ("A", None, "C")
    memory.keep("c", "D", 11)
    assert (memory.get("a"), memory.get("c")) == (None, "D")


def test_results_on_pages_are_counted_up_to_a_bound() -> None:
    """Of a job of very many parts the first ones stand for all, and the page says so."""
    standing = Standing()
    standing.plan(1, {"a": [0]})
    standing.finished(1)
    keys, part = JobKeys(TWEETS, 1), standing._result(1, BatchId("a"), 0)
    for index in range(MOST_PAGES_OF_PARTS + 1):
        standing.ledger.facts.create(keys.page(index), CollectedPage(parts=[part]))
    pages = [BatchId("a")] * (MOST_PAGES_OF_PARTS + 1)
    standing.ledger.facts.create(keys.collected, Collected(available=True, parts=[], checked_at=utc_now(), pages=pages))
    told = tally_of(standing.ledger.job(TWEETS, 1), standing.ledger)
    assert told
    assert (told.results, told.is_partial) == (MOST_PAGES_OF_PARTS, True)


def test_rare_reasons_are_added_up() -> None:
    """X may invent more than fit on a page."""
    told = total([Tally(by_reason=Counter({f"reason-{n}": 100 - n for n in range(20)}))])
    assert len(told.reasons) == 8
    assert told.reasons[-1][0] == "all others"
    assert sum(number for _, number, _ in told.reasons) == sum(100 - n for n in range(20))


def test_many_who_look_at_once_cost_one_reading() -> None:
    """Those who come while it runs wait for it; those who come soon after get the same."""
    reads: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def read() -> Fragments:
        reads.append(1)
        begun.set()
        go_on.wait(30)
        return {"n": str(len(reads))}

    async def look() -> list[Fragments]:
        shared = Shared(read, 1e9, anyio.CapacityLimiter(4))
        tasks = [asyncio.create_task(shared.value()) for _ in range(50)]
        await asyncio.to_thread(begun.wait, 30)
        go_on.set()
        return [await task for task in tasks] + [await shared.value()]

    assert asyncio.run(look()) == [{"n": "1"}] * 51
    assert len(reads) == 1


def test_only_pages_that_were_looked_at_lately_are_kept() -> None:
    """Somebody who opens thousands of batches fills no memory."""

    async def look() -> int:
        readings: Readings[Fragments] = Readings()
        for number in range(3 * MOST_PAGES):
            await readings.of(str(number), dict, 1e9).value()
        return len(readings._pages)

    assert asyncio.run(look()) == MOST_PAGES


def test_a_stream_sends_differences_and_ends_with_the_server() -> None:
    """What did not change is not sent again."""
    values = iter([{"a": "1", "b": "1"}, {"a": "2", "b": "1"}])

    async def look() -> list[dict[str, str]]:
        streams = Streams()
        last: Fragments = {}

        def read() -> Fragments:
            last.update(next(values, last))
            return dict(last)

        heard = []
        async for sent in streams.follow(Shared(read, 0.0, anyio.CapacityLimiter(1))):
            if sent.startswith(b"event"):
                heard.append(json.loads(sent.split(b"data: ")[1]))
            if len(heard) == 2:
                streams.close()
        assert streams._open == 0
        return heard

    assert asyncio.run(look()) == [{"a": "1", "b": "1"}, {"a": "2"}]


def test_a_stream_goes_on_after_the_store_was_away() -> None:
    """It says nothing meanwhile, and then what changed."""
    answers: list[Any] = [{"a": "1"}, StoreUnavailableError("away"), StoreUnavailableError("away"), {"a": "2"}]

    def read() -> Fragments:
        answer = answers.pop(0) if answers else {"a": "2"}
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    async def look() -> list[dict[str, str]]:
        streams, heard = Streams(), []
        async for sent in streams.follow(Shared(read, 0.0, anyio.CapacityLimiter(1))):
            if sent.startswith(b"event"):
                heard.append(json.loads(sent.split(b"data: ")[1]))
            if len(heard) == 2:
                streams.close()
        return heard

    assert asyncio.run(look()) == [{"a": "1"}, {"a": "2"}]
