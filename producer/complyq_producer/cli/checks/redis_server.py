"""Looks at a Redis: whether it answers and is fit, forgets nothing on purpose, and survives its own restart."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis
from redis.exceptions import NoPermissionError

from complyq_config.errors import ConfigurationError
from complyq_config.redaction import redact
from complyq_config.redis_address import REDIS_SCHEMES, RedisAddress
from complyq_config.values import is_loopback
from complyq_producer.cli.checks.finding import Finding, failed, ok, warning
from complyq_producer.listening import StreamAddress, address_of
from complyq_producer.live import connect_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_config.settings import Settings

OLDEST = (6, 2)
MOST_SKEW_SECONDS = 5.0
"""Countdowns are judged by the clocks of several machines: a difference of so little only delays a look at a job."""


@dataclass(frozen=True, slots=True)
class _Server:
    """What a Redis told of itself."""

    name: str
    url: str
    info: dict[str, Any]
    config: dict[str, str]
    skew_seconds: float


def check_redis(settings: Settings) -> Iterator[Finding]:
    """Look at the Redis of COMPLYQ_REDIS_URL, and at those of the broker and of the results queue if they are others."""
    seen: set[str] = set()
    for variable, name, url in _urls(settings):
        server = RedisAddress.parse(url).url.rpartition("@")[2].rpartition("://")[2]
        if server not in seen:
            seen.add(server)
            yield from _check(variable, name, url)


def _urls(settings: Settings) -> Iterator[tuple[str, str, str]]:
    yield "COMPLYQ_REDIS_URL", "Redis", settings.redis_url.get_secret_value()
    broker = settings.broker_url.get_secret_value()
    if urlsplit(broker).scheme in REDIS_SCHEMES:
        yield "COMPLYQ_BROKER_URL", "Broker's Redis", broker
    with suppress(ConfigurationError):  # what is wrong with it the check of the results queue says
        address = address_of(settings.effective_events_url.get_secret_value())
        if isinstance(address, StreamAddress):
            yield "COMPLYQ_EVENTS_URL", "Results queue's Redis", address.url


def _check(variable: str, name: str, url: str) -> Iterator[Finding]:
    try:
        with closing(connect_redis(url)) as client:
            server = _ask(name, url, client)
    except NoPermissionError as error:
        mend = (
            "Grant its user +info, so that eviction and persistence can be looked at: docs/redis.md has the whole rule."
        )
        yield warning(name, redact(f"{url}: {error}"), mend)
        return
    except (redis.RedisError, OSError, ValueError) as error:
        yield failed(name, redact(f"{url}: {error}"), f"Start it, or correct {variable}.")
        return
    yield _fitness(server)
    yield _eviction(server)
    yield _persistence(server)
    yield _clock(server)
    yield from _encryption(server)


def _ask(name: str, url: str, client: redis.Redis) -> _Server:
    info: Any = client.info()
    before = time.time()
    told: Any = client.time()
    skew = told[0] + told[1] / 1e6 - (before + time.time()) / 2
    return _Server(name, url, info, _config(client), skew)


def _config(client: redis.Redis) -> dict[str, str]:
    """Settings that INFO does not tell; hosted servers and restricted users may not ask for them."""
    try:
        answer: Any = client.config_get("save", "appendfsync")  # type: ignore[arg-type] # redis-py's types are wrong
    except redis.ResponseError:
        return {}
    return {str(name): str(value) for name, value in answer.items()}


def _fitness(server: _Server) -> Finding:
    version = str(server.info.get("valkey_version") or server.info.get("redis_version", "0"))
    product = "Valkey" if "valkey_version" in server.info else "Redis"
    found = redact(f"{product} {version} at {server.url}")
    # Valkey began at 7.2, so its own numbers are all recent enough.
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST:
        return failed(server.name, found, "Complyq needs Redis 6.2 or later, or Valkey.")
    if server.info.get("cluster_enabled"):
        mend = "Complyq does not work with Redis Cluster: use one server, or one with replicas behind Sentinels."
        return failed(server.name, f"{found}, in cluster mode", mend)
    if server.info.get("role") == "slave":
        mend = "It takes no writes: name its master, or Sentinels (sentinel://host:26379/0?master=NAME)."
        return failed(server.name, f"{found}, a replica", mend)
    replicas = server.info.get("connected_slaves", 0)
    return ok(server.name, f"{found}, {replicas} replicas" if replicas else found)


def _eviction(server: _Server) -> Finding:
    name = f"{server.name} eviction"
    policy = str(server.info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return ok(name, "noeviction")
    mend = "Set `maxmemory-policy noeviction`: otherwise Redis drops messages and locks when its memory is full."
    return (warning if policy == "unknown" else failed)(name, policy, mend)


def _persistence(server: _Server) -> Finding:
    name = f"{server.name} persistence"
    if server.info.get("aof_enabled"):
        fsync = server.config.get("appendfsync", "unknown")
        found = f"append-only file, appendfsync {fsync}"
        if fsync == "no":
            return warning(
                name, found, "Set `appendfsync everysec`, or `always`: docs/redis.md says what each may lose."
            )
        return ok(name, found)
    found = "snapshots only" if server.config.get("save") else "none"
    mend = "Set `appendonly yes`. Without it a restart of Redis delays work and events, though nothing is lost."
    return warning(name, found, mend)


def _clock(server: _Server) -> Finding:
    name, skew = f"{server.name} clock", server.skew_seconds
    if abs(skew) <= MOST_SKEW_SECONDS:
        return ok(name, f"within {MOST_SKEW_SECONDS:.0f} s of this machine's")
    found = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
    return warning(
        name, found, "Set both clocks by NTP: what is to be looked at again comes so much too late or early."
    )


def _encryption(server: _Server) -> Iterator[Finding]:
    """Only where there is something to say: what is private by its network is nobody's to judge here."""
    name = f"{server.name} encryption"
    address = RedisAddress.parse(server.url)
    if address.tls:
        checked = address.tls["ssl_cert_reqs"] == "required" and address.tls["ssl_check_hostname"]
        mend = (
            "Give the CA's certificate by ssl_ca_certs=/path instead of ssl_cert_reqs=none or ssl_check_hostname=false."
        )
        yield ok(name, "TLS") if checked else warning(name, "TLS that does not check who answers", mend)
    elif urlsplit(server.url).scheme != "unix" and address.login["password"] and not _is_here(address):
        yield warning(name, "none: the password crosses the network in clear", "Use rediss:// (sentinels://).")


def _is_here(address: RedisAddress) -> bool:
    hosts = [host for host, _ in address.sentinels] or [urlsplit(address.url).hostname or ""]
    return all(map(is_loopback, hosts))
