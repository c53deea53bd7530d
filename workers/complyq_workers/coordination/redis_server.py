"""Coordination in Redis (or Valkey). Redis's own clock expires the keys, so workers' clocks need not agree."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import redis
from redis.exceptions import RedisError

from complyq_producer.live import connect_redis, read_budgets, read_durations
from complyq_producer.redis_keys import RedisKeys
from complyq_workers.coordination.budget_scripts import BLOCK, COUNT, GIVE_BACK, LEARN, RESERVE
from complyq_workers.coordination.port import CoordinationError, Unsettled
from complyq_workers.coordination.quota import (
    ASSUMED_REQUESTS,
    ASSUMED_SECONDS,
    LEARNING_SECONDS,
    PROBE_SECONDS,
    RESERVED_SECONDS,
    SAME_WINDOW_SECONDS,
)
from complyq_workers.coordination.tally import Tally, counted_as, observed_as

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from complyq_producer.estimates import JobDuration
    from complyq_producer.live import LiveBudget, LiveJob, LiveQueue
    from complyq_producer.model import ComplianceType
    from complyq_workers.coordination.quota import Quota
    from complyq_workers.coordination.tally import Counter, Histogram

# A lost reply makes the client send a script again: taking what one has renews it, and what was given back stays so.
# The word that a step was asked for stands until the step is begun anew, so that a repeated END_STEP still tells it.
TAKE_STEP = """
local holder = redis.call('GET', KEYS[1])
if ARGV[5] ~= '' and holder ~= ARGV[1] and redis.call('PTTL', KEYS[4]) >= tonumber(ARGV[5]) then return -1 end
if holder and holder ~= ARGV[1] then
  redis.call('SET', KEYS[2], '1', 'EX', ARGV[4])
  return 0
end
if not holder then redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local starts = holder and tonumber(redis.call('GET', KEYS[3]) or '1') or redis.call('INCR', KEYS[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])
return starts
"""
# What was counted comes along as fields and amounts by turns. That it cannot be counted must not keep a step from ending.
END_STEP = """
for i = 4, #ARGV, 2 do redis.pcall('HINCRBY', KEYS[6], ARGV[i], ARGV[i + 1]) end
if ARGV[2] ~= '' then redis.call('SET', KEYS[4], '1', 'PX', ARGV[2]) end
if ARGV[3] ~= '' then redis.call('DEL', KEYS[5]) end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[3])
return redis.call('EXISTS', KEYS[2])
"""
NOTE_PROGRESS = """
if tonumber(ARGV[1]) <= tonumber(redis.call('GET', KEYS[1]) or '0') then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return redis.call('DEL', KEYS[2])
"""
HOLD_SLOT = """
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
return holder
"""
RELEASE_SLOT = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
SHOW_ALIVE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('ZCARD', KEYS[1])
"""
ALIVE = """
local time = redis.call('TIME')
return redis.call('ZCOUNT', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + 1, '+inf')
"""
SHOWN_SECONDS = 3600
SHOWN_PLACES = 20_000
REMEMBERED_JOBS = 50
FAILURES_SECONDS = 86_400
STARTS_SECONDS = 7 * 86_400
ASKED_SECONDS = 600


class RedisCoordination:
    """Implements `Coordination`. Each process gets connections of its own, also after a fork."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._keys = RedisKeys(namespace)
        self._client: redis.Redis | None = None
        self._pid = 0
        self._tally = Tally()

    def take_step(self, name: str, nonce: str, seconds: float, *, due_within: float | None = None) -> int:
        """Take or renew the lease on a step, or leave word that it was asked for; return how often it was begun."""
        lease, keys = _milliseconds(seconds), [*self._step_keys(name), self._keys.due(name)]
        due = "" if due_within is None else _milliseconds(due_within)
        return int(self._run(TAKE_STEP, keys, nonce, lease, STARTS_SECONDS, ASKED_SECONDS, due))

    def end_step(self, name: str, nonce: str, *, postponed: float = 0.0, went_well: bool = False) -> bool:
        """End the step in order and give the lease back, if it is still ours; return whether it was asked for meanwhile."""
        keys = [*self._step_keys(name), self._keys.due(name), self._keys.failures(name), self._keys.counted]
        wait = _milliseconds(postponed) if postponed > 0 else ""
        counts = self._tally.take()
        told: list[str | int] = []
        for field, amount in counts.items():
            told += field, amount
        try:
            return bool(self._run(END_STEP, keys, nonce, wait, "1" if went_well else "", *told))
        except CoordinationError:
            self._tally.give_back(counts)
            raise

    def note_progress(self, name: str, position: int) -> None:
        """Remember how far a step has come. Farther than ever before, its earlier starts are forgotten."""
        self._run(NOTE_PROGRESS, [self._keys.position(name), self._keys.starts(name)], position, STARTS_SECONDS)

    def hold_slot(self, type_: ComplianceType, holder: str, seconds: float) -> str:
        """Take or renew the lock of a type for a plan; return who holds it now."""
        answer: bytes = self._run(HOLD_SLOT, [self._keys.slot(type_)], holder, _milliseconds(seconds))
        return answer.decode()

    def release_slot(self, type_: ComplianceType, holder: str) -> None:
        """Give the lock of a type back if this plan holds it."""
        self._run(RELEASE_SLOT, [self._keys.slot(type_)], holder)

    def postpone(self, name: str, seconds: float) -> None:
        """Declare that a step is not due before `seconds` have passed."""
        self._set_for(self._keys.due(name), seconds)

    def seconds_until_due(self, name: str) -> float:
        """Return how long a step is still postponed, 0 if it is due."""
        return self._seconds_left(self._keys.due(name))

    def is_idle(self, name: str) -> bool:
        """Whether a step is due and nobody runs it."""
        keys = [self._keys.due(name), self._keys.step(name)]
        return not self._ask(lambda client: client.exists(*keys))

    def count_failure(self, name: str) -> int:
        """Count one more failure in a row. A lost reply may count it twice, which only lengthens the next delay."""
        key = self._keys.failures(name)

        def count(client: redis.Redis) -> int:
            with client.pipeline() as pipe:
                pipe.incr(key)
                pipe.expire(key, FAILURES_SECONDS)
                return int(pipe.execute()[0])

        failures: int = self._ask(count)
        return failures

    def reserve(self, endpoint: str, nonce: str) -> float:
        """Ask whether a request may be sent to an endpoint of X now: 0, or after how many seconds to ask again."""
        times = map(_milliseconds, (RESERVED_SECONDS, LEARNING_SECONDS, PROBE_SECONDS))
        wait: int = self._run(RESERVE, self._budget_keys(endpoint), nonce, *times)
        return wait / 1000

    def settle(self, endpoint: str, nonce: str, quota: Quota | None, *, sent: bool = True) -> None:
        """Tell how a reserved request ended."""
        keys = self._budget_keys(endpoint)
        if not sent:
            self._run(GIVE_BACK, keys, nonce)
        elif quota is None:
            self._run(COUNT, keys, nonce, ASSUMED_REQUESTS, _milliseconds(ASSUMED_SECONDS))
        else:
            ends_in, apart = _milliseconds(quota.seconds_left), _milliseconds(SAME_WINDOW_SECONDS)
            self._run(LEARN, keys, nonce, quota.limit, quota.remaining, ends_in, apart)

    def block(self, endpoint: str, seconds: float) -> None:
        """Declare that X refuses requests to an endpoint for `seconds`; nothing is known of its window afterwards."""
        if seconds > 0:
            self._run(BLOCK, self._budget_keys(endpoint), _milliseconds(seconds))

    def budgets(self) -> dict[str, LiveBudget]:
        """Return what is known of the endpoints' windows, by endpoint."""
        budgets: dict[str, LiveBudget] = self._ask(lambda client: read_budgets(client, self._keys))
        return budgets

    def show_job(self, type_: ComplianceType, job: LiveJob) -> None:
        """Show what the slot of a type is doing."""
        body = msgspec.json.encode(job)
        self._ask(lambda client: client.set(self._keys.live(type_), body, ex=SHOWN_SECONDS))

    def show_queue(self, type_: ComplianceType, queue: LiveQueue) -> None:
        """Show what waits, with the places of the first batches, in place of what was shown before."""
        summary = msgspec.json.encode(msgspec.structs.replace(queue, places=[]))
        places = {place.batch_id: msgspec.json.encode(place) for place in queue.places[:SHOWN_PLACES]}
        key = self._keys.places(type_)

        def show(client: redis.Redis) -> None:
            with client.pipeline() as pipe:
                pipe.set(self._keys.queue(type_), summary, ex=SHOWN_SECONDS)
                pipe.delete(key)
                if places:
                    pipe.hset(key, mapping=places)
                    pipe.expire(key, SHOWN_SECONDS)
                pipe.execute()

        self._ask(show)

    def note_duration(self, type_: ComplianceType, duration: JobDuration) -> None:
        """Remember how long a job took. A lost reply may have it noted twice, which weighs it a little more."""
        key, body = self._keys.durations(type_), msgspec.json.encode(duration)

        def note(client: redis.Redis) -> None:
            with client.pipeline() as pipe:
                pipe.lpush(key, body)
                pipe.ltrim(key, 0, REMEMBERED_JOBS - 1)
                pipe.execute()

        self._ask(note)

    def durations(self, type_: ComplianceType) -> list[JobDuration]:
        """Return how long the last jobs took, newest first; empty if none is known."""
        durations: list[JobDuration] = self._ask(lambda client: read_durations(client, self._keys, type_))
        return durations

    def slot_holder(self, type_: ComplianceType) -> str | None:
        """Return who holds the lock of a type, if anybody does."""
        holder: bytes | None = self._ask(lambda client: client.get(self._keys.slot(type_)))
        return holder.decode() if holder else None

    def count(self, counter: Counter, *labels: str, amount: int = 1) -> None:
        """Count for metrics. It is told when a step of this process next ends."""
        self._tally.add(counted_as(counter, *labels), amount)

    def observe(self, histogram: Histogram, type_: ComplianceType, seconds: float) -> None:
        """Take a duration into a histogram. It is told when a step of this process next ends."""
        for field, amount in observed_as(histogram, type_, seconds):
            self._tally.add(field, amount)

    def counted(self) -> dict[str, int]:
        """Return all that was counted and observed since Redis last lost what it held, by field."""
        counts: dict[bytes, bytes] = self._ask(lambda client: client.hgetall(self._keys.counted))
        return {field.decode(): int(amount) for field, amount in counts.items()}

    def show_unsettled(self, type_: ComplianceType, batches: Sequence[Unsettled]) -> None:
        """Show which open batches have ended or are parked, in place of what was shown before."""
        body = msgspec.json.encode(batches)
        self._ask(lambda client: client.set(self._keys.unsettled(type_), body, ex=SHOWN_SECONDS))

    def unsettled(self, type_: ComplianceType) -> list[Unsettled] | None:
        """Return which open batches were shown to have ended or to be parked; None if that is not known."""
        body: bytes | None = self._ask(lambda client: client.get(self._keys.unsettled(type_)))
        with suppress(msgspec.DecodeError):  # a newer version may show it in another way
            return msgspec.json.decode(body, type=list[Unsettled]) if body else None
        return None

    def show_backlog(self, events: int) -> None:
        """Show how many events wait on the results queue for their listeners."""
        self._ask(lambda client: client.set(self._keys.backlog, events, ex=SHOWN_SECONDS))

    def backlog(self) -> int | None:
        """Return how many events were last seen to wait; None if that is not known."""
        shown: bytes | None = self._ask(lambda client: client.get(self._keys.backlog))
        return int(shown) if shown else None

    def show_alive(self, role: str, processes: Sequence[str], seconds: float) -> None:
        """Show that processes of a role live; they count for so many seconds."""
        self._run(SHOW_ALIVE, [self._keys.alive(role)], _milliseconds(seconds), *processes)

    def alive(self, role: str) -> int:
        """Return how many processes of a role live."""
        return int(self._run(ALIVE, [self._keys.alive(role)]))

    def _budget_keys(self, endpoint: str) -> list[str]:
        keys = self._keys
        return [keys.budget(endpoint), keys.in_flight(endpoint), keys.probe(endpoint), keys.blocked(endpoint)]

    def _step_keys(self, name: str) -> list[str]:
        return [self._keys.step(name), self._keys.again(name), self._keys.starts(name)]

    def _set_for(self, key: str, seconds: float) -> None:
        if seconds > 0:
            self._ask(lambda client: client.set(key, "1", px=_milliseconds(seconds)))

    def _seconds_left(self, key: str) -> float:
        milliseconds: int = self._ask(lambda client: client.pttl(key))  # negative: no such key
        return max(0, milliseconds) / 1000

    def _run(self, script: str, keys: list[str], *arguments: str | int) -> Any:
        return self._ask(lambda client: client.eval(script, len(keys), *keys, *arguments))  # type: ignore[arg-type]

    def _ask(self, question: Callable[[redis.Redis], Any]) -> Any:
        try:
            return question(self._connected())
        except RedisError as error:
            raise CoordinationError(f"Redis (COMPLYQ_REDIS_URL) does not answer: {error}") from error

    def _connected(self) -> redis.Redis:
        if self._client is None or self._pid != os.getpid():
            self._client, self._pid = connect_redis(self._url), os.getpid()
        return self._client


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
