"""Runs the images and docker-compose.yml for real: `make test-containers`.

On each broker: simulator, three transfer workers and a control worker, batches all the time, one worker killed, all of
them rolled to another image; then nothing may be lost and nothing done twice. Everything is taken down afterwards.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from containers.compose import ROOT, Project, compose_command, docker, inspect
from containers.trial import BROKERS, NEW, OLD, Trial

_BASES = {"PYTHON_IMAGE": "python:3.13-slim"}


def main() -> int:
    """Build, then try each broker that BROKERS names (default: both)."""
    build()
    for broker in os.environ.get("BROKERS", " ".join(BROKERS)).split():
        if not tried(broker):
            return 1
    docker("image", "rm", OLD, NEW)
    return 0


def build() -> None:
    """Build the images, and the workers' a second time so that it is another one."""
    began = time.monotonic()
    environment = {"COMPOSE_PROFILES": "simulator", "COMPLYQ_SIMULATED_IMAGE": OLD}
    Project(ROOT, environment).compose("build", "--quiet", "s3", "simulator", "simulated-worker")
    arguments = [f"--build-arg={name}={os.environ.get(name, usual)}" for name, usual in _BASES.items()]
    network = os.environ.get("BUILD_NETWORK", "default")
    docker(
        "build",
        "--quiet",
        f"--network={network}",
        *arguments,
        "--target=worker",
        "--label=trial=new",
        f"--tag={NEW}",
        ".",
    )
    say(f"images are built after {time.monotonic() - began:.0f} s, with {' '.join(compose_command())}")
    for image in (os.environ.get("PYTHON_IMAGE", _BASES["PYTHON_IMAGE"]), OLD, "complyq-simulator", "complyq-s3"):
        say(f"  {int(inspect([image], '{{.Size}}')[0]) / 1e6:5.0f} MB  {image}")


def tried(broker: str) -> bool:
    """Try one broker, and leave nothing of it but the evidence if it fails."""
    folder = Path(tempfile.mkdtemp(prefix=f"complyq-{broker}-"))
    trial = Trial(broker, folder, lambda text: say(f"{broker}: {text}"))
    try:
        trial.run()
    except (AssertionError, TimeoutError, subprocess.SubprocessError) as error:
        say(f"{broker}: FAILED: {error}\nLogs and evidence are in {folder}")
        return False
    finally:
        trial.project.remove()
    shutil.rmtree(folder)
    left = trial.project.left_over()
    say(f"{broker}: FAILED: left over: {left}" if left else f"{broker}: all is taken down")
    return not left


def say(text: str) -> None:
    """Tell at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
