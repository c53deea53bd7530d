"""Every coordination there is, with the means to let time pass, to look at what is shown and to lose answers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import redis

from complyq_producer.live import LiveView, RedisLiveView
from complyq_producer.redis_keys import RedisKeys
from complyq_workers.coordination import Coordination, CoordinationError, MemoryCoordination, RedisCoordination
from support.lost_answers import LostAnswers, Network
from support.tcp_proxy import running_tcp_proxy


@dataclass
class Case:
    """A coordination and what surrounds it.

    Attributes:
        coordination: what is tested.
        other: the same as another worker sees it, without a network that fails.
        network: what lies before `coordination`.
        sleep: lets so many seconds pass, at once.
        flush: loses everything.
        view: what status sees.
    """

    coordination: Coordination
    other: Coordination
    network: Network
    sleep: Callable[[float], None]
    flush: Callable[[], None]
    view: LiveView


@contextmanager
def memory_case() -> Iterator[Case]:
    """Coordination within this process."""
    clock = [1000.0]

    def now() -> float:
        time.sleep(0)  # lets another thread run, so that what is not safe for threads shows
        return clock[0]

    memory = MemoryCoordination(now)
    network = LostAnswers(CoordinationError("the answer was lost"))

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    yield Case(network.before(memory), memory, network, sleep, memory.flush, memory)


@contextmanager
def redis_case(url: str) -> Iterator[Case]:
    """Coordination in a real server, through a proxy; `url` must name host and port."""
    namespace = uuid4().hex
    keys = RedisKeys(namespace).prefix + "*"
    with running_tcp_proxy(url) as proxy, redis.Redis.from_url(url) as client:
        coordination = RedisCoordination(proxy.url(url), namespace)
        coordination.seconds_until_due("nothing")  # connects, so that the next request is a test's
        yield Case(
            coordination,
            RedisCoordination(url, namespace),
            proxy,
            lambda seconds: let_time_pass(client, keys, seconds),
            lambda: let_time_pass(client, keys, None),
            RedisLiveView(client, namespace),
        )


def let_time_pass(client: redis.Redis, pattern: str, seconds: float | None) -> None:
    """Bring the end of all keys so much nearer, as if seconds had passed; None loses them all."""
    for key in client.scan_iter(pattern):
        left = client.pttl(key)
        assert isinstance(left, int)
        if seconds is None or 0 <= left <= seconds * 1000:
            client.delete(key)
        elif left > 0:
            client.pexpire(key, left - round(seconds * 1000))
            _age_members(client, key, seconds)


def _age_members(client: redis.Redis, key: bytes, seconds: float) -> None:
    """Bring the ends nearer that are kept in a sorted set, in milliseconds."""
    if client.type(key) == b"zset":
        for member, _ in client.zscan_iter(key):
            client.zincrby(key, -seconds * 1000, member)
