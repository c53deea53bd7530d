"""Looks at a Redis: whether it answers, forgets nothing on purpose, and survives its own restart."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import redis

from complyq_config.redaction import redact
from complyq_producer.cli.checks.finding import Finding, failed, ok, warning
from complyq_producer.live import connect_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = (6, 2)


def check_redis(url: str) -> Iterator[Finding]:
    """Look at the Redis of COMPLYQ_REDIS_URL."""
    try:
        with closing(connect_redis(url)) as client:
            info: Any = client.info()
            snapshots = _snapshots(client)
    except (redis.RedisError, OSError, ValueError) as error:
        yield failed("Redis", redact(f"{url}: {error}"), "Start it, or correct COMPLYQ_REDIS_URL.")
        return
    yield _version(url, info)
    yield _eviction(info)
    yield _persistence(info, snapshots=snapshots)


def _version(url: str, info: dict[str, Any]) -> Finding:
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    name = "Valkey" if "valkey_version" in info else "Redis"
    found = redact(f"{name} {version} at {url}")
    # Valkey began at 7.2, so its own numbers are all recent enough.
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST:
        return failed("Redis", found, "Complyq needs Redis 6.2 or later, or Valkey.")
    return ok("Redis", found)


def _eviction(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return ok("Redis eviction", "noeviction")
    mend = "Set `maxmemory-policy noeviction`: otherwise Redis drops messages and locks when its memory is full."
    return (warning if policy == "unknown" else failed)("Redis eviction", policy, mend)


def _persistence(info: dict[str, Any], *, snapshots: bool) -> Finding:
    if info.get("aof_enabled"):
        return ok("Redis persistence", "append-only file")
    found = "snapshots only" if snapshots else "none"
    mend = "Set `appendonly yes`. Without it a restart of Redis delays work and events, though nothing is lost."
    return warning("Redis persistence", found, mend)


def _snapshots(client: redis.Redis) -> bool:
    """Whether Redis writes snapshots; hosted ones do not tell their configuration."""
    try:
        answer: Any = client.config_get("save")
    except redis.ResponseError:
        return False
    return bool(answer.get("save"))
