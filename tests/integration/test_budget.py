"""The request budget against the real simulator, with a real Redis between workers that know nothing of each other."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from uuid import uuid4

import pytest
import redis

from complyq_producer.model import ComplianceType
from complyq_producer.redis_keys import RedisKeys
from complyq_workers.clock import SystemClock
from complyq_workers.coordination import RedisCoordination
from complyq_workers.pipeline.budget import BudgetError
from complyq_workers.pipeline.remote import Remote
from complyq_workers.x import StaticBearer, Transport, XClient
from support.coordinations import let_time_pass
from support.crowds import all_at_once
from support.simulator_process import Simulator, running_simulator

TWEETS = ComplianceType.TWEETS
WORKERS = 20
LIMIT = 20


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """An X that allows few requests."""
    with running_simulator(rate_limit=LIMIT) as running:
        yield running


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes connections at the end."""
    with ExitStack() as stack:
        yield stack


def workers_at(stack: ExitStack, simulator: Simulator, redis_url: str, namespace: str) -> list[Remote]:
    """Make workers that have no connection and no object in common."""
    workers = []
    for _ in range(WORKERS):
        transport = stack.enter_context(closing(Transport([], simulator.api_url)))
        client = XClient(simulator.api_url, transport, StaticBearer(simulator.token))
        workers.append(Remote(client, RedisCoordination(redis_url, namespace), SystemClock()))
    return workers


def lists(workers: list[Remote], number: int) -> int:
    """Have a worker list jobs until no request is left; return how many it sent."""
    sent = 0
    while True:
        try:
            workers[number].list_jobs(TWEETS)
        except BudgetError as error:
            if error.wait_seconds > 5:  # else another worker learns the window
                return sent
        else:
            sent += 1


def statuses(simulator: Simulator) -> list[int]:
    """Return how X answered, in order."""
    return [line["status"] for line in simulator.journal() if line["kind"] == "request"]


def test_workers_that_start_at_once_are_never_refused(
    simulator: Simulator, redis_server: str, stack: ExitStack
) -> None:
    """Twenty of them, for one window and for the next, and after Redis has lost all it knew: not one 429."""
    namespace = uuid4().hex
    workers, keys = workers_at(stack, simulator, redis_server, namespace), RedisKeys(namespace).prefix + "*"
    client = stack.enter_context(redis.Redis.from_url(redis_server))
    for seconds in (902, None, 902):
        before = len(statuses(simulator))
        sent = sum(all_at_once(partial(lists, workers), WORKERS))
        assert statuses(simulator)[before:] == [200] * sent
        assert 1 < sent <= LIMIT
        simulator.advance_clock(901)
        let_time_pass(client, keys, seconds)
        workers = workers_at(stack, simulator, redis_server, namespace)


def test_workers_without_redis_are_never_refused(simulator: Simulator, stack: ExitStack) -> None:
    """With a Redis that was never there, each heeds what X tells it of how little there is."""
    workers = workers_at(stack, simulator, "redis://127.0.0.1:1/0", "nowhere")
    sent = sum(all_at_once(partial(lists, workers), WORKERS))
    assert statuses(simulator) == [200] * sent
    assert sent == WORKERS


def test_a_refusal_is_heeded_by_all(simulator: Simulator, redis_server: str, stack: ExitStack) -> None:
    """Nobody asks again before X said, and then it is answered."""
    workers = workers_at(stack, simulator, redis_server, uuid4().hex)
    simulator.arm({"on": "list", "fault": "rate_limit", "seconds": 6})
    with pytest.raises(BudgetError) as refused:
        workers[0].list_jobs(TWEETS)
    assert 5 < refused.value.wait_seconds <= 8
    for worker in workers:
        with pytest.raises(BudgetError):
            worker.list_jobs(TWEETS)
    assert statuses(simulator) == [429]
    time.sleep(refused.value.wait_seconds)
    workers[1].list_jobs(TWEETS)
    assert statuses(simulator) == [429, 200]
