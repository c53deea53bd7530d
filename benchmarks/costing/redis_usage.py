"""What a Redis server was asked, as it counts itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis


class RedisUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Since the server's start. `calls` are by command, those inside scripts too."""

    calls: dict[str, int]
    cpu_seconds: float
    received_bytes: int
    sent_bytes: int

    @property
    def commands(self) -> int:
        """All calls."""
        return sum(self.calls.values())

    def since(self, before: RedisUsage) -> RedisUsage:
        """Return what came in between."""
        calls = {name: count - before.calls.get(name, 0) for name, count in self.calls.items()}
        return RedisUsage(
            calls={name: count for name, count in calls.items() if count},
            cpu_seconds=self.cpu_seconds - before.cpu_seconds,
            received_bytes=self.received_bytes - before.received_bytes,
            sent_bytes=self.sent_bytes - before.sent_bytes,
        )


def usage(client: redis.Redis) -> RedisUsage:
    """Ask the server."""
    commands = _info(client, "commandstats")
    cpu, stats = _info(client, "cpu"), _info(client, "stats")
    return RedisUsage(
        calls={name.removeprefix("cmdstat_"): figures["calls"] for name, figures in commands.items()},
        cpu_seconds=cpu["used_cpu_user"] + cpu["used_cpu_sys"],
        received_bytes=stats["total_net_input_bytes"],
        sent_bytes=stats["total_net_output_bytes"],
    )


def _info(client: redis.Redis, section: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", client.info(section))
