"""An installation that a phase of a soak torments: servers with a bad network before them, workers, a listener."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from complyq_config.settings import load_settings
from complyq_producer import Producer
from soak.crew import Crew, Member, running_crew
from soak.evidence import About
from soak.ports import lasting_port
from soak.s3_proxy import Weather
from support.real_workers import SETTINGS_OF_TESTS
from support.redis_server import RedisServer
from support.s3_server import S3Server
from support.simulator_process import Simulator, running_simulator
from support.tcp_proxy import TcpProxy

FLAGGED_RATE = 0.1
STREAM = "complyq.events"
LEASE_SECONDS = 2.5
SETTINGS = {
    **SETTINGS_OF_TESTS,
    "COMPLYQ_LEASE_SECONDS": str(LEASE_SECONDS),
    "COMPLYQ_SWEEP_SECONDS": "1.5",
    "COMPLYQ_MAX_UPLOAD_BYTES": "600000",
    "COMPLYQ_EVENTS_INLINE_MAX": "2500",
    "COMPLYQ_MAX_ATTEMPTS": "1000",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What distinguishes one phase from another."""

    contract: str
    concurrent: bool
    """Whether the simulator takes a second job while one is active."""
    in_s3: bool
    chunked: bool = False

    @property
    def name(self) -> str:
        """What it is called in folders and lines."""
        refusal = "without-409" if self.concurrent else "with-409"
        return f"{self.contract}.{refusal}.{'s3' if self.in_s3 else 'directory'}"


@dataclass
class NetworkedRedis:
    """A Redis server and the network before it."""

    server: RedisServer
    proxy: TcpProxy

    @property
    def url(self) -> str:
        """The URL through the network."""
        return self.proxy.url(self.server.url)

    def start(self) -> None:
        """Start the server, if it is down."""
        if self.server.process is None:
            self.server.start()


@dataclass
class Site:
    """Everything that runs in a phase."""

    kind: Kind
    folder: Path
    seed: int
    about: About
    simulator: Simulator
    redis: NetworkedRedis
    events: NetworkedRedis
    weather: Weather
    workers: Crew
    listeners: Crew
    environment: dict[str, str]

    @property
    def recorder(self) -> Member:
        """The process that listens all the time."""
        return self.listeners.members[0]

    def producer(self) -> Producer:
        """Make a producer of this process."""
        names = ("namespace", "broker_url", "redis_url", "store_url", "spool_dir", "max_upload_bytes")
        return Producer.from_settings(
            load_settings(**{name: self.environment[f"COMPLYQ_{name.upper()}"] for name in names})
        )


@contextmanager
def running_site(kind: Kind, folder: Path, seed: int, s3: S3Server, weather: Weather) -> Iterator[Site]:
    """Start everything but the workers; nothing is left at the end but the folder."""
    token = f"soak-bearer-{token_hex(16)}"
    weather.struck = 0
    folder.mkdir()
    (folder / "events").mkdir()
    with ExitStack() as stack:
        simulator = stack.enter_context(_running_x(kind, token, seed))
        redis = _networked_redis(stack, None)
        events = _networked_redis(stack, folder / "events")
        store_url = f"s3://{s3.bucket}/{folder.name}" if kind.in_s3 else f"file://{folder}/store"
        about = _about(kind, seed, store_url, simulator)
        environment = _environment(kind, folder, about, simulator) | {
            "COMPLYQ_BROKER_URL": redis.url,
            "COMPLYQ_REDIS_URL": redis.url,
            "COMPLYQ_EVENTS_URL": f"{events.url}?stream={STREAM}",
        }
        workers = stack.enter_context(running_crew(environment, folder / "workers.log"))
        listeners = stack.enter_context(running_crew(environment, folder / "listener.log"))
        yield Site(
            kind=kind,
            folder=folder,
            seed=seed,
            about=about,
            simulator=simulator,
            redis=redis,
            events=events,
            weather=weather,
            workers=workers,
            listeners=listeners,
            environment=environment,
        )


def _running_x(kind: Kind, token: str, seed: int) -> AbstractContextManager[Simulator]:
    return running_simulator(
        contract=kind.contract,
        processing_seconds=0.3,
        token=token,
        seed=seed,
        flagged_rate=FLAGGED_RATE,
        rate_limit=1_000_000,
        **({"allow_concurrent_jobs": True} if kind.concurrent else {}),
    )


def _networked_redis(stack: ExitStack, folder: Path | None) -> NetworkedRedis:
    server = RedisServer(lasting_port(), folder)
    stack.callback(server.kill)
    server.start()
    proxy = TcpProxy.before(server.url)
    proxy.port = lasting_port()
    proxy.start()
    stack.callback(proxy.stop)
    return NetworkedRedis(server, proxy)


def _about(kind: Kind, seed: int, store_url: str, simulator: Simulator) -> About:
    return About(
        name=kind.name,
        namespace="soak",
        store_url=store_url,
        storage_host=simulator.storage_url.removeprefix("http://"),
        seed=seed,
        flagged_rate=FLAGGED_RATE,
        secrets=[simulator.token, f"soak-seal-{simulator.token[-8:]}"],
    )


def _environment(kind: Kind, folder: Path, about: About, simulator: Simulator) -> dict[str, str]:
    return {
        **SETTINGS,
        "COMPLYQ_NAMESPACE": about.namespace,
        "COMPLYQ_BEARER_TOKEN": simulator.token,
        "COMPLYQ_SEAL_KEY": about.secrets[1],
        "COMPLYQ_API_URL": simulator.api_url,
        "COMPLYQ_ALLOWED_ORIGINS": simulator.storage_url,
        "COMPLYQ_STORE_URL": about.store_url,
        "COMPLYQ_SPOOL_DIR": str(folder / "spool"),
        "COMPLYQ_UPLOAD_CHUNK_BYTES": "262144" if kind.chunked else "0",
    }
