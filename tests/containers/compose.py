"""Docker and its compose, as commands: `docker compose`, or docker-compose 1.29 where that is what there is."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).with_name("inside")
_HEALTHY_SECONDS = 300


def docker(*arguments: str) -> str:
    """Run docker and return what it prints; what it says of errors is shown."""
    return subprocess.run(
        ["docker", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def inspect(ids: Sequence[str], form: str) -> list[str]:
    """Ask for something of some containers or images."""
    return docker("inspect", "--format", form, *ids).splitlines() if ids else []


def compose_command() -> list[str]:
    """Return the compose that this machine has."""
    plugin = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode == 0
    return ["docker", "compose"] if plugin else ["docker-compose"]


@dataclass
class Project:
    """One installation of the compose file.

    Attributes:
        folder: takes the log of every container.
        environment: the project's name, its profiles and what else the compose file asks for.
    """

    folder: Path
    environment: dict[str, str]
    command: list[str] = field(default_factory=compose_command)
    _followed: set[str] = field(default_factory=set)

    def compose(self, *arguments: str) -> str:
        """Run compose and return what it prints on standard output."""
        done = subprocess.run(
            [*self.command, *arguments], cwd=ROOT, env=self._environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    def script(self, *arguments: str) -> None:
        """Run a script of the project with this installation's settings."""
        subprocess.run(arguments, cwd=ROOT, env=self._environment, check=True)

    def containers(self, *services: str) -> list[str]:
        """Return the ids of the running containers of some services, or of all."""
        return self.compose("ps", "-q", *services).split()

    def wait_until_healthy(self, count: int) -> None:
        """Wait until so many containers are there, and all are healthy."""
        deadline = time.monotonic() + _HEALTHY_SECONDS
        states: list[str] = []
        while len(states) != count or set(states) != {"healthy"}:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{count} healthy containers are awaited, there are: {states}")
            time.sleep(2)
            states = inspect(self.containers(), "{{.State.Health.Status}}")

    def follow_logs(self) -> None:
        """Write the logs of all containers that are new to files, for as long as they last.

        Not the simulator's: it tells which token it takes.
        """
        for id_ in set(self.containers()) - set(self.containers("simulator")) - self._followed:
            self._followed.add(id_)
            [name] = inspect([id_], "{{.Name}}")
            with (self.folder / f"{name.strip('/')}-{id_[:8]}.log").open("wb") as log:
                follower = subprocess.Popen(["docker", "logs", "--follow", id_], stdout=log, stderr=subprocess.STDOUT)
            threading.Thread(target=follower.wait, daemon=True).start()

    @contextmanager
    def running(
        self, like: str, *arguments: str, script: Path | None = None, given: bytes = b"", output: IO[bytes]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command of ours, or a script, in a container of its own; what is left of it is killed at the end.

        It gets image, network and settings of a service's first container. (1.29's `run` cannot share a network.)
        """
        name = f"{self.environment['COMPOSE_PROJECT_NAME']}-{script.stem if script else arguments[0]}"
        command = ["docker", "run", "--rm", "--interactive", "--name", name, *self._likeness(like, script)]
        inner = ["-c", script.read_text()] if script else []
        process = subprocess.Popen([*command, *inner, *arguments], stdin=subprocess.PIPE, stdout=output)
        try:
            if process.stdin:
                process.stdin.write(given)
                process.stdin.close()
            yield process
        finally:
            if process.poll() is None:
                docker("rm", "--force", name)
                process.wait()

    def _likeness(self, like: str, script: Path | None) -> list[str]:
        [found] = json.loads(docker("inspect", self.containers(like)[0]))
        settings = [f"--env={setting}" for setting in found["Config"]["Env"]]
        entry = ["--entrypoint=python3"] if script else []
        return [f"--network={found['HostConfig']['NetworkMode']}", *settings, *entry, found["Image"]]

    def remove(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def left_over(self) -> str:
        """Return what of the project is still there."""
        label = f"label=com.docker.compose.project={self.environment['COMPOSE_PROJECT_NAME']}"
        containers = docker("ps", "--all", "--quiet", "--filter", label)
        return containers + docker("volume", "ls", "--quiet", "--filter", label)

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}
