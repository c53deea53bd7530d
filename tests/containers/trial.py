"""One installation under load: a worker is killed, all are rolled to another image, and what came of it is judged."""

import json
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import IO

from complyq_simulator.settings import Settings as SimulatorSettings
from containers.compose import INSIDE, Project, docker, inspect
from soak.checker import check
from soak.evidence import About, Request, copies_of, load, save_about, save_request
from soak.ids import IdRange

Running = AbstractContextManager[Popen[bytes]]

BROKERS = {"redis": "redis://redis:6379/1", "rabbitmq": "amqp://complyq:complyq@rabbitmq:5672//"}
WORKERS = 3
BATCHES = 90
PAUSE_SECONDS = 1.5
SERVICES = ("simulated-worker", "simulated-control")
OLD, NEW = "complyq-trial:old", "complyq-trial:new"
_PATIENCE_SECONDS = 900
_SIZES = (5, 300, 4_000, 20_000, 60_000)


class Trial:
    """Takes one broker through all of it.

    Raises:
        AssertionError: A promise was not kept; the evidence stays in the folder.
    """

    def __init__(self, broker: str, folder: Path, say: Callable[[str], None]) -> None:
        self._broker, self._folder, self._say = broker, folder, say
        self._token = f"trial-{secrets.token_hex(12)}"
        self._requests = requests()
        self._killed = ""
        self._helpers: list[Popen[bytes]] = []
        self.project = Project(
            folder,
            {
                "COMPOSE_PROJECT_NAME": f"complyq-trial-{broker}",
                "COMPOSE_PROFILES": "simulator,rabbitmq" if broker == "rabbitmq" else "simulator",
                "SIMULATED_BROKER_URL": BROKERS[broker],
                "SIMULATOR_TOKEN": self._token,
                "SIMULATOR_PROCESSING_SECONDS": "3",
                "SIMULATOR_RATE_LIMIT": "10000",
                "COMPLYQ_SIMULATED_IMAGE": OLD,
                "RABBITMQ_PORT": "0",
            },
        )

    def run(self) -> None:
        """Start, load, kill, roll, judge, stop."""
        self._start()
        with self._listening(), self._submitting():
            self._wait("a third is enqueued", lambda: len(self._told()) >= BATCHES // 3)
            self._kill_one()
            self._wait("half is enqueued, without it", lambda: len(self._told()) >= BATCHES // 2)
            self._roll()
            self._wait("all is enqueued", lambda: len(self._told()) == BATCHES)
            self._wait("all has ended", lambda: self._ended() == BATCHES)
        self._gather()
        self._judge()
        self._stop()

    def _start(self) -> None:
        services = [SERVICES[1], *(["rabbitmq"] if self._broker == "rabbitmq" else [])]
        with self._timed("everything is healthy"):
            self.project.compose("up", "--detach", "--no-build", "--scale", f"{SERVICES[0]}={WORKERS}", *services)
            self.project.wait_until_healthy(WORKERS + len(services) + 3)  # redis, s3 and the simulator
        self.project.follow_logs()
        self.project.compose("exec", "-T", SERVICES[1], "complyq", "doctor")

    def _kill_one(self) -> None:
        self._killed = self.project.containers(SERVICES[0])[0]
        docker("kill", self._killed)
        self._say(f"killed a worker at {len(self._told())} of {BATCHES} batches")

    def _roll(self) -> None:
        docker("start", self._killed)
        self.project.environment["COMPLYQ_SIMULATED_IMAGE"] = NEW
        before = len(self._told())
        with self._timed("rolled to a new image"):
            self.project.script("scripts/roll-containers.sh", *SERVICES)
        self.project.follow_logs()
        images = inspect(self.project.containers(*SERVICES), "{{.Image}}")
        assert images == inspect([NEW], "{{.Id}}") * (WORKERS + 1), images
        self._say(f"{len(self._told()) - before} batches were enqueued meanwhile")

    def _gather(self) -> None:
        archive = self._folder / "evidence.tar"
        with archive.open("wb") as output, self._gathering(output) as process:
            assert process.wait(_PATIENCE_SECONDS) == 0
        with tarfile.open(archive) as tar:
            tar.extractall(self._folder, filter="data")
        told = self._told()
        for request in self._requests:
            request.told = [told[request.id]]
        save_request(self._folder, self._requests)
        save_about(self._folder, self._about())

    def _judge(self) -> None:
        evidence = load(self._folder)
        violations = check(evidence)
        assert not violations, "\n".join(map(str, violations))
        created = [change for change in evidence.job_changes if change["from"] is None]
        ids = sum(request.ids.count for request in self._requests)
        copies = len(evidence.stream) - len({copy.id for copy in evidence.stream})
        self._say(
            f"{len(evidence.accepted)} batches of {ids:,} IDs completed in {len(created)} jobs, each with exactly its "
            f"results; {len(evidence.stream)} events, {copies} of them copies"
        )

    def _stop(self) -> None:
        ids = self.project.containers(*SERVICES)
        with self._timed("everything has stopped"):
            self.project.compose("stop")
        codes = inspect(ids, "{{.State.ExitCode}}")
        assert set(codes) == {"0"}, f"workers that were told to stop ended with {codes}"

    def _gathering(self, output: IO[bytes]) -> Running:
        return self.project.running(SERVICES[1], script=INSIDE / "gather.py", output=output)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        recorded = self._folder / "recorded.jsonl"
        arguments = (SERVICES[1], "listen", "--group", "trial")
        with recorded.open("wb") as output, self.project.running(*arguments, output=output) as process:
            self._helpers.append(process)
            yield

    @contextmanager
    def _submitting(self) -> Iterator[None]:
        save_request(self._folder, self._requests)
        given = (self._folder / "requests.jsonl").read_bytes()
        arguments = (SERVICES[1], str(PAUSE_SECONDS))
        with (
            (self._folder / "told.jsonl").open("wb") as output,
            self.project.running(*arguments, script=INSIDE / "submit.py", given=given, output=output) as process,
        ):
            self._helpers.append(process)
            yield

    def _told(self) -> dict[str, str]:
        lines = map(json.loads, (self._folder / "told.jsonl").read_bytes().splitlines())
        return {line["request"]: line["batch"] for line in lines}

    def _ended(self) -> int:
        copies = copies_of((self._folder / "recorded.jsonl").read_bytes().splitlines())
        return len({copy.event["subject"] for copy in copies if copy.is_end})

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        with self._timed(what):
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while not condition():
                assert not any(process.poll() for process in self._helpers), "listener or producer ended with an error"
                assert time.monotonic() < deadline, f"{what}: not within {_PATIENCE_SECONDS} seconds"
                time.sleep(1)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._say(f"{what} after {time.monotonic() - began:.0f} s")

    def _about(self) -> About:
        defaults = SimulatorSettings()
        return About(
            name=self._broker,
            namespace="simulated",
            store_url="s3://complyq/simulated",
            storage_host="127.0.0.1:8081",
            seed=defaults.seed,
            flagged_rate=defaults.flagged_rate,
            secrets=[self._token],
        )


def requests() -> list[Request]:
    """Return what is enqueued: batches of both types, of mixed sizes, many of which share IDs."""
    return [
        Request(
            id=f"request-{number}",
            type="users" if number % 3 == 0 else "tweets",
            key=f"key-{number}",
            ids=IdRange(first=10**15 + number * 1_000, count=_SIZES[number % len(_SIZES)], step=1 + number % 4),
        )
        for number in range(BATCHES)
    ]
