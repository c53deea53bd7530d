"""`twarc2 compliance-job create` as it comes from PyPI, a set for duplicates before it, a count per line after it.

Two things are changed, from outside: requests to X go to the simulator, and the sixty seconds it waits before each look
at the job pass as fast as everybody's waits do.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from twarc import command2
from twarc.client2 import Twarc2

from racing.reading import write_unique
from racing.redirecting import X_URL, ToSimulator
from racing.task import Answer, Contender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from racing.task import IdArray, Task

_ITS_WAIT_SECONDS = 60.0


@contextmanager
def start(task: Task) -> Iterator[Contender]:
    """Turn twarc to the simulator."""
    folder = Path(task.folder)
    os.environ["XDG_CONFIG_HOME"] = str(folder)  # this user's own configuration of twarc stays out
    _redirect(task.api_url)
    _speed_up(task.poll_seconds / _ITS_WAIT_SECONDS)
    results = folder / "results.json"

    def run() -> Answer:
        unique = write_unique(Path(task.ids_file), folder / "unique.txt")
        _create_job(task.token, folder, "unique.txt", results)
        return _count(results, unique)

    yield Contender(run, lambda: _ids(results))


def _create_job(token: str, folder: Path, ids: str, results: Path) -> None:
    options = ["--bearer-token", token, "--log", str(folder / "twarc.log")]
    command2.twarc2(
        [*options, "compliance-job", "create", "tweets", str(folder / ids), str(results)], standalone_mode=False
    )


def _count(results: Path, unique: int) -> Answer:
    by_action: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    with results.open() as file:
        for line in file:
            if line.strip():
                result = json.loads(line)
                by_action[result["action"]] += 1
                by_reason[result["reason"]] += 1
    return Answer(unique=unique, flagged=by_action.total(), by_action=dict(by_action), by_reason=dict(by_reason))


def _ids(results: Path) -> IdArray:
    with results.open() as file:
        return np.fromiter((int(json.loads(line)["id"]) for line in file if line.strip()), np.uint64)


def _redirect(origin: str) -> None:
    connect = Twarc2.connect

    def connect_to_simulator(client: Any) -> None:
        connect(client)
        client.client.mount(X_URL, ToSimulator(origin))

    Twarc2.connect = connect_to_simulator


def _speed_up(factor: float) -> None:
    command2.time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * factor))
