"""The faults of a soak. Each strikes a site and says how it is healed, and after how many seconds."""

import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import psutil
import redis

from soak.crew import Member
from soak.saying import say
from soak.schedule import Strike, draw
from soak.site import LEASE_SECONDS, NetworkedRedis, Site

Heal = tuple[float, Callable[[], object]] | None
Fault = Callable[[Site, Strike], Heal]

_WINDOW_SECONDS = 16 * 60
_Armed = Mapping[str, Any]
_X_FAULTS: tuple[tuple[_Armed, ...], ...] = (
    (
        {"on": "create", "fault": "lost_answer"},
        {"on": "create", "fault": "lost_answer", "skip": 1},  # where the first request is refused as resumable
        {"on": "create", "fault": "lost_answer", "skip": 1},
    ),
    (
        {"on": "create", "fault": "disconnect"},
        {"on": "create", "fault": "status", "status": 503},
        {"on": "create", "fault": "rate_limit", "seconds": 2},
        {"on": "create", "fault": "stall", "seconds": 4},
        {"on": "create", "fault": "delay", "seconds": 2},
    ),
    (
        *({"on": on, "fault": "disconnect"} for on in ("get", "list", "cancel")),
        *({"on": on, "fault": "status", "status": 500} for on in ("get", "list", "cancel")),
        *({"on": on, "fault": "rate_limit", "seconds": 2} for on in ("get", "list")),
        *({"on": on, "fault": "stall", "seconds": 4} for on in ("get", "list")),
        {"on": "cancel", "fault": "lost_answer"},
    ),
    (
        {"on": "upload", "fault": "lost_answer"},
        {"on": "upload", "fault": "disconnect", "after_bytes": 300_000},
        {"on": "upload", "fault": "status", "status": 503},
        {"on": "upload", "fault": "stall", "seconds": 3, "after_bytes": 200_000},
        {"on": "upload", "fault": "throttle", "bytes_per_second": 100_000},
        {"on": "session", "fault": "lost_answer"},
        {"on": "session", "fault": "status", "status": 500},
    ),
    ({"on": "download", "fault": "truncate"},),
    (
        {"on": "download", "fault": "disconnect", "after_bytes": 1_000},
        {"on": "download", "fault": "lost_answer"},
        {"on": "download", "fault": "status", "status": 500},
        {"on": "download", "fault": "stall", "seconds": 3},
        {"on": "download", "fault": "throttle", "bytes_per_second": 50_000},
    ),
    ({"on": "create", "fault": "expire_window"}, {"on": "upload", "fault": "expire_window"}),
)
"""Families of faults, one of which strikes as often as another."""
_CLOUD_FAULTS: tuple[_Armed, ...] = (
    {"on": "upload", "fault": "persist_less", "bytes": 262_144},
    {"on": "upload", "fault": "dead_session"},
    {"on": "query", "fault": "dead_session", "status": 404},
    {"on": "upload", "fault": "wrong_hash"},
    {"on": "download", "fault": "wrong_hash"},
)
_JOB_FAULTS: tuple[_Armed, ...] = (
    {"on": "job", "fault": "fail", "error": "Internal error"},
    {"on": "job", "fault": "expire"},
    {"on": "job", "fault": "inject_lines", "lines": ['{"id":"7","action":"delete","reason":"deleted"}']},
)


def kill_worker(site: Site, strike: Strike) -> Heal:
    """SIGKILL to a worker with all its processes."""
    member = _member(site, strike)
    site.workers.kill(member)
    return strike.strength * 2, lambda: site.workers.bring_back(member)


def kill_process(site: Site, strike: Strike) -> Heal:
    """SIGKILL to any one process of a worker."""
    tree = site.workers.tree(_member(site, strike))
    with suppress(psutil.NoSuchProcess, IndexError):
        tree[int(strike.strength * len(tree))].kill()
    return None


def stop_worker(site: Site, strike: Strike) -> Heal:
    """SIGTERM to a worker, as a deployment sends it."""
    member = _member(site, strike)
    if member.process:
        member.process.terminate()
    return None


def freeze_worker(site: Site, strike: Strike) -> Heal:
    """A worker that does nothing for longer than its leases, and then goes on as if nothing had been."""
    member = _member(site, strike)
    site.workers.signal(member, signal.SIGSTOP)
    return LEASE_SECONDS + strike.strength * 3, lambda: site.workers.signal(member, signal.SIGCONT)


def kill_listener(site: Site, strike: Strike) -> Heal:
    """SIGKILL to the listener."""
    site.listeners.kill(site.recorder)
    return strike.strength, lambda: site.listeners.bring_back(site.recorder)


def flush_redis(site: Site, strike: Strike) -> Heal:
    """Redis has forgotten everything."""
    with redis.Redis.from_url(site.redis.server.url, socket_timeout=2) as client, suppress(redis.RedisError):
        client.flushall()
    return None


def restart_redis(site: Site, strike: Strike) -> Heal:
    """Redis dies and comes back empty at once."""
    return _down(site.redis, strike.strength)


def stop_redis(site: Site, strike: Strike) -> Heal:
    """Redis is away for longer than the leases, and comes back empty."""
    return _down(site.redis, LEASE_SECONDS + 1 + 3 * strike.strength)


def freeze_redis(site: Site, strike: Strike) -> Heal:
    """Redis takes connections and does not answer."""
    return _frozen(site.redis, 1 + 6 * strike.strength)


def break_redis_network(site: Site, strike: Strike) -> Heal:
    """Connections to Redis are reset, replies are lost or late."""
    return _network(site.redis, strike)


def restart_events(site: Site, strike: Strike) -> Heal:
    """The results queue dies, and comes back with what it had confirmed."""
    return _down(site.events, (LEASE_SECONDS + 2) * strike.strength)


def break_events_network(site: Site, strike: Strike) -> Heal:
    """Connections to the results queue are reset, replies are lost or late."""
    return _network(site.events, strike)


def disturb_s3(site: Site, strike: Strike) -> Heal:
    """S3 answers 503, slowly, or does what it is told without an answer."""
    kind = int(strike.choice * 3)
    site.weather.busy = (0.3 + 0.7 * strike.strength) if kind == 0 else 0.0
    site.weather.mute = 0.4 * strike.strength if kind == 1 else 0.0
    site.weather.seconds = 0.1 + 0.4 * strike.strength if kind == 2 else 0.0
    return 1 + 3 * strike.strength, site.weather.calm


def disturb_x(site: Site, strike: Strike) -> Heal:
    """X answers 429, 500 or nothing, and connections break at bad moments."""
    families = (*_X_FAULTS, _CLOUD_FAULTS) if site.kind.contract == "cloud-storage" else _X_FAULTS
    family, rest = divmod(strike.choice * len(families), 1)
    faults = families[int(family)]
    _arm(site, {**faults[int(rest * len(faults))], "times": 1 + int(strike.strength * 2.5)})
    return None


def fail_job(site: Site, strike: Strike) -> Heal:
    """A job fails or expires at X, or its results name IDs that nobody asked for."""
    _arm(site, {**_JOB_FAULTS[int(strike.choice * len(_JOB_FAULTS))], "times": 1})
    return None


def move_clock(site: Site, strike: Strike) -> Heal:
    """X's clock jumps: upload windows that are open end."""
    site.simulator.advance_clock(_WINDOW_SECONDS)
    return None


FAULTS: Mapping[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_worker,
        kill_process,
        stop_worker,
        freeze_worker,
        kill_listener,
        flush_redis,
        restart_redis,
        stop_redis,
        freeze_redis,
        break_redis_network,
        restart_events,
        break_events_network,
        disturb_s3,
        disturb_x,
        fail_job,
        move_clock,
    )
}
_HERE: Mapping[str, int] = {
    "kill_worker": 9,
    "kill_process": 6,
    "stop_worker": 6,
    "freeze_worker": 4,
    "kill_listener": 3,
    "flush_redis": 5,
    "restart_redis": 4,
    "stop_redis": 3,
    "freeze_redis": 2,
    "break_redis_network": 7,
    "restart_events": 5,
    "break_events_network": 4,
}
_AT_X: Mapping[str, int] = {"disturb_x": 20, "fail_job": 4, "move_clock": 1}
_X_PACE = 0.4
"""X's faults cost little time, so they come closer together."""


def schedule(seed: str, seconds: float, *, pause: float, in_s3: bool) -> list[Strike]:
    """Draw the faults of a phase: those of processes and servers `pause` seconds apart on average, X's beside them."""
    here = {**_HERE, "disturb_s3": 7} if in_s3 else _HERE
    at_x = draw(f"{seed} X", seconds, _AT_X, pause=_X_PACE * pause)
    return sorted([*draw(seed, seconds, here, pause=pause), *at_x], key=lambda strike: strike.at)


def heal_all(site: Site) -> None:
    """Make everything good that a fault may have left."""
    for server in (site.redis, site.events):
        _resume(server)
        server.start()
        server.proxy.refuse(False)
        server.proxy.delay(0)
        server.proxy.forget_faults()
    site.weather.calm()
    site.simulator.disarm()
    for crew in (site.workers, site.listeners):
        for member in crew.members:
            crew.bring_back(member)
            crew.signal(member, signal.SIGCONT)


def _arm(site: Site, fault: _Armed) -> None:
    """Arm a fault, unless one waits already: then X has not been asked since, and they would only queue up."""
    if any(armed["on"] == fault["on"] for armed in site.simulator.armed()):
        return
    site.simulator.arm(fault)
    say(f"{site.kind.name}: armed {fault}")


def _member(site: Site, strike: Strike) -> Member:
    return site.workers.members[int(strike.choice * len(site.workers.members))]


def _down(server: NetworkedRedis, seconds: float) -> Heal:
    server.proxy.refuse(True)
    server.server.kill()

    def heal() -> None:
        server.start()
        server.proxy.refuse(False)

    return seconds, heal


def _frozen(server: NetworkedRedis, seconds: float) -> Heal:
    if server.server.process:
        server.server.process.send_signal(signal.SIGSTOP)
    return seconds, lambda: _resume(server)


def _resume(server: NetworkedRedis) -> None:
    if server.server.process:
        server.server.process.send_signal(signal.SIGCONT)


def _network(server: NetworkedRedis, strike: Strike) -> Heal:
    match int(strike.choice * 4):
        case 0:
            server.proxy.reset_connections()
        case 1:
            server.proxy.lose_next_reply(times=1 + int(8 * strike.strength))
        case 2:
            server.proxy.lose_next_request(times=1 + int(8 * strike.strength))
        case _:
            server.proxy.delay(0.5 * strike.strength)
    return 1 + 2 * strike.strength, lambda: _calm(server)


def _calm(server: NetworkedRedis) -> None:
    server.proxy.delay(0)
    server.proxy.forget_faults()
