"""Everything on this machine: a Redis, workers and, where asked for, a simulated X, all children of this command."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from complyq_config.errors import ConfigurationError
from complyq_config.settings import PREFIX
from complyq_config.spool_dir import ready_spool_dir
from complyq_producer.cli.session import begin
from complyq_producer.embedded.processes import child_process
from complyq_producer.embedded.redis_server import embedded_redis
from complyq_producer.tables import require_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from complyq_config.settings import Settings
    from complyq_producer.embedded.processes import ChildProcess

SIMULATOR_TOKEN = "simulator-token"  # noqa: S105 - guards nothing but the simulator
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """How the simulated X behaves; times in seconds."""

    processing_seconds: float = 2.0
    flagged_rate: float = 0.1
    seed: int = 1


@dataclass(frozen=True, slots=True)
class LocalStack:
    """What runs, and the settings that reach it."""

    settings: Settings
    children: tuple[ChildProcess, ...]

    def require_running(self) -> None:
        """Do nothing while all children run.

        Raises:
            EmbeddedProcessError: one has ended; the message shows the end of its log.
        """
        for child in self.children:
            child.require_running()


@contextmanager
def local_stack(folder: Path, simulation: Simulation | None = None) -> Iterator[LocalStack]:
    """Run everything in a folder for as long as the context is open; the folder stays.

    Args:
        folder: holds store, Redis and logs; what was begun there before is continued.
        simulation: how a simulated X behaves; None to work with the X of the settings.

    Raises:
        ConfigurationError: no Redis is installed, nor what the results' format needs, or there are no credentials for X.
        EmbeddedProcessError: something does not start.
    """
    with ExitStack() as running:
        redis_url = running.enter_context(embedded_redis(folder / "redis"))
        overrides, children = _local_settings(folder, redis_url), []
        if simulation:
            simulator = running.enter_context(_simulator(folder, simulation))
            children.append(simulator)
            overrides |= _simulated_x(simulator)
        settings = begin(**overrides)
        require_credentials(settings)
        require_format(settings.results_format)
        children.append(running.enter_context(_workers(folder, settings)))
        yield LocalStack(settings, tuple(children))


def require_credentials(settings: Settings) -> None:
    """Look whether there is something to show to X.

    Raises:
        ConfigurationError: there is not.
    """
    if settings.bearer_token is None and settings.api_key is None:
        raise ConfigurationError(
            "X asks for credentials: set COMPLYQ_BEARER_TOKEN to your App's bearer token (or COMPLYQ_API_KEY and "
            "COMPLYQ_API_SECRET). To try it without X, add --simulate."
        )


def _local_settings(folder: Path, redis_url: str) -> dict[str, Any]:
    """Point every service to this machine; whatever else the environment sets stays as it is."""
    return {
        "namespace": "local",
        "broker_url": redis_url,
        "redis_url": redis_url,
        "events_url": None,
        "store_url": (folder / "store").as_uri(),
        "shutdown_seconds": 1,
        "max_parked_hours": 1 / 60,  # there is nobody to release what keeps crashing
        "metrics_port": None,
        **_spool(folder / "spool"),
    }


def _spool(folder: Path) -> dict[str, Any]:
    """Let sorts spill beside the store, unless the user chose a folder, or that one lies in memory."""
    if os.environ.get(f"{PREFIX}SPOOL_DIR"):
        return {}
    try:
        return {"spool_dir": ready_spool_dir(folder)}
    except ConfigurationError:
        return {}


def _simulated_x(simulator: ChildProcess) -> dict[str, Any]:
    """Point to the simulator, and be quick: it is no X that has to be spared requests."""
    urls = _announced(simulator)
    return {
        "api_url": urls["api_url"],
        "allowed_origins": (urls["storage_url"],),
        "bearer_token": SIMULATOR_TOKEN,
        "api_key": None,
        "api_secret": None,
        "proxy_url": None,
        "poll_min_seconds": 0.5,
        "poll_max_seconds": 2.0,
        "sweep_seconds": 5.0,
    }


@contextmanager
def _simulator(folder: Path, simulation: Simulation) -> Iterator[ChildProcess]:
    temporary = folder / "simulator"
    temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
    arguments = {
        "port": 0,
        "token": SIMULATOR_TOKEN,
        "rate-limit": 1_000_000,
        "processing-seconds": simulation.processing_seconds,
        "flagged-rate": simulation.flagged_rate,
        "seed": simulation.seed,
    }
    command = [sys.executable, "-m", "complyq_simulator", *(f"--{name}={value}" for name, value in arguments.items())]
    env = _without_settings(os.environ) | {"TMPDIR": str(temporary)}
    with child_process(command, env, folder / "simulator.log", stop_seconds=_STOP_SECONDS) as child:
        named = _named(child, "complyq simulator")
        named.wait_ready(lambda: bool(_announced(named)))
        yield named


@contextmanager
def _workers(folder: Path, settings: Settings) -> Iterator[ChildProcess]:
    temporary = folder / "workers"  # of its own: other users' and killed workers' files are out of the way
    temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "complyq_workers"]
    env = _without_settings(os.environ) | settings.environment() | {"TMPDIR": str(temporary)}
    with child_process(command, env, folder / "worker.log", stop_seconds=_STOP_SECONDS) as child:
        yield _named(child, "complyq worker")


def _named(child: ChildProcess, name: str) -> ChildProcess:
    return type(child)(name, child.process, child.log_path)


def _announced(simulator: ChildProcess) -> dict[str, str]:
    """Read the line in which the simulator says where it listens; empty while it has not."""
    for line in simulator.log_path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            return dict(json.loads(line))
    return {}


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(PREFIX)}
